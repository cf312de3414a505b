"""Labelled posts for an evaluation: which posts count, and their labels in the order of the model's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.corpus import Chunk, CorpusReader, Survey
from sentimm.corpus.labels import NO_LABEL, read_labels
from sentimm.errors import ColumnError, InputError, UsageError
from sentimm.evaluation.seen import SeenPosts
from sentimm.options import EvaluateOptions

_CHUNK_ROWS = 256  # scored at once: progress moves every few seconds

Ints = npt.NDArray[np.int64]
LABEL, TEXT_LABEL, IMAGE_LABEL = "label", "text_label", "image_label"


@dataclass(frozen=True)
class LabelledChunk:
    """Posts with a label, and their labels by kind (LABEL, TEXT_LABEL, IMAGE_LABEL): int64 (posts,), or NO_LABEL."""

    chunk: Chunk
    labels: dict[str, Ints]

    def select(self, rows: npt.NDArray[np.bool_]) -> LabelledChunk:
        """Keep the posts of `rows`, bool (posts,)."""
        chunk = replace(
            self.chunk,
            frame=self.chunk.frame.filter(pl.Series(rows)),
            texts=self.chunk.texts.filter(pl.Series(rows)),
            images=[self.chunk.images[row] for row in np.flatnonzero(rows)],
            unreadable=self.chunk.unreadable[rows],
            problems=(),
        )
        return LabelledChunk(chunk, {kind: values[rows] for kind, values in self.labels.items()})


@dataclass
class LeftOut:
    """Posts that do not count, so far: without a label of their own, or seen by text, by image, by one or the other."""

    unlabelled: int = 0
    seen_texts: int = 0
    seen_images: int = 0
    seen: int = 0


def find_label_columns(table: str, columns: Sequence[str], label_column: str) -> dict[str, str]:
    """Find the columns of labels by kind.

    Raises:
        ColumnError: the table has no `label_column`.
    """
    if label_column not in columns:
        raise ColumnError(
            f"{table} has no column {label_column!r} to compare with (it has {', '.join(columns)}): name the column of "
            "labels with --label-column."
        )
    found = {LABEL: label_column}
    return found | {kind: kind for kind in (TEXT_LABEL, IMAGE_LABEL) if kind in columns}


def number_labels(
    frame: pl.DataFrame, columns: dict[str, str], labels: Sequence[str], options: EvaluateOptions, table: str
) -> dict[str, Ints]:
    """Number the labels of all posts of a table, in the order of the model's `labels`.

    Raises:
        ColumnError: see `read_labels`.
        UsageError: --labels names one that the model does not have.
        InputError: no post has a label.
    """
    given = labels if options.labels is None else options.labels
    places = {label.lower(): number for number, label in enumerate(labels)}
    if unknown := [label for label in given if label.lower() not in places]:
        raise UsageError(
            f"--labels names {', '.join(unknown)}, but the model's labels are {', '.join(labels)}: use these names."
        )
    found = read_labels([frame[name] for name in dict.fromkeys(columns.values())], given, table)
    place = np.array([*(places[label.lower()] for label in given), NO_LABEL], dtype=np.int64)
    numbered = {kind: place[found[name]] for kind, name in columns.items()}
    if all((each == NO_LABEL).all() for each in numbered.values()):
        raise InputError(f"No post of {table} has a label in the column {columns[LABEL]!r}: nothing can be compared.")
    return numbered


class LabelledCorpus:
    """The posts of a surveyed corpus that have a label.

    Attributes:
        left_out: the posts that `read` left out so far.
        kinds: the kinds of labels that the posts have.

    Raises:
        ColumnError, UsageError, InputError: see `find_label_columns` and `number_labels`.
    """

    def __init__(self, survey: Survey, options: EvaluateOptions, labels: Sequence[str]) -> None:
        self.left_out = LeftOut()
        self._survey, self._options = survey, options
        table = ", ".join(str(source.path) for source in survey.sources)
        columns = find_label_columns(table, list(survey.schema), options.label_column)
        if not survey.rows:
            raise InputError(f"{table} has no posts: nothing can be compared.")
        names = list(dict.fromkeys(columns.values()))
        frame = pl.concat([chunk.frame.select(names) for chunk in self._read_chunks()])
        self._labels = number_labels(frame, columns, labels, options, table)
        self.kinds = tuple(self._labels)

    def read(self, seen: SeenPosts | None) -> Iterator[LabelledChunk]:
        """Read the posts that have a label, without those that were seen."""
        for chunk in self._read_chunks():
            own = slice(chunk.start, chunk.start + chunk.rows)
            posts = LabelledChunk(chunk, {kind: values[own] for kind, values in self._labels.items()})
            yield choose_posts(posts, seen, self.left_out)

    def _read_chunks(self) -> Iterator[Chunk]:
        reader = CorpusReader(self._survey, self._options.corpus)
        while (chunk := reader.read(_CHUNK_ROWS)) is not None:
            yield chunk


def choose_posts(posts: LabelledChunk, seen: SeenPosts | None, left_out: LeftOut) -> LabelledChunk:
    """Keep the posts that have a label of any kind and were not seen; `left_out` gets the numbers of the others."""
    left_out.unlabelled += int((posts.labels[LABEL] == NO_LABEL).sum())
    posts = posts.select(np.max(list(posts.labels.values()), axis=0) != NO_LABEL)
    if seen is None:
        return posts
    by_text, by_image = seen.find_texts(posts.chunk), seen.find_images(posts.chunk)
    left_out.seen_texts += int(by_text.sum())
    left_out.seen_images += int(by_image.sum())
    left_out.seen += int((by_text | by_image).sum())
    return posts.select(~(by_text | by_image))
