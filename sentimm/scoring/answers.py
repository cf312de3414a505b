"""Answers to labelled posts beside their labels: of a model, or as `score` wrote them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.bundle import Bundle
from sentimm.corpus import Chunk, chunk_frame
from sentimm.corpus.labels import NO_LABEL
from sentimm.corpus.tables import expand_inputs
from sentimm.errors import ColumnError, InputError, TableError
from sentimm.evaluation.seen import SeenPosts
from sentimm.options import EvaluateOptions
from sentimm.scoring.labelled import (
    IMAGE_LABEL,
    TEXT_LABEL,
    LabelledChunk,
    LeftOut,
    choose_posts,
    find_label_columns,
    number_labels,
)
from sentimm.scoring.output import MODALITIES, STATUSES
from sentimm.scoring.pipeline import ChunkScorer

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
OWN_LABELS = {"text": TEXT_LABEL, "image": IMAGE_LABEL}


@dataclass(frozen=True)
class Answers:
    """Answers to `posts` posts, and their labels.

    Attributes:
        true: the labels by kind, int64 (posts,), or NO_LABEL.
        answers: int64 (posts,), or NO_LABEL.
        probabilities: float32 (posts, labels), not looked at where there is no answer.
        modalities, statuses: int64 (posts,), indices into MODALITIES and STATUSES.
        alone: answers to the `text` or the `image` alone, as `answers`.
        alone_probabilities: theirs; without those that are not known.
        conflict: float32 (posts,), NaN where there is none.
    """

    true: Mapping[str, Ints]
    answers: Ints
    probabilities: Floats
    modalities: Ints
    statuses: Ints
    alone: Mapping[str, Ints]
    alone_probabilities: Mapping[str, Floats]
    conflict: Floats


def join_answers(parts: Sequence[Answers]) -> Answers:
    """Join answers of the same kinds, at least one, in order."""

    def join(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], Mapping):
            return {key: np.concatenate([value[key] for value in values]) for key in values[0]}
        return np.concatenate(values)

    return Answers(**{name: join(name) for name in Answers.__dataclass_fields__})


def asks_views(bundle: Bundle, kinds: Collection[str]) -> bool:
    """Tell whether heads say what text and image are alone, and a table with labels of these `kinds` wants to know."""
    return len(bundle.fusion.heads) == len(OWN_LABELS) and bool(set(OWN_LABELS.values()) & set(kinds))


def answer_posts(
    scorer: ChunkScorer, bundle: Bundle, posts: LabelledChunk, advance: Callable[[float], None]
) -> Answers:
    """Score posts, also each side alone where a label of that side is among the labels.

    `scorer` was made with the views that `asks_views` tells of; a model without both heads scores each side once more.
    """
    chunk = posts.chunk
    scores = scorer.score(chunk, advance)
    alone: dict[str, Ints] = {}
    probabilities: dict[str, Floats] = {}
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
    )


def _leave_alone(chunk: Chunk, modality: str) -> Chunk:
    if modality == "text":
        return replace(chunk, images=[None] * chunk.rows)
    return replace(chunk, texts=pl.Series("text", [None] * chunk.rows, dtype=pl.String))


@dataclass(frozen=True)
class ScoredTables:
    """Parquet files that `score` wrote, and the labels of their model."""

    paths: tuple[Path, ...]
    labels: tuple[str, ...]


def find_scored_tables(inputs: Sequence[str]) -> ScoredTables | None:
    """Tell whether all inputs are Parquet files with the columns that `score` adds; None where they are not.

    Raises:
        InputError: an input is not there.
        TableError: one can't be read.
    """
    paths = tuple(expand_inputs(inputs))
    labels = set()
    for path in paths:
        if not path.is_file() or path.suffix.lower() not in (".parquet", ".pq"):
            return None
        try:
            names = list(pl.read_parquet_schema(path))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise TableError(f"{path} can't be read as Parquet: {error}.") from error
        if not {"sentiment", "confidence", "modality", "status"} <= set(names):
            return None
        between = names[names.index("confidence") + 1 : names.index("modality")]
        labels.add(tuple(name.removeprefix("p_") for name in between if name.startswith("p_")))
    if len(labels) != 1 or not (found := labels.pop()):
        return None
    return ScoredTables(paths, found)


def read_answers(tables: ScoredTables, options: EvaluateOptions, seen: SeenPosts | None, left_out: LeftOut) -> Answers:
    """Read the answers in tables that `score` wrote.

    Raises:
        ColumnError, UsageError, InputError: see `find_label_columns`, `number_labels`, and `chunk_frame` where posts
            are to be left out.
    """
    name = ", ".join(map(str, tables.paths))
    frame = pl.concat([pl.read_parquet(path, glob=False) for path in tables.paths], how="diagonal")
    columns = find_label_columns(name, frame.columns, options.label_column)
    if not len(frame):
        raise InputError(f"{name} has no posts: nothing can be compared.")
    labels = number_labels(frame, columns, tables.labels, options, name)
    if seen is None:
        nothing = pl.Series("text", [None] * len(frame), dtype=pl.String)
        chunk = Chunk(0, frame, nothing, [None] * len(frame), np.zeros(len(frame), dtype=bool))
    else:
        chunk, _ = chunk_frame(frame, options.corpus)
    posts = choose_posts(LabelledChunk(chunk, labels), seen, left_out)
    frame = posts.chunk.frame
    conflict = frame["conflict"] if "conflict" in frame.columns else pl.Series([None] * len(frame), dtype=pl.Float32)
    return Answers(
        true=posts.labels,
        answers=_find_places(frame["sentiment"], tables.labels),
        probabilities=frame.select(f"p_{label}" for label in tables.labels).cast(pl.Float32).to_numpy(),
        modalities=_find_places(frame["modality"], MODALITIES),
        statuses=_find_places(frame["status"], STATUSES),
        alone={
            modality: _find_places(frame[f"{modality}_sentiment"], tables.labels)
            for modality in OWN_LABELS
            if f"{modality}_sentiment" in frame.columns
        },
        alone_probabilities={},
        conflict=conflict.cast(pl.Float32).fill_null(float("nan")).to_numpy(),
    )


def _find_places(values: pl.Series, names: Sequence[str]) -> Ints:
    """Give the places of values among `names`, int64, NO_LABEL for null.

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
