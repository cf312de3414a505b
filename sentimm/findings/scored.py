"""Scored posts, as `sentimm score` writes them: what their files say, and sums over all of them in one stream."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sentimm.errors import ColumnError, InputError, TableError, UsageError
from sentimm.findings.estimators import LEAST_VARIANCE, Floats, Ints, Population
from sentimm.findings.question import PERIODS, Question
from sentimm.findings.strata import ALL_ALIKE, GRID, Strata
from sentimm.storage import is_folder, is_remote, list_folder, open_file, to_path

PLACE = "__place"  # the number of a post in the corpus, from 0

_FORMATS = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "year": "%Y"}
_METADATA = b"sentimm."


@dataclass(frozen=True)
class ScoredPosts:
    """Posts with the probabilities of their labels.

    Attributes:
        frame: the posts, and their number in the column PLACE; those without an answer are among them.
        labels: in the order of the model.
        prefix: of the columns that `score` added.
        names: of files, for messages.
        bundle: the model's name; None: not stated.
        fingerprint: a digest that tells the corpus and the model; None: not stated, as for a frame.
        options: what the files say of how they were scored.
    """

    frame: pl.LazyFrame
    labels: tuple[str, ...]
    prefix: str
    names: tuple[str, ...]
    bundle: str | None = None
    fingerprint: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The names of the columns, but for PLACE."""
        return [name for name in self.frame.collect_schema().names() if name != PLACE]

    def name_probabilities(self) -> list[str]:
        """Return the names of the columns of probabilities."""
        return [f"{self.prefix}p_{label}" for label in self.labels]


@dataclass(frozen=True)
class Domains:
    """The groups and periods that shares are asked for: the finest ones, which hold no post together.

    Attributes:
        cells: group and period of each, in order.
        counted: posts by predicted label, int64 (cells, labels).
        has_groups, has_periods: what is asked for.
    """

    cells: tuple[tuple[str | None, str | None], ...]
    counted: Ints
    has_groups: bool
    has_periods: bool


def open_scored(inputs: Sequence[str] | pl.DataFrame | pl.LazyFrame) -> ScoredPosts:
    """Open what `score` wrote: Parquet files, folders of parts, or a frame with their columns.

    Raises:
        InputError: a file is not there, or holds no scored posts.
        ColumnError: there are no probabilities.
        TableError: a file can't be read.
        UsageError: the files are of different models.
    """
    if isinstance(inputs, pl.DataFrame | pl.LazyFrame):
        return _open_frame(inputs)
    files = [file for name in inputs for file in _list_files(name)]
    if not files:
        raise InputError("No INPUT was given: name the Parquet file or folder that `sentimm score` wrote.")
    facts = [_read_facts(file) for file in files]
    names, first = tuple(map(str, files)), facts[0]
    for file, each in zip(files, facts, strict=True):
        if each.model != first.model or each.labels != first.labels:
            raise UsageError(f"{files[0]} and {file} were scored by different models: give those of one model.")
    missing = [column for column in first.probabilities if any(column not in each.columns for each in facts)]
    if missing:
        raise ColumnError(f"{files[0]} has no column {missing[0]!r}: score the posts again, keeping the probabilities.")
    frame = _scan(files).with_row_index(PLACE)
    content = json.dumps([first.model, *(each.fingerprint for each in facts)], sort_keys=True)
    digest = hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()
    return ScoredPosts(frame, first.labels, first.prefix, names, first.bundle, digest, first.options)


def divide(scored: ScoredPosts, question: Question) -> pl.LazyFrame:
    """Return the posts that have an answer, with their probabilities and domain.

    Columns: PLACE; `f0`, `f1`, ...: probabilities, float64, which sum to 1; `label`: the predicted one's number;
    `group` and `period`: strings where they are asked for; `inside`: whether the post meets the condition.

    Raises:
        ColumnError: a column is not there, or is no time.
        UsageError: the condition can't be understood.
    """
    probabilities = [pl.col(name).cast(pl.Float64) for name in scored.name_probabilities()]
    total = pl.sum_horizontal(probabilities)
    label = pl.col(f"{scored.prefix}sentiment").cast(pl.Enum(scored.labels), strict=False).to_physical().cast(pl.Int8)
    columns = [pl.col(PLACE), label.alias("label")]
    columns += [(each / total).alias(f"f{k}") for k, each in enumerate(probabilities)]
    if question.by is not None:
        _require(scored, question.by, "--by")
        columns.append(pl.col(question.by).cast(pl.String, strict=False).alias("group"))
    if question.time is not None:
        columns.append(_make_period(scored, question.time, question.every).alias("period"))
    columns.append(_read_condition(question.where).alias("inside"))
    return scored.frame.select(columns).filter(pl.col("label").is_not_null())


@dataclass(frozen=True)
class Counts:
    """A corpus counted by cell, predicted label and step of uncertainty.

    Attributes:
        cells: groups and periods, in order; one with neither where nothing is told apart.
        posts: int64 (cells, labels, GRID).
        uncertainty: the sum of the posts' uncertainty, float64 (cells, labels, GRID).
        p: the sums of their probabilities, float64 (cells, labels, GRID, labels).
        spread: the sums of p (1 - p), likewise.
    """

    cells: tuple[tuple[str | None, str | None], ...]
    posts: Ints
    uncertainty: Floats
    p: Floats
    spread: Floats


def count_posts(posts: pl.LazyFrame, labels: int, keys: Sequence[str] = ()) -> Counts:
    """Count the posts of `divide` in one stream, apart by `keys` (of `group` and `period`)."""
    f = [pl.col(f"f{k}") for k in range(labels)]
    found = (
        posts.with_columns(_measure(labels).alias("u"))
        .group_by(*keys, "label", _find_step(pl.col("u")).alias("step"))
        .agg(
            pl.len(),
            pl.col("u").sum(),
            *(each.sum() for each in f),
            *((each * (1 - each)).sum().alias(f"s{k}") for k, each in enumerate(f)),
        )
        .collect(engine="streaming")
    )
    cells, number = number_cells(found, keys)
    shape = (len(cells), labels, GRID)
    counts, uncertainty = np.zeros(shape, np.int64), np.zeros(shape)
    sums, spread = np.zeros((*shape, labels)), np.zeros((*shape, labels))
    at = number, found["label"].to_numpy(), found["step"].to_numpy()
    counts[at], uncertainty[at] = found["len"].to_numpy(), found["u"].to_numpy()
    sums[at] = found.select(f"f{k}" for k in range(labels)).to_numpy()
    spread[at] = found.select(f"s{k}" for k in range(labels)).to_numpy()
    return Counts(cells, counts, uncertainty, sums, spread)


def number_cells(rows: pl.DataFrame, keys: Sequence[str]) -> tuple[tuple[tuple[str | None, str | None], ...], Ints]:
    """Return the cells of rows in order, and the number of each row's, int64 (rows,)."""
    if not keys:
        return ((None, None),), np.zeros(len(rows), dtype=np.int64)
    cells = rows.select(keys).unique().sort(keys, nulls_last=True).with_row_index("cell")
    numbers = rows.select(keys).join(cells, on=list(keys), how="left", nulls_equal=True, maintain_order="left")
    named = tuple((row.get("group"), row.get("period")) for row in cells.to_dicts())
    return named, numbers["cell"].to_numpy().astype(np.int64)


def place_strata(strata: Strata, labels: int) -> pl.Expr:
    """Return the stratum of each post of `divide`, Int32; null in a cell that has none."""
    if strata == ALL_ALIKE:
        return pl.lit(0, dtype=pl.Int32)
    step = _find_step(_measure(labels))
    expression: Any = pl
    for (group, period), first, cuts in zip(strata.cells, strata.firsts, strata.cuts, strict=True):
        inside = pl.lit(True)
        for name, value in (("group", group), ("period", period)):
            if value is not None:
                inside = inside & (pl.col(name) == value)
        if cuts is None:
            expression = expression.when(inside).then(pl.lit(first, dtype=pl.Int32))
        for number, steps in enumerate(cuts or ()):
            own = pl.lit(first, dtype=pl.Int32)
            for cut in steps:
                own = own + (step >= cut).cast(pl.Int32)
            expression = expression.when(inside & (pl.col("label") == number)).then(own)
            first += len(steps) + 1
    placed: pl.Expr = expression.otherwise(None)
    return placed


def sum_population(
    posts: pl.LazyFrame, strata: Strata, sizes: Ints, means: Floats, question: Question
) -> tuple[Population, Domains]:
    """Sum over all posts of `divide`, in one stream.

    Args:
        posts: from `divide`.
        strata: how posts are told apart.
        sizes: posts of each stratum of the corpus, int64 (strata,).
        means: their mean probabilities, float64 (strata, labels).
        question: what is asked for.

    Returns:
        the sums by stratum and cell, and the cells in order: groups and periods sorted.

    Raises:
        InputError: no post is asked about.
    """
    labels = means.shape[1]
    keys = question.keys
    f = [pl.col(f"f{k}") for k in range(labels)]
    sums = [f[k].sum().alias(f"p{k}") for k in range(labels)]
    sums += [(f[k] * f[k]).sum().alias(f"q{k}") for k in range(labels)]
    sums += [pl.max_horizontal(f[k] * (1 - f[k]), LEAST_VARIANCE).sum().alias(f"v{k}") for k in range(labels)]
    sums += [(pl.col("label") == k).sum().alias(f"c{k}") for k in range(labels)]
    chosen = posts if question.where is None else posts.filter("inside")
    placed = chosen.with_columns(place_strata(strata, labels).alias("stratum"))
    found = placed.group_by("stratum", *keys).agg(pl.len(), *sums).collect(engine="streaming")
    if not len(found):
        raise InputError(_explain_nothing(question))
    cells, number = number_cells(found, keys)
    at = found["stratum"].to_numpy(), number
    shape = (len(sizes), len(cells), labels)

    def take(letter: str) -> Floats:
        filled = np.zeros(shape)
        filled[at] = found.select(f"{letter}{k}" for k in range(labels)).to_numpy()
        return filled

    counted = np.zeros(shape[:2], np.int64)
    counted[at] = found["len"].to_numpy()
    population = Population(sizes, means, counted, take("p"), take("q"), take("v"))
    return population, Domains(
        cells, take("c").sum(axis=0).astype(np.int64), question.by is not None, question.time is not None
    )


def find_cells(domains: Domains, rows: pl.DataFrame) -> Ints:
    """Return the number of the cell of each row of `divide`, int64 (rows,); -1: outside of what is asked about."""
    numbers = {cell: number for number, cell in enumerate(domains.cells)}
    groups = rows["group"].to_list() if domains.has_groups else [None] * len(rows)
    periods = rows["period"].to_list() if domains.has_periods else [None] * len(rows)
    inside = rows["inside"].to_list()
    found = [
        numbers.get((group, period), -1) if is_inside else -1
        for group, period, is_inside in zip(groups, periods, inside, strict=True)
    ]
    return np.array(found, dtype=np.int64)


def _measure(labels: int) -> pl.Expr:
    """Return the uncertainty of each post (see `strata.measure_uncertainty`)."""
    squares = pl.sum_horizontal([pl.col(f"f{k}") * pl.col(f"f{k}") for k in range(labels)])
    return pl.max_horizontal(1 - squares, 0.0).sqrt()


def _find_step(uncertainty: pl.Expr) -> pl.Expr:
    return (uncertainty * GRID).cast(pl.Int16).clip(0, GRID - 1)


def _make_period(scored: ScoredPosts, column: str, every: str) -> pl.Expr:
    """Return the period of each post as a string that sorts in order."""
    _require(scored, column, "--time")
    dtype = scored.frame.collect_schema()[column]
    time = pl.col(column)
    if dtype == pl.String:
        time = time.str.to_datetime(strict=False, time_zone="UTC")
    elif dtype not in (pl.Date, pl.Datetime):
        raise ColumnError(f"--time names {column!r}, which holds {dtype}, and no dates or times.")
    start = time.dt.truncate(PERIODS[every])
    if every == "quarter":
        return pl.concat_str(start.dt.year().cast(pl.String), pl.lit("-Q"), start.dt.quarter().cast(pl.String))
    return start.dt.strftime(_FORMATS[every])


def _read_condition(where: str | None) -> pl.Expr:
    if where is None:
        return pl.lit(True)
    try:
        return pl.sql_expr(where).fill_null(False)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f'--where {where!r} can\'t be understood ({reason}): write it as SQL, as "likes > 10".'
        ) from error


def _require(scored: ScoredPosts, column: str, option: str) -> None:
    from sentimm.corpus.columns import require_column

    require_column(column, scored.columns, option)


def _explain_nothing(question: Question) -> str:
    if question.where is not None:
        return f"No scored post meets --where {question.where!r}."
    return "The input has no post with an answer."


@dataclass(frozen=True)
class _Facts:
    columns: list[str]
    labels: tuple[str, ...]
    prefix: str
    bundle: str | None
    model: str | None
    fingerprint: Any
    options: dict[str, Any]

    @property
    def probabilities(self) -> list[str]:
        return [f"{self.prefix}p_{label}" for label in self.labels]


def _list_files(name: str) -> list[Path]:
    path = to_path(name)
    if is_folder(path):
        return [path / entry.name for entry in list_folder(path) if entry.name.endswith(".parquet")]
    return [path]


def _read_facts(path: Path) -> _Facts:
    try:
        if is_remote(path):
            with open_file(path) as file:
                schema = pq.read_schema(file)
        else:
            schema = pq.read_schema(path)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path} can't be read as Parquet: {error}.") from error
    metadata = {
        name.removeprefix(_METADATA).decode(): value.decode()
        for name, value in (schema.metadata or {}).items()
        if name.startswith(_METADATA)
    }
    prefix, labels = _find_answers(path.name, schema.names)
    if "labels" in metadata:
        labels = tuple(json.loads(metadata["labels"]))
    return _Facts(
        schema.names,
        labels,
        prefix,
        metadata.get("bundle"),
        metadata.get("digest"),
        json.loads(metadata["fingerprint"]) if "fingerprint" in metadata else None,
        json.loads(metadata.get("options", "{}")),
    )


def _find_answers(name: str, columns: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Find the prefix and the labels of the columns that `score` added."""
    for column in reversed(columns):
        prefix = column.removesuffix("sentiment")
        if not column.endswith("sentiment") or f"{prefix}confidence" not in columns:
            continue
        labels = tuple(each.removeprefix(f"{prefix}p_") for each in columns if each.startswith(f"{prefix}p_"))
        if labels:
            return prefix, labels
        raise ColumnError(
            f"{name} has labels in {column!r}, but no probabilities ({prefix}p_...), which shares are estimated from: "
            "score the posts again."
        )
    raise ColumnError(f"{name} has no scored posts (no column `sentiment`): score it first with `sentimm score`.")


def _open_frame(frame: pl.DataFrame | pl.LazyFrame) -> ScoredPosts:
    lazy = frame.lazy()
    prefix, labels = _find_answers("The frame", lazy.collect_schema().names())
    return ScoredPosts(lazy.with_row_index(PLACE), labels, prefix, ("the frame",))


def _scan(files: Sequence[Path]) -> pl.LazyFrame:
    if not any(map(is_remote, files)):
        return pl.scan_parquet(list(files), hive_partitioning=False, glob=False)
    return pl.scan_parquet([cast(IO[bytes], open_file(file)) for file in files], hive_partitioning=False)
