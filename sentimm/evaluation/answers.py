"""Answers to labelled posts, with their labels: those of a model, or those that `score` wrote."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sentimm.bundle.bundle import Bundle
from sentimm.corpus import Chunk, chunk_frame
from sentimm.corpus.inputs.find import expand_inputs
from sentimm.corpus.labels import IMAGE_LABEL, NO_LABEL, TEXT_LABEL, find_label_columns
from sentimm.errors import ColumnError, InputError, TableError, UsageError
from sentimm.evaluation.groups import Values, check_column, check_values, read_values
from sentimm.evaluation.labelled_posts import (
    LabelledChunk,
    LeftOut,
    choose_posts,
    count_input_rows,
    has_named_images,
    number_labels,
)
from sentimm.evaluation.options import EvaluateOptions
from sentimm.evaluation.seen import SeenPosts
from sentimm.options import SENTIMENTS
from sentimm.scoring.output.columns import OutputColumns
from sentimm.scoring.pipeline.chunk_scorer import ChunkScorer
from sentimm.scoring.scores import STATUSES, USED_MODALITIES

Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]
OWN_LABELS = {"text": TEXT_LABEL, "image": IMAGE_LABEL}
_ALWAYS_ADDED = ("sentiment", "confidence", "modality", "status")


@dataclass(frozen=True)
class Answers:
    """Answers to `posts` posts, and their labels.

    Attributes:
        true: the labels by kind, int64 (posts,), or NO_LABEL.
        answers: int64 (posts,), or NO_LABEL.
        probabilities: float32 (posts, labels), ignored where there is no answer.
        modalities, statuses: int64 (posts,), indices into USED_MODALITIES and STATUSES.
        alone: answers to the `text` or the `image` alone, as `answers`.
        alone_probabilities: their probabilities, where known.
        conflict: float32 (posts,), or NaN.
        values: those of the column of --by, object (posts,); empty without one.
    """

    true: Mapping[str, Int64Array]
    answers: Int64Array
    probabilities: Float32Array
    modalities: Int64Array
    statuses: Int64Array
    alone: Mapping[str, Int64Array]
    alone_probabilities: Mapping[str, Float32Array]
    conflict: Float32Array
    values: Values


def join_answers(parts: Sequence[Answers]) -> Answers:
    """Join answers of the same kinds, at least one, in order."""

    def join(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], Mapping):
            return {key: np.concatenate([value[key] for value in values]) for key in values[0]}
        return np.concatenate(values)

    return Answers(**{name: join(name) for name in Answers.__dataclass_fields__})


def needs_views(bundle: Bundle, kinds: Collection[str]) -> bool:
    """Check whether the model has heads for text and image, and labels of these `kinds` are compared with them."""
    return len(bundle.fusion.heads) == len(OWN_LABELS) and bool(set(OWN_LABELS.values()) & set(kinds))


def answer_posts(
    scorer: ChunkScorer, bundle: Bundle, posts: LabelledChunk, by: str | None, advance: Callable[[float], None]
) -> Answers:
    """Score posts, and each modality alone where there are labels of it; `by` names a column of values to keep.

    `scorer` must have been made with the views that `needs_views` returns. Without both heads, each modality is scored
    once more.
    """
    chunk = posts.chunk
    scores = scorer.score(chunk, advance)
    alone: dict[str, Int64Array] = {}
    probabilities: dict[str, Float32Array] = {}
    conflict = np.full(chunk.rows, np.nan, dtype=np.float32)
    if scores.views is not None:
        alone = {"text": scores.views.text, "image": scores.views.image}
        probabilities = {"text": scores.views.text_probabilities, "image": scores.views.image_probabilities}
        conflict = scores.views.conflict
    else:
        for modality, kind in OWN_LABELS.items():
            if kind in posts.labels and modality in bundle.modalities:
                side = scorer.score(_leave_alone(chunk, modality), lambda _share: None)
                alone[modality], probabilities[modality] = side.labels, side.probabilities
    return Answers(
        true=posts.labels,
        answers=scores.labels,
        probabilities=scores.probabilities,
        modalities=scores.modalities,
        statuses=scores.statuses,
        alone=alone,
        alone_probabilities=probabilities,
        conflict=conflict,
        values=read_values(chunk.frame, by),
    )


def _leave_alone(chunk: Chunk, modality: str) -> Chunk:
    if modality == "text":
        return replace(chunk, images=[None] * chunk.rows)
    return replace(chunk, texts=pl.Series("text", [None] * chunk.rows, dtype=pl.String))


@dataclass(frozen=True)
class ScoredTables:
    """Parquet files that `score` wrote, and their columns."""

    paths: tuple[Path, ...]
    columns: OutputColumns


def find_scored_tables(inputs: Sequence[str]) -> ScoredTables | None:
    """Return the inputs if all are Parquet files with the columns that `score` adds, else None.

    Raises:
        InputError: an input is not there.
        TableError: one can't be read.
        UsageError: their columns differ.
    """
    paths = tuple(expand_inputs(inputs))
    found: set[Any] = set()
    for path in paths:
        if not path.is_file() or path.suffix.lower() not in (".parquet", ".pq"):
            return None
        try:
            names = pq.read_schema(path).names
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"{path} can't be read as Parquet: {error}.") from error
        found.add(_find_answers(path, names))
    if None in found:
        return None
    if len(found) > 1:
        raise UsageError(
            f"{', '.join(inputs)} hold answers in different columns: evaluate each by itself, or name the model with "
            "--model to score the posts again."
        )
    prefix, labels = found.pop()
    return ScoredTables(paths, OutputColumns({}, labels, prefix))


def _find_answers(path: Path, names: list[str]) -> tuple[str, tuple[str, ...]] | None:
    """Return prefix and labels of the columns that `score` added; the last ones, if it did so several times.

    Raises:
        UsageError: the columns of probabilities are missing or elsewhere, so the order of the labels is unknown.
    """
    for name in reversed(names):
        prefix = name.removesuffix("sentiment")
        if not name.endswith("sentiment") or not {prefix + each for each in _ALWAYS_ADDED} <= set(names):
            continue
        between = names[names.index(prefix + "confidence") + 1 : names.index(prefix + "modality")]
        labels = tuple(each.removeprefix(f"{prefix}p_") for each in between if each.startswith(f"{prefix}p_"))
        if labels:
            return prefix, labels
        if {f"{prefix}p_{label}" for label in SENTIMENTS} <= set(names):
            return prefix, SENTIMENTS
        raise UsageError(
            f"{path} has the answers in {name!r}, but no longer their probabilities behind {prefix + 'confidence'!r}: "
            "name the model with --model to score the posts again."
        )
    return None


def read_answers(tables: ScoredTables, options: EvaluateOptions, seen: SeenPosts | None, left_out: LeftOut) -> Answers:
    """Read the answers in tables that `score` wrote.

    Raises:
        ColumnError, UsageError, InputError: see `find_label_columns`, `number_labels`, and `chunk_frame` with `seen`.
        UsageError: an option asks for other answers.
    """
    for option, asked in (("--only", options.corpus.only), ("--precision", options.precision != "auto")):
        if asked:
            raise UsageError(
                f"{option} asks for other answers than those in {', '.join(options.inputs)}: name the model with "
                "--model to score the posts again."
            )
    name = ", ".join(map(str, tables.paths))
    frame, rows = _read_tables(tables.paths, options.corpus.limit)
    prefix, names = tables.columns.prefix, tables.columns.labels
    columns = find_label_columns(name, frame.columns, options.label_column)
    check_column(name, frame.columns, options.by)
    if options.by is not None:
        check_values(frame, options.by)
    if not len(frame):
        raise InputError(f"{name} has no posts: nothing can be compared.")
    labels = number_labels(frame, count_input_rows(options.inputs, rows), columns, names, options)
    if seen is None:
        nothing = pl.Series("text", [None] * len(frame), dtype=pl.String)
        chunk = Chunk(0, frame, nothing, [None] * len(frame), np.zeros(len(frame), dtype=bool))
    else:
        chunk, choice = chunk_frame(frame, options.corpus)
        if has_named_images(choice, options):
            left_out.images_compared = 0
    chunk = replace(chunk, unreadable=(frame[prefix + "status"] == "row_unreadable").fill_null(False).to_numpy())
    posts = choose_posts(LabelledChunk(chunk, labels), seen, left_out)
    frame = posts.chunk.frame
    conflict = pl.Series([None] * len(frame), dtype=pl.Float32)
    if prefix + "conflict" in frame.columns:
        conflict = frame[prefix + "conflict"]
    return Answers(
        true=posts.labels,
        answers=_number(frame[prefix + "sentiment"], names),
        probabilities=frame.select(f"{prefix}p_{label}" for label in names).cast(pl.Float32).to_numpy(),
        modalities=_number(frame[prefix + "modality"], USED_MODALITIES),
        statuses=_number(frame[prefix + "status"], STATUSES),
        alone={
            modality: _number(frame[f"{prefix}{modality}_sentiment"], names)
            for modality in OWN_LABELS
            if f"{prefix}{modality}_sentiment" in frame.columns
        },
        alone_probabilities={},
        conflict=conflict.cast(pl.Float32).fill_null(float("nan")).to_numpy(),
        values=read_values(frame, options.by),
    )


def _read_tables(paths: Sequence[Path], limit: int | None) -> tuple[pl.DataFrame, list[int]]:
    """Read the first `limit` rows, and return how many are from each file.

    Raises:
        ColumnError: the tables can't be put together.
    """
    frames = []
    left = limit
    for path in paths:
        frames.append(pl.read_parquet(path, glob=False, n_rows=left))
        left = None if left is None else left - len(frames[-1])
    try:
        whole = pl.concat(frames, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        names = ", ".join(map(str, paths))
        raise ColumnError(f"The columns of {names} differ in type ({error}): evaluate each by itself.") from error
    return whole, list(map(len, frames))


def _number(values: pl.Series, names: Sequence[str]) -> Int64Array:
    """Return values as indices into `names`: int64 (values,), NO_LABEL for null.

    Raises:
        ColumnError: a value is none of the names.
    """
    places = {name: place for place, name in enumerate(names)}
    try:
        found = values.cast(pl.String).replace_strict(places, return_dtype=pl.Int64)
    except pl.exceptions.InvalidOperationError:
        unknown = values.filter(~values.cast(pl.String).is_in(list(names)))[0]
        raise ColumnError(
            f"The column {values.name!r} holds {unknown!r}, which `sentimm score` does not write: name the model with "
            "--model to score the posts again."
        ) from None
    return found.fill_null(NO_LABEL).to_numpy()
