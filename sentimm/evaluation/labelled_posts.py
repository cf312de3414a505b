"""Labelled posts for an evaluation: which of them count, and their labels as indices into the model's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.corpus import Chunk, ColumnChoice, CorpusReader, Survey, is_found
from sentimm.corpus.inputs.find import expand_inputs
from sentimm.corpus.labels import LABEL, NO_LABEL, find_label_columns, read_labels
from sentimm.corpus.survey.image_folders import explain_folder_labels, note_folder_labels, read_folder_labels
from sentimm.errors import ColumnError, InputError, UsageError
from sentimm.evaluation.groups import check_column, check_values
from sentimm.evaluation.options import EvaluateOptions
from sentimm.evaluation.seen import SeenPosts

_CHUNK_ROWS = 256  # scored at once: progress moves every few seconds

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelledChunk:
    """Posts with a label, and their labels by kind (see LABEL_COLUMNS): int64 (posts,), or NO_LABEL."""

    chunk: Chunk
    labels: dict[str, Int64Array]

    def select(self, rows: npt.NDArray[np.bool_]) -> LabelledChunk:
        """Return the posts of `rows`, bool (posts,)."""
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
    """Numbers of posts left out so far.

    Attributes:
        unlabelled, unreadable: posts without a label, rows that can't be read.
        seen_texts, seen_images, seen: posts that occur in the other table by text, by image, by either.
        images_compared: posts whose image was looked up in the other table; None: the posts name no images.
    """

    unlabelled: int = 0
    unreadable: int = 0
    seen_texts: int = 0
    seen_images: int = 0
    seen: int = 0
    images_compared: int | None = None


def number_labels(
    frame: pl.DataFrame,
    tables: Sequence[tuple[str, int]],
    columns: dict[str, str],
    labels: Sequence[str],
    options: EvaluateOptions,
) -> dict[str, Int64Array]:
    """Return the labels of all posts by kind, as indices into the model's `labels`: int64 (posts,), or NO_LABEL.

    Args:
        frame: the posts of all tables.
        tables: their names and numbers of rows; each may spell labels in its own way.
        columns: the columns of labels by kind.
        labels: the model's.
        options: what was asked for.

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
    read: dict[str, list[Int64Array]] = {name: [] for name in columns.values()}
    start = 0
    for table, rows in tables:
        own = frame.slice(start, rows)
        start += rows
        own_labels = read_labels([own[name] for name in read], given, table, options.label_values)
        for name, values in own_labels.items():
            read[name].append(values)
    place = np.array([*(places[label.lower()] for label in given), NO_LABEL], dtype=np.int64)
    numbered = {kind: place[np.concatenate(read[name])] for kind, name in columns.items()}
    if all((each == NO_LABEL).all() for each in numbered.values()):
        names = ", ".join(name for name, _ in tables)
        raise InputError(
            f"No post of {names} has a label in the column {columns[LABEL]!r}: name one with --label-column."
        )
    return numbered


class LabelledCorpus:
    """The posts of a surveyed corpus that have a label.

    Attributes:
        left_out: counts the posts that `read` leaves out.
        kinds: the kinds of labels that the posts have.
        notes: how they are labelled, in sentences, where that is not by a column.

    Raises:
        ColumnError, UsageError, InputError: see `find_label_columns` and `number_labels`.
    """

    def __init__(self, survey: Survey, options: EvaluateOptions, labels: Sequence[str]) -> None:
        self.left_out = LeftOut()
        self._survey, self._options = survey, options
        table = ", ".join(str(source.path) for source in survey.sources)
        check_column(table, survey.schema, options.by)
        if options.by is not None and survey.rows:  # before hours of scoring
            check_values(pl.concat([chunk.frame.select(options.by) for chunk in self._read_chunks()]), options.by)
        by_folder = read_folder_labels(survey, options.label_column)
        if by_folder is None:
            columns = find_label_columns(table, list(survey.schema), options.label_column)
        else:
            columns = {LABEL: options.label_column}
        if not survey.rows:
            raise InputError(f"{table} has no posts: nothing can be compared.")
        if has_named_images(survey.choice, options):
            self.left_out.images_compared = 0
        self.notes = () if by_folder is None else (note_folder_labels(survey),)
        if by_folder is None:
            names = list(dict.fromkeys(columns.values()))
            frame = pl.concat([chunk.frame.select(names) for chunk in self._read_chunks()])
        else:
            frame = by_folder.to_frame()
        tables = count_input_rows(options.inputs, [source.rows for source in survey.sources])
        try:
            self._labels = number_labels(frame, tables, columns, labels, options)
        except ColumnError as error:
            if by_folder is None:
                raise
            raise explain_folder_labels(survey, options.labels or labels, error) from error
        self.kinds = tuple(self._labels)

    def read(self, seen: SeenPosts | None) -> Iterator[LabelledChunk]:
        """Yield the posts that have a label, without those that `seen` has."""
        for chunk in self._read_chunks():
            own = slice(chunk.start, chunk.start + chunk.rows)
            posts = LabelledChunk(chunk, {kind: values[own] for kind, values in self._labels.items()})
            yield choose_posts(posts, seen, self.left_out)

    def _read_chunks(self) -> Iterator[Chunk]:
        reader = CorpusReader(self._survey, self._options.corpus)
        while (chunk := reader.read(_CHUNK_ROWS)) is not None:
            yield chunk


def has_named_images(choice: ColumnChoice, options: EvaluateOptions) -> bool:
    """Check whether posts name images that are to be used, even without a folder of them."""
    named = choice.image or choice.ignored_image or choice.by_id
    return bool(named) and options.corpus.only != "text"


def count_input_rows(inputs: Sequence[str], rows: Sequence[int]) -> list[tuple[str, int]]:
    """Return each input with its number of rows, from those of all files: a glob or a folder is one table."""
    left = iter(rows)
    return [(name, sum(islice(left, len(expand_inputs([name]))))) for name in inputs]


def choose_posts(posts: LabelledChunk, seen: SeenPosts | None, left_out: LeftOut) -> LabelledChunk:
    """Return the posts that have a label of any kind and are not in `seen`; the others are counted in `left_out`."""
    unreadable = posts.chunk.unreadable
    left_out.unreadable += int(unreadable.sum())
    left_out.unlabelled += int(((posts.labels[LABEL] == NO_LABEL) & ~unreadable).sum())
    posts = posts.select((np.max(list(posts.labels.values()), axis=0) != NO_LABEL) & ~unreadable)
    if seen is None:
        return posts
    by_text, by_image = seen.flag_texts(posts.chunk), seen.flag_images(posts.chunk)
    left_out.seen_texts += int(by_text.sum())
    left_out.seen_images += int(by_image.sum())
    left_out.seen += int((by_text | by_image).sum())
    if left_out.images_compared is not None:
        left_out.images_compared += seen.has_images * sum(map(is_found, posts.chunk.images))
    return posts.select(~(by_text | by_image))
