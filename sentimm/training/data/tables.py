"""Labelled posts read from their tables."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from sentimm.corpus import Chunk, CorpusReader, ImageFile, list_images, survey_corpus
from sentimm.corpus.labels import (
    LABEL,
    LABEL_COLUMNS,
    NO_LABEL,
    find_label_columns,
    read_labels,
)
from sentimm.corpus.survey.image_folders import (
    explain_folder_labels,
    note_folder_labels,
    note_image_folders,
    read_folder_labels,
)
from sentimm.errors import ColumnError, ImageError, InputError
from sentimm.images import decode_image
from sentimm.options import CorpusOptions
from sentimm.storage import read_bytes
from sentimm.text import normalize_texts
from sentimm.training.data.columns.auxiliary import AuxiliaryCells
from sentimm.training.data.columns.groups import ColumnGroups
from sentimm.training.data.columns.label_sets import SetNumbers
from sentimm.training.data.normalization import choose_normalization
from sentimm.training.data.posts import PER_POST, Int64Array, LabelledPosts, drop_images, keep_modalities, select_usable
from sentimm.training.options import TrainOptions, name_in_full

_CHUNK_ROWS = 10_000


_MISSING_IMAGES = "named images missing (trained on as text)"
_UNUSED_IMAGES = "named images not used: name their folder with --images"
_UNREADABLE_IMAGES = "images unreadable (trained on as text)"


def load_posts(
    inputs: Sequence[str], options: TrainOptions, modalities: Sequence[str], size: int, *, is_training: bool = True
) -> LabelledPosts:
    """Read the labelled posts of `inputs` that have one of the `modalities`; images must decode at `size` pixels.

    Those that are not for training need no column of --labels-by, and none of --auxiliary is read.

    Raises:
        InputError: a table or all named images are missing, or no post can be used.
        ColumnError: a table lacks the label column, or holds a label that is not one of `options.labels`.
    """
    posts = keep_modalities(read_labelled_posts(inputs, options, modalities, size, is_training=is_training), modalities)
    _check_any(posts, inputs)
    return posts


def read_labelled_posts(
    inputs: Sequence[str], options: TrainOptions, modalities: Sequence[str], size: int, *, is_training: bool = True
) -> LabelledPosts:
    """Read as `load_posts`, but also posts and contents of another modality: texts, and images where --images is given.

    Raises:
        InputError, ColumnError: see `load_posts`.
    """
    auxiliary = AuxiliaryCells(options.auxiliary if is_training else (), modalities)
    builder = _PostBuilder(options, modalities, auxiliary, is_training=is_training)
    for number, table in enumerate(inputs):
        _read_table(table, number, options, builder)
    if "image" in modalities and builder.skipped[_MISSING_IMAGES] and not builder.images:
        raise InputError(
            f"No post of {', '.join(inputs)} finds its image in {options.images or 'its folder'}: check that --images "
            "is the right folder, and name the column of images with --image-column."
        )
    if "image" not in modalities:
        del builder.skipped[_UNUSED_IMAGES]
    builder.groups.check()
    if len(builder.unlabelled) == len(inputs) and len(modalities) > 1:
        raise builder.unlabelled[0]  # there is nothing for the fusion to learn
    if is_training:
        builder.sets.check_column()
    posts = builder.to_posts(_short_names(inputs))
    reads_images = "image" in modalities or options.images is not None
    posts = _keep_readable(posts, size) if reads_images else drop_images(posts)
    posts = select_usable(posts, ("text", "image"), modalities)
    _check_any(posts, inputs)
    return posts


def _check_any(posts: LabelledPosts, inputs: Sequence[str]) -> None:
    if not len(posts):
        reasons = ", ".join(f"{count} {reason}" for reason, count in posts.skipped.items()) or "there are no rows"
        raise InputError(f"No post of {', '.join(inputs)} can be used for training ({reasons}).")


def _short_names(tables: Sequence[str]) -> tuple[str, ...]:
    """Return the shortest ends of the tables' paths that tell them apart."""
    parts = [Path(name_in_full(table)).parts for table in tables]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return tuple(names)
    return tuple(f"{table} ({number})" for number, table in enumerate(tables, start=1))


class _PostBuilder:
    """Posts collected row by row, their distinct texts and images numbered."""

    def __init__(
        self, options: TrainOptions, modalities: Sequence[str], auxiliary: AuxiliaryCells, *, is_training: bool
    ) -> None:
        self.options = options
        self.is_training = is_training
        self.modalities = modalities
        self.auxiliary = auxiliary
        self.normalization = choose_normalization(options)
        self.texts: dict[str, int] = {}
        self.raw_texts: list[str] = []
        self.images: dict[ImageFile, int] = {}
        self.groups = ColumnGroups(options.balance)
        self.ids: list[str] = []
        self.more_images: list[list[int]] = []
        self.columns: dict[str, list[int]] = {name: [] for name in (*PER_POST, "label_set")}
        self.sets = SetNumbers(options.labels_by)
        self.unlabelled: dict[int, ColumnError] = {}  # tables without a column of labels of whole posts
        self.taught_alone = 0  # posts that have no label, but a teacher
        self.skipped: Counter[str] = Counter()
        self.notes: list[str] = []

    def has_teacher(self, table: int) -> bool:
        """Check whether the posts of a table are learnt from a teacher's answers, with or without a label."""
        return self.is_training and self.options.teacher_weights[table] > 0

    def add(self, post_id: str, images: Sequence[ImageFile], **values: int) -> None:
        self.ids.append(post_id)
        first, *more = [self.images.setdefault(image, len(self.images)) for image in images] or [-1]
        self.more_images.append(more)
        values["image"] = first
        for name, column in self.columns.items():
            column.append(values[name])

    def number_text(self, text: str | None, raw: str | None) -> int:
        """Return the row of a normalised text among the distinct ones, -1 where there is none."""
        if not text or raw is None:
            return -1
        if text not in self.texts:
            self.raw_texts.append(raw)
        return self.texts.setdefault(text, len(self.texts))

    def _note_taught(self) -> tuple[str, ...]:
        if not self.taught_alone:
            return ()
        return (f"{self.taught_alone:,} posts have no label: they are learnt from the teacher's answers alone.",)

    def to_posts(self, tables: tuple[str, ...]) -> LabelledPosts:
        arrays = {name: np.asarray(values, dtype=np.int64) for name, values in self.columns.items()}
        columns, auxiliary = self.auxiliary.to_columns()
        return LabelledPosts(
            tables=tables,
            ids=tuple(self.ids),
            texts=tuple(self.texts),
            raw_texts=tuple(self.raw_texts),
            normalization=self.normalization,
            images=tuple(self.images),
            image_digests=("",) * len(self.images),
            skipped=dict(self.skipped),
            more_images=_pad_rows(self.more_images),
            notes=(*self.notes, *self._note_taught(), *self.groups.notes),
            group=self.groups.to_array(),
            group_names=self.groups.names,
            unlabelled=tuple(self.unlabelled),
            label_sets=self.sets.to_sets(tables, arrays, len(self.options.labels)) if self.options.labels_by else None,
            auxiliary_columns=columns,
            auxiliary=auxiliary,
            **arrays,
        )


def _pad_rows(rows: Sequence[Sequence[int]]) -> Int64Array | None:
    """Make rows of one length of them, int64 with -1 behind the last; None where all are empty."""
    longest = max(map(len, rows), default=0)
    padded = [[*row, *[-1] * (longest - len(row))] for row in rows]
    return np.asarray(padded, dtype=np.int64) if longest else None


def _choose_columns(options: TrainOptions) -> CorpusOptions:
    return CorpusOptions(
        images=options.images,
        text_column=options.text_column,
        image_column=options.image_column,
        id_column=options.id_column,
        allow_missing=True,
        encoding=options.encoding,
        no_header=options.no_header,
        quotes=options.quotes,
        union=options.union,
        required=(options.label_column,),
    )


def _read_table(table: str, number: int, options: TrainOptions, builder: _PostBuilder) -> None:
    corpus_options = _choose_columns(options)
    survey = survey_corpus([table], corpus_options)
    by_folder = read_folder_labels(survey, options.label_column)
    if by_folder is None:
        label_columns = _find_columns(table, number, list(survey.schema), builder)
        builder.notes += note_image_folders(survey.sources)
    else:
        label_columns = {LABEL: options.label_column}
        builder.notes.append(note_folder_labels(survey))
    reader = CorpusReader(survey, corpus_options)
    chunks = list(iter(lambda: reader.read(_CHUNK_ROWS), None))
    # The meaning of numeric labels depends on the whole table.
    if by_folder is None:
        columns = {name: [chunk.frame[column] for chunk in chunks] for name, column in label_columns.items()}
        whole = [pl.concat(column).alias(label_columns[name]) for name, column in columns.items() if column]
    else:
        whole = [by_folder]
    try:
        labels = read_labels(whole, options.labels, table, options.label_values)
    except ColumnError as error:
        if by_folder is None:
            raise
        raise explain_folder_labels(survey, options.labels, error) from error
    for chunk in chunks:
        if survey.choice.ignored_image is not None:
            builder.skipped[_UNUSED_IMAGES] += len(chunk.frame[survey.choice.ignored_image].drop_nulls())
        _add_posts(chunk, (table, number), {name: labels[column] for name, column in label_columns.items()}, builder)


def _add_posts(chunk: Chunk, table: tuple[str, int], labels: Mapping[str, Int64Array], builder: _PostBuilder) -> None:
    """Add a chunk's posts, of a table and its number; `labels` are those of the whole table, by LABEL_COLUMNS."""
    name, number = table
    values_to_balance = builder.groups.read(name, chunk.frame)
    raw_texts = chunk.texts.to_list()
    texts = normalize_texts(chunk.texts, builder.normalization).to_list()
    sets = builder.sets.number_rows(chunk.frame, number)
    auxiliary = builder.auxiliary.read_rows(chunk.frame)
    ids = [None] * len(texts) if chunk.names is None else chunk.names["id"].to_list()
    for row, (text, images) in enumerate(zip(texts, chunk.images, strict=True)):
        values = dict.fromkeys(LABEL_COLUMNS, NO_LABEL)
        values |= {name: int(numbers[chunk.start + row]) for name, numbers in labels.items()}
        is_labelled = max(values.values()) >= 0 or any(auxiliary[row])
        if chunk.unreadable[row]:
            builder.skipped["unreadable"] += 1
        elif not is_labelled and not builder.has_teacher(number):
            builder.skipped["without a label"] += 1
        else:
            builder.taught_alone += not is_labelled
            there = [image for image in list_images(images) if isinstance(image, ImageFile)]
            if images is not None and not there:
                builder.skipped[_MISSING_IMAGES] += 1
            builder.groups.add(values_to_balance, row)
            builder.auxiliary.add(auxiliary[row])
            builder.add(
                str(ids[row] or chunk.start + row),
                there,
                text=builder.number_text(text, raw_texts[row]),
                table=number,
                label_set=sets[row],
                **values,
            )


def _find_columns(table: str, number: int, columns: list[str], builder: _PostBuilder) -> dict[str, str]:
    """Find a table's columns of labels, of which that of whole posts may be missing if there is another."""
    name = builder.options.label_column
    try:
        return find_label_columns(table, columns, name)
    except ColumnError as error:
        own = [each for each in (f"{modality}_label" for modality in builder.modalities) if each in columns]
        if not own and not builder.has_teacher(number):
            raise
        builder.unlabelled[number] = error
        sources = f"their {' and '.join(own)}" if own else "the teacher's answers"
        builder.notes.append(f"{table} has no column {name!r}: its posts are learnt from {sources}.")
        return {each: each for each in own}


def _keep_readable(posts: LabelledPosts, size: int) -> LabelledPosts:
    """Decode every image once: drop the unreadable ones, and store the digests of the others."""
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(_digest_reader(size), posts.images))
    readable = np.asarray([digest is not None for digest in digests], dtype=bool)
    position = np.where(readable, np.cumsum(readable) - 1, -1)
    named = posts.all_images
    images = np.where(named >= 0, position[named] if len(position) else -1, -1).astype(np.int64)
    skipped = dict(posts.skipped)
    if lost := int(((named >= 0) & (images < 0)).sum()):
        skipped[_UNREADABLE_IMAGES] = lost
    if posts.more_images is not None:  # those that are readable first
        images = np.take_along_axis(images, np.argsort(images < 0, axis=1, kind="stable"), axis=1)
    return replace(
        posts,
        image=images[:, 0],
        more_images=images[:, 1:] if (images[:, 1:] >= 0).any() else None,
        images=tuple(source for source, good in zip(posts.images, readable, strict=True) if good),
        image_digests=tuple(digest for digest in digests if digest is not None),
        skipped=skipped,
    )


def _digest_reader(size: int) -> Callable[[ImageFile], str | None]:
    def digest(source: ImageFile) -> str | None:
        try:
            data = source if isinstance(source, bytes) else read_bytes(source)
            decode_image(data, size)
        except (OSError, ImageError):
            return None
        return hashlib.sha256(data).hexdigest()

    return digest
