"""Labelled posts for training: distinct texts and images, and labels as numbers."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.corpus import ImageFile
from sentimm.corpus.labels import (
    LABEL_COLUMNS,
)
from sentimm.images import decode_image
from sentimm.text import NORMALIZATION, normalize_texts
from sentimm.training.data.columns.auxiliary import AuxiliaryColumn, Floats
from sentimm.training.data.columns.label_sets import LabelSets

Int64Array = npt.NDArray[np.int64]


PER_POST = ("text", "image", *LABEL_COLUMNS, "table")


@dataclass(frozen=True)
class LabelledPosts:
    """Posts with labels; arrays are int64 (posts,) and -1 says "none".

    Attributes:
        texts: distinct texts, normalised by `normalization`.
        raw_texts: how each of them was first written.
        group: each post's row in `group_names`, the values of the column that is balanced; None: no column is.
        images: distinct images, as files or as bytes, all of which can be decoded.
        image_digests: SHA-256 of each image's bytes.
        text, image: each post's row in `texts` and `images`; of several images that of the first.
        label, text_label, image_label: indices into the labels.
        table: which of `tables` each post comes from.
        label_set: which of `label_sets` each post is in; without such, the same as `table`.
        skipped: rows that were left out, by reason.
        more_images: the rows of each post's further images in `images`, int64 (posts, most of a post), -1 behind the
            last; None: no post has several.
        notes: how the posts are read, in sentences.
        label_sets: the sets of posts of `--labels-by`, each learnt among its own labels; None: among all.
        auxiliary: numbers, or numbers of names, of each of `auxiliary_columns`, float64 (posts, columns), NaN for none.
        unlabelled: the tables that have no column of labels of whole posts.
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
    label_set: Int64Array
    skipped: dict[str, int]
    more_images: Int64Array | None = None
    notes: tuple[str, ...] = ()
    raw_texts: tuple[str, ...] = ()
    normalization: str = NORMALIZATION
    group: Int64Array | None = None
    group_names: tuple[str, ...] = ()
    label_sets: LabelSets | None = None
    auxiliary_columns: tuple[AuxiliaryColumn, ...] = ()
    auxiliary: Floats | None = None
    unlabelled: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.label)

    def select(self, rows: Int64Array) -> LabelledPosts:
        """Return the posts at `rows` (int64), in that order; texts and images stay as they are."""
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            **{name: getattr(self, name)[rows] for name in (*PER_POST, "label_set")},
            more_images=None if self.more_images is None else self.more_images[rows],
            group=None if self.group is None else self.group[rows],
            auxiliary=None if self.auxiliary is None else self.auxiliary[rows],
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
        for name in PER_POST:
            digest.update(getattr(self, name).tobytes())
        for optional in (self.more_images, self.group):
            if optional is not None:
                digest.update(optional.tobytes())
        if self.label_sets is not None:
            digest.update(self.label_set.tobytes() + self.label_sets.labels.tobytes())
        if self.auxiliary is not None:
            digest.update(repr(self.auxiliary_columns).encode() + self.auxiliary.tobytes())
        return digest.hexdigest()

    @property
    def is_complete(self) -> npt.NDArray[np.bool_]:
        """Which posts have both a text and an image, bool (posts,)."""
        return (self.text >= 0) & (self.image >= 0)


# Why posts are not used, or not in full.


def keep_modalities(posts: LabelledPosts, modalities: Sequence[str]) -> LabelledPosts:
    """Return the posts that have one of the `modalities`, without their other modality.

    Where there is one modality, posts of tables without labels of whole posts take its own: `image_label`, say.
    """
    if "image" not in modalities:
        posts = drop_images(posts)
    if "text" not in modalities:
        posts = replace(posts, text=np.full_like(posts.text, -1), texts=(), raw_texts=())
    if len(modalities) == 1:
        posts = _fill_labels(posts, LABEL_COLUMNS.index(f"{modalities[0]}_label"))
    if posts.auxiliary is not None:
        places = [place for place, each in enumerate(posts.auxiliary_columns) if each.modality in modalities]
        columns = tuple(posts.auxiliary_columns[place] for place in places)
        posts = replace(posts, auxiliary_columns=columns, auxiliary=posts.auxiliary[:, places] if places else None)
    return select_usable(posts, modalities, modalities)


def select_usable(posts: LabelledPosts, modalities: Sequence[str], learnt: Sequence[str]) -> LabelledPosts:
    """Return the posts that have one of the `modalities`; the others count as lacking what is `learnt`."""
    usable = find_usable(posts, modalities)
    skipped = Counter(posts.skipped)
    skipped["without " + " or ".join(learnt)] += len(posts) - len(usable)
    return replace(posts.select(usable), skipped={reason: count for reason, count in skipped.items() if count})


def drop_images(posts: LabelledPosts) -> LabelledPosts:
    """Return the posts without their images."""
    return replace(posts, image=np.full_like(posts.image, -1), images=(), image_digests=(), more_images=None)


def _fill_labels(posts: LabelledPosts, column: int) -> LabelledPosts:
    """Return the posts, those of `unlabelled` tables with the label of this place in LABEL_COLUMNS."""
    lacking = np.isin(posts.table, posts.unlabelled)
    if not lacking.any():
        return posts
    sets = posts.label_sets and posts.label_sets.fill_labels(np.unique(posts.label_set[lacking]), column)
    return replace(posts, label=np.where(lacking, getattr(posts, LABEL_COLUMNS[column]), posts.label), label_sets=sets)


def find_usable(posts: LabelledPosts, modalities: Sequence[str]) -> Int64Array:
    """Return the rows of the posts that have one of the `modalities`: int64."""
    columns = {"text": posts.text, "image": posts.image}
    return np.flatnonzero(np.any([columns[modality] >= 0 for modality in modalities], axis=0))


def decode_images(images: Sequence[ImageFile], size: int, pool: ThreadPoolExecutor) -> npt.NDArray[np.uint8]:
    """Decode images, all of them readable: uint8 (images, 3, size, size)."""
    return np.stack(list(pool.map(lambda image: decode_image(image, size), images)))
