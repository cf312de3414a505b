"""Counts and sums over all posts of a corpus, each in one stream: what estimates and drawing begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any

import numpy as np
import polars as pl

from sentimm.corpus.columns.choice import require_column
from sentimm.errors import ColumnError, InputError, UsageError
from sentimm.findings.conditions import check_condition, read_condition
from sentimm.findings.question import Cells, Question
from sentimm.findings.scored import PLACE, ScoredPosts
from sentimm.findings.statistics.estimators import LEAST_VARIANCE, Floats, Ints, Population
from sentimm.findings.statistics.strata import ALL_ALIKE, GRID, Strata
from sentimm.findings.times import begin_periods, read_times

_ALL = Question()
_MOST_CELLS = 10_000
_FORMATS = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "year": "%Y"}


@dataclass(frozen=True)
class AnswerSums:
    """What a model says of domains: the finest groups and periods that are asked for, or all posts as one.

    Attributes:
        cells: group and period of each domain, in order.
        labels: posts by predicted label, int64 (domains, labels).
        p: sums of the probabilities, float64 (domains, labels).
    """

    cells: Cells
    labels: Ints
    p: Floats

    @property
    def posts(self) -> Ints:
        """Posts of each domain, int64 (domains,)."""
        return np.asarray(self.labels.sum(axis=1))

    @property
    def whole(self) -> AnswerSums:
        """The same posts as one domain."""
        return AnswerSums(((None, None),), *(each.sum(axis=0, keepdims=True) for each in (self.labels, self.p)))


def divide(scored: ScoredPosts, question: Question, own: Question = _ALL) -> pl.LazyFrame:
    """Return the posts that have an answer, with their probabilities and domain.

    Columns: PLACE; `f0`, `f1`, ...: probabilities, float64, which sum to 1; `label`: the number of the largest, Int8;
    `spread`: the sum of p (1 - p), float64; `group`, String, and `period`, the day on which it begins, where they are
    asked for; `own_group` and `own_period` likewise, which tell the cells of strata apart; `inside`: whether the post
    meets the condition.

    Raises:
        ColumnError: a column is not there, or is no time.
        UsageError: the condition can't be understood.
    """
    probabilities = [pl.col(name).cast(pl.Float64) for name in scored.name_probabilities()]
    total = sum(probabilities[1:], probabilities[0])
    scale = 1 / total
    columns = [pl.col(PLACE), *((each * scale).alias(f"f{k}") for k, each in enumerate(probabilities))]
    for prefix, each in (("", question), ("own_", own)):
        if each.by is not None:
            _check_groups(scored, each.by)
            columns.append(pl.col(each.by).cast(pl.String, strict=False).alias(f"{prefix}group"))
        if each.time is not None:
            columns.append(_make_period(scored, each, each.time).alias(f"{prefix}period"))
    columns.append(check_condition(scored, question.where).alias("inside"))
    f = [pl.col(f"f{k}") for k in range(len(scored.labels))]
    spread = 1 - sum((each * each for each in f[1:]), f[0] * f[0])
    answered = scored.frame.select(columns).filter(f[0].is_finite())
    return answered.with_columns(_find_largest(f).alias("label"), spread.alias("spread"))


def _find_largest(f: Sequence[pl.Expr]) -> pl.Expr:
    """Return the number of the largest, the first of equal ones, Int8."""
    number: pl.Expr = pl.lit(0, dtype=pl.Int8)
    for k, each in enumerate(f[1:], start=1):  # 0 where it is none of these
        above = [each > other for other in f[:k]] + [each >= other for other in f[k + 1 :]]
        number = number + reduce(and_, above).cast(pl.Int8) * k
    return number


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

    cells: Cells
    posts: Ints
    uncertainty: Floats
    p: Floats
    spread: Floats


def count_posts(posts: pl.LazyFrame, labels: int, question: Question) -> Counts:
    """Count the posts of `divide` in one stream, apart by the groups and periods of a question."""
    f = [pl.col(f"f{k}") for k in range(labels)]
    step = (pl.col("spread") * GRID).cast(pl.Int32).clip(0, GRID - 1)
    counted = posts.group_by((pl.col("label") * pl.lit(GRID, pl.Int32) + step).alias("key"), *question.keys).agg(
        pl.len(),
        *(each.sum() for each in f),
        *((each * each).sum().alias(f"q{k}") for k, each in enumerate(f)),
    )
    found = counted.collect(engine="streaming")
    cells, number = number_cells(found, question)
    shape = (len(cells), labels, GRID)
    counts = np.zeros(shape, np.int64)
    sums, squares = np.zeros((*shape, labels)), np.zeros((*shape, labels))
    at = number, *np.divmod(found["key"].to_numpy(), GRID)
    counts[at] = found["len"].to_numpy()
    sums[at] = found.select(f"f{k}" for k in range(labels)).to_numpy()
    squares[at] = found.select(f"q{k}" for k in range(labels)).to_numpy()
    spread = sums - squares
    # Within a step the spreads hardly differ: their root is that of their mean.
    uncertainty = np.sqrt(counts * np.maximum(spread.sum(axis=-1), 0.0))
    return Counts(cells, counts, uncertainty, sums, spread)


def number_cells(rows: pl.DataFrame, question: Question) -> tuple[Cells, Ints]:
    """Return the cells of rows in order, their periods as words, and the number of each row's, int64 (rows,)."""
    if not question.keys:
        return ((None, None),), np.zeros(len(rows), dtype=np.int64)
    own = name_cells(rows, question)
    cells = own.unique().sort(question.keys, nulls_last=True).with_row_index("cell")
    if len(cells) > _MOST_CELLS:
        raise UsageError(
            f"There are {len(cells):,} groups and periods, but at most {_MOST_CELLS:,} can be asked about: name a "
            "column of fewer values with --by, or longer periods with --every."
        )
    numbers = own.join(cells, on=question.keys, how="left", nulls_equal=True, maintain_order="left")
    named = tuple((row.get("group"), row.get("period")) for row in cells.to_dicts())
    return named, numbers["cell"].to_numpy().astype(np.int64)


def name_cells(rows: pl.DataFrame, question: Question) -> pl.DataFrame:
    """Return group and period of rows of `divide`, as far as they are asked for, as words that sort in order."""
    return rows.select(_name_key(name, question) for name in question.keys)


def _name_key(name: str, question: Question, prefix: str = "") -> pl.Expr:
    if name == "group":
        return pl.col(f"{prefix}group")
    start = pl.col(f"{prefix}period")
    if question.every == "quarter":
        numbers = start.dt.year().cast(pl.String), start.dt.quarter().cast(pl.String)
        return pl.concat_str(numbers[0], pl.lit("-Q"), numbers[1]).alias("period")
    return start.dt.strftime(_FORMATS[question.every])


def place_strata(strata: Strata, own: Question) -> pl.Expr:
    """Return the stratum of each post of `divide`, Int32; null in a cell that has none.

    Args:
        strata: how posts are told apart.
        own: what tells their cells apart.
    """
    if strata == ALL_ALIKE:
        return pl.lit(0, dtype=pl.Int32)
    if len(strata.cells) == 1:
        return _place_labels(strata.cuts[0], 0)
    placed: Any = pl
    for (group, period), first, cuts in zip(strata.cells, strata.firsts, strata.cuts, strict=True):
        inside = pl.lit(True)
        for name, value in (("group", group), ("period", period)):
            if name in own.keys:
                inside = inside & _name_key(name, own, "own_").eq_missing(pl.lit(value, dtype=pl.String))
        placed = placed.when(inside).then(_place_labels(cuts, first))
    whole: pl.Expr = placed.otherwise(None)
    return whole


def _place_labels(cuts: tuple[tuple[int, ...], ...] | None, first: int) -> pl.Expr:
    """Return the stratum of each post of a cell: by label and, within it, by how many cuts its spread is beyond."""
    if cuts is None:
        return pl.lit(first, dtype=pl.Int32)
    label = pl.col("label")
    firsts = [first + sum(len(steps) + 1 for steps in cuts[:number]) for number in range(len(cuts))]
    placed = _by_label(label, firsts, pl.Int32)
    for index in range(max(map(len, cuts))):
        limits = [steps[index] / GRID if index < len(steps) else 2.0 for steps in cuts]  # a spread is below 1
        placed = placed + (pl.col("spread") >= _by_label(label, limits, pl.Float64)).cast(pl.Int32)
    return placed


def _by_label(label: pl.Expr, values: Sequence[float], dtype: Any) -> pl.Expr:
    expression: Any = pl
    for number, value in enumerate(values[:-1]):
        expression = expression.when(label == number).then(pl.lit(value, dtype=dtype))
    last = pl.lit(values[-1], dtype=dtype)
    return last if expression is pl else expression.otherwise(last)


def sum_answers(posts: pl.LazyFrame, labels: int, question: Question) -> AnswerSums:
    """Sum the model's answers to all posts of `divide`, in one stream: what is known without labels by hand.

    Raises:
        InputError: no post is asked about.
    """
    sums = [pl.col(f"f{k}").sum().alias(f"p{k}") for k in range(labels)]
    found = _sum_by(pl.col("label").cast(pl.Int32), sums, posts, question)
    return _read_answers(found, found["key"].to_numpy(), labels, question)


def sum_population(
    posts: pl.LazyFrame, stratum_of: pl.Expr, sizes: Ints, means: Floats, question: Question
) -> tuple[Population, AnswerSums]:
    """Sum over all posts of `divide`, in one stream.

    Args:
        posts: from `divide`.
        stratum_of: their stratum, from `place_strata`.
        sizes: posts of each stratum of the corpus, int64 (strata,).
        means: their mean probabilities, float64 (strata, labels).
        question: what is asked for.

    Returns:
        the sums by stratum and cell, and those by cell alone.

    Raises:
        InputError: no post is asked about.
    """
    labels = means.shape[1]
    f = [pl.col(f"f{k}") for k in range(labels)]
    sums = [f[k].sum().alias(f"p{k}") for k in range(labels)]
    sums += [(f[k] * f[k]).sum().alias(f"q{k}") for k in range(labels)]
    sums += [(f[k] * (1 - f[k])).clip(LEAST_VARIANCE).sum().alias(f"v{k}") for k in range(labels)]
    found = _sum_by(stratum_of * labels + pl.col("label"), sums, posts, question)
    stratum, label = np.divmod(found["key"].to_numpy(), labels)
    answers = _read_answers(found, label, labels, question)
    _, number = number_cells(found, question)

    def add_up(rows: Floats) -> Floats:
        filled = np.zeros((len(sizes), len(answers.cells), rows.shape[1]))
        np.add.at(filled, (stratum, number), rows)
        return filled

    def take(letter: str) -> Floats:
        return add_up(found.select(f"{letter}{k}" for k in range(labels)).to_numpy())

    in_cell = add_up(found["len"].to_numpy()[:, None])[:, :, 0].astype(np.int64)
    return Population(sizes, means, in_cell, take("p"), take("q"), take("v")), answers


def sum_points(posts: pl.LazyFrame, key: pl.Expr, domains: AnswerSums, question: Question) -> list[tuple[Floats, Ints]]:
    """Sum the posts of `divide` by a number, apart in each domain, in one stream.

    Args:
        posts: from `divide`.
        key: the number, Int64.
        domains: the domains and their sums.
        question: what is asked for.

    Returns:
        of each domain: mean probabilities by number, float64 (numbers, labels), and posts, int64 (numbers,).
    """
    labels = domains.p.shape[1]
    found = _sum_by(key, [pl.col(f"f{k}").mean().alias(f"p{k}") for k in range(labels)], posts, question)
    _, number = number_cells(found, question)
    p, rows = found.select(f"p{k}" for k in range(labels)).to_numpy(), found["len"].to_numpy().astype(np.int64)
    return [(p[number == cell], rows[number == cell]) for cell in range(len(domains.cells))]


def _sum_by(key: pl.Expr, sums: Sequence[pl.Expr], posts: pl.LazyFrame, question: Question) -> pl.DataFrame:
    """Count and sum the posts that are asked about by `key` (one number: grouping by more columns is slow) and cell."""
    chosen = posts if question.where is None else posts.filter("inside")
    found = (
        chosen.with_columns(key.alias("key"))
        .group_by("key", *question.keys)
        .agg(pl.len(), *sums)
        .collect(engine="streaming")
    )
    if not len(found):
        raise InputError(_explain_nothing(question))
    return found


def _read_answers(rows: pl.DataFrame, label: Ints, labels: int, question: Question) -> AnswerSums:
    cells, number = number_cells(rows, question)
    by_label, p = np.zeros((len(cells), labels), np.int64), np.zeros((len(cells), labels))
    np.add.at(by_label, (number, label), rows["len"].to_numpy())
    np.add.at(p, number, rows.select(f"p{k}" for k in range(labels)).to_numpy())
    return AnswerSums(cells, by_label, p)


def find_cells(domains: AnswerSums, rows: pl.DataFrame, question: Question) -> Ints:
    """Return the number of the cell of each row of `divide`, int64 (rows,); -1: outside of what is asked about."""
    numbers = {cell: number for number, cell in enumerate(domains.cells)}
    names = name_cells(rows, question).to_dicts()
    cells = [(name.get("group"), name.get("period")) for name in names] if question.keys else [(None, None)] * len(rows)
    inside = rows["inside"].to_list()
    found = [numbers.get(cell, -1) if is_inside else -1 for cell, is_inside in zip(cells, inside, strict=True)]
    return np.array(found, dtype=np.int64)


def list_columns(question: Question) -> list[str]:
    """Return the columns that `divide` reads besides the probabilities."""
    asked = [name for name in (question.by, question.time) if name is not None]
    return [*asked, *read_condition(question.where).meta.root_names()]


def _make_period(scored: ScoredPosts, question: Question, column: str) -> pl.Expr:
    """Return the day on which the period of each post begins."""
    require_column(column, scored.columns, "--time")
    return begin_periods(read_times(scored.frame, column, question.dates), question.every)


def _check_groups(scored: ScoredPosts, column: str) -> None:
    require_column(column, scored.columns, "--by")
    dtype = scored.frame.collect_schema()[column]
    if dtype.is_nested() or dtype == pl.Binary:
        raise ColumnError(f"--by names {column!r}, which holds {dtype}, and no names of groups.")


def _explain_nothing(question: Question) -> str:
    if question.where is not None:
        return f"No scored post meets --where {question.where!r}."
    return "The input has no post with an answer."
