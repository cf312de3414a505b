"""Labelled posts for training: distinct texts and images, and labels as numbers, read from the tables once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.corpus import CorpusReader, ImageFile, list_images, survey_corpus
from sentimm.corpus.labels import LABEL, LABEL_COLUMNS, NO_LABEL, find_label_columns, read_labels
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
from sentimm.text import NORMALIZATION, normalize_texts
from sentimm.training.data.normalization import choose_normalization
from sentimm.training.options import TrainOptions, name_in_full

Int64Array = npt.NDArray[np.int64]
_CHUNK_ROWS = 10_000


@dataclass(frozen=True)
class LabelledPosts:
    """Posts with labels; arrays are int64 (posts,) and -1 says "none".

    Attributes:
        texts: distinct texts, normalised by `normalization`.
        raw_texts: how each of them was first written.
        images: distinct images, as files or as bytes, all of which can be decoded.
        image_digests: SHA-256 of each image's bytes.
        text, image: each post's row in `texts` and `images`; of several images that of the first.
        label, text_label, image_label: indices into the labels.
        table: which of `tables` each post comes from.
        skipped: rows that were left out, by reason.
        more_images: the rows of each post's further images in `images`, int64 (posts, most of a post), -1 behind the
            last; None: no post has several.
        notes: how the posts are read, in sentences.
    """

    tables: tuple[str, ...]
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    images: tuple[ImageFile, ...]
    image_digests: tuple[str, ...]
    text: Int64Array
    image: Int64Array
    label: Int64Array
    text_label: Int64Array
    image_label: Int64Array
    table: Int64Array
    skipped: dict[str, int]
    more_images: Int64Array | None = None
    notes: tuple[str, ...] = ()
    raw_texts: tuple[str, ...] = ()
    normalization: str = NORMALIZATION

    def __len__(self) -> int:
        return len(self.label)

    def select(self, rows: Int64Array) -> LabelledPosts:
        """Return the posts at `rows` (int64), in that order; texts and images stay as they are."""
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            **{name: getattr(self, name)[rows] for name in _PER_POST},
            more_images=None if self.more_images is None else self.more_images[rows],
        )

    @property
    def all_images(self) -> Int64Array:
        """The rows of all images of each post: int64 (posts, most of a post), -1 behind the last."""
        first = self.image[:, None]
        return first if self.more_images is None else np.concatenate([first, self.more_images], axis=1)

    def choose_images(self, rows: Int64Array, seed: int) -> Int64Array:
        """Return one of the images of each of `rows` at random: its row in `images`, int64, or -1."""
        if self.more_images is None:
            return self.image[rows]
        images = np.concatenate([self.image[rows, None], self.more_images[rows]], axis=1)
        counts = np.maximum(1, (images >= 0).sum(axis=1))
        drawn = [np.random.default_rng([seed, row]).integers(count) for row, count in zip(rows, counts, strict=True)]
        return images[np.arange(len(rows)), drawn]

    def pair_images(self) -> tuple[LabelledPosts, Int64Array]:
        """Return the posts, each once for each of its images, and the row here of each of them: int64."""
        if self.more_images is None:
            return self, np.arange(len(self))
        images = self.all_images
        is_there = images >= 0
        is_there[:, 0] = True  # a post without an image is one too
        rows, places = np.nonzero(is_there)
        return replace(self.select(rows), image=images[rows, places], more_images=None), rows

    def normalize_again(self, normalization: str) -> LabelledPosts:
        """Return the posts with texts that another model reads, normalised by its `normalization`; "" is a text too."""
        if normalization == self.normalization:
            return self
        normalized = normalize_texts(pl.Series(self.raw_texts, dtype=pl.String), normalization).to_list()
        distinct = dict(zip(normalized, self.raw_texts, strict=True))
        places = {text: place for place, text in enumerate(distinct)}
        moved = np.asarray([places[text] for text in normalized] or [-1], dtype=np.int64)
        return replace(
            self,
            texts=tuple(distinct),
            raw_texts=tuple(distinct.values()),
            text=np.where(self.text < 0, -1, moved[self.text]),
            normalization=normalization,
        )

    def digest(self) -> str:
        """Return a SHA-256 of all that training reads of the posts."""
        digest = hashlib.sha256()
        for part in (self.texts, self.image_digests):
            digest.update(json.dumps(part).encode())
        for name in _PER_POST:
            digest.update(getattr(self, name).tobytes())
        if self.more_images is not None:
            digest.update(self.more_images.tobytes())
        return digest.hexdigest()

    @property
    def is_complete(self) -> npt.NDArray[np.bool_]:
        """Which posts have both a text and an image, bool (posts,)."""
        return (self.text >= 0) & (self.image >= 0)


# Why posts are not used, or not in full.
_MISSING_IMAGES = "named images missing (trained on as text)"
_UNUSED_IMAGES = "named images not used: name their folder with --images"
_UNREADABLE_IMAGES = "images unreadable (trained on as text)"

_PER_POST = ("text", "image", *LABEL_COLUMNS, "table")


def load_posts(inputs: Sequence[str], options: TrainOptions, modalities: Sequence[str], size: int) -> LabelledPosts:
    """Read the labelled posts of `inputs` that have one of the `modalities`; images must decode at `size` pixels.

    Raises:
        InputError: a table or all named images are missing, or no post can be used.
        ColumnError: a table lacks the label column, or holds a label that is not one of `options.labels`.
    """
    builder = _PostBuilder(options)
    for number, table in enumerate(inputs):
        _read_table(table, number, options, builder)
    if "image" in modalities and builder.skipped[_MISSING_IMAGES] and not builder.images:
        raise InputError(
            f"No post of {', '.join(inputs)} finds its image in {options.images or 'its folder'}: check that --images "
            "is the right folder, and name the column of images with --image-column."
        )
    if "image" not in modalities:
        del builder.skipped[_UNUSED_IMAGES]
    posts = builder.to_posts(_short_names(inputs))
    if "image" in modalities:
        posts = _keep_readable(posts, size)
    posts = keep_modalities(posts, modalities)
    if not len(posts):
        reasons = ", ".join(f"{count} {reason}" for reason, count in posts.skipped.items()) or "there are no rows"
        raise InputError(f"No post of {', '.join(inputs)} can be used for training ({reasons}).")
    return posts


def keep_modalities(posts: LabelledPosts, modalities: Sequence[str]) -> LabelledPosts:
    """Return the posts that have one of the `modalities`, without their other modality."""
    if "image" not in modalities:
        nothing = np.full_like(posts.image, -1)
        posts = replace(posts, image=nothing, images=(), image_digests=(), more_images=None)
    if "text" not in modalities:
        posts = replace(posts, text=np.full_like(posts.text, -1), texts=(), raw_texts=())
    usable = find_usable(posts, modalities)
    skipped = Counter(posts.skipped)
    skipped["without " + " or ".join(modalities)] += len(posts) - len(usable)
    return replace(posts.select(usable), skipped={reason: count for reason, count in skipped.items() if count})


def find_usable(posts: LabelledPosts, modalities: Sequence[str]) -> Int64Array:
    """Return the rows of the posts that have one of the `modalities`: int64."""
    columns = {"text": posts.text, "image": posts.image}
    return np.flatnonzero(np.any([columns[modality] >= 0 for modality in modalities], axis=0))


def decode_images(images: Sequence[ImageFile], size: int, pool: ThreadPoolExecutor) -> npt.NDArray[np.uint8]:
    """Decode images, all of them readable: uint8 (images, 3, size, size)."""
    return np.stack(list(pool.map(lambda image: decode_image(image, size), images)))


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

    def __init__(self, options: TrainOptions) -> None:
        self.options = options
        self.normalization = choose_normalization(options)
        self.texts: dict[str, int] = {}
        self.raw_texts: list[str] = []
        self.images: dict[ImageFile, int] = {}
        self.ids: list[str] = []
        self.more_images: list[list[int]] = []
        self.columns: dict[str, list[int]] = {name: [] for name in _PER_POST}
        self.skipped: Counter[str] = Counter()
        self.notes: list[str] = []

    def add(self, post_id: str, images: Sequence[ImageFile], **values: int) -> None:
        self.ids.append(post_id)
        first, *more = [self.images.setdefault(image, len(self.images)) for image in images] or [-1]
        self.more_images.append(more)
        values["image"] = first
        for name in _PER_POST:
            self.columns[name].append(values[name])

    def number_text(self, text: str | None, raw: str | None) -> int:
        """Return the row of a normalised text among the distinct ones, -1 where there is none."""
        if not text or raw is None:
            return -1
        if text not in self.texts:
            self.raw_texts.append(raw)
        return self.texts.setdefault(text, len(self.texts))

    def to_posts(self, tables: tuple[str, ...]) -> LabelledPosts:
        arrays = {name: np.asarray(values, dtype=np.int64) for name, values in self.columns.items()}
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
            notes=tuple(self.notes),
            **arrays,
        )


def _pad_rows(rows: Sequence[Sequence[int]]) -> Int64Array | None:
    """Make rows of one length of them, int64 with -1 behind the last; None where all are empty."""
    longest = max(map(len, rows), default=0)
    padded = [[*row, *[-1] * (longest - len(row))] for row in rows]
    return np.asarray(padded, dtype=np.int64) if longest else None


def _read_table(table: str, number: int, options: TrainOptions, builder: _PostBuilder) -> None:
    corpus_options = CorpusOptions(
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
    survey = survey_corpus([table], corpus_options)
    by_folder = read_folder_labels(survey, options.label_column)
    if by_folder is None:
        label_columns = find_label_columns(table, list(survey.schema), options.label_column)
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
        raw_texts = chunk.texts.to_list()
        texts = normalize_texts(chunk.texts, builder.normalization).to_list()
        ids = [None] * len(texts) if chunk.names is None else chunk.names["id"].to_list()
        for row, (text, images) in enumerate(zip(texts, chunk.images, strict=True)):
            values = dict.fromkeys(LABEL_COLUMNS, NO_LABEL)
            values |= {name: int(labels[column][chunk.start + row]) for name, column in label_columns.items()}
            if chunk.unreadable[row]:
                builder.skipped["unreadable"] += 1
            elif max(values.values()) < 0:
                builder.skipped["without a label"] += 1
            else:
                there = [image for image in list_images(images) if isinstance(image, ImageFile)]
                if images is not None and not there:
                    builder.skipped[_MISSING_IMAGES] += 1
                builder.add(
                    str(ids[row] or chunk.start + row),
                    there,
                    text=builder.number_text(text, raw_texts[row]),
                    table=number,
                    **values,
                )


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
