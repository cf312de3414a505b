"""The posts that an imported classifier is tried on: those that come with sentimm, or the user's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.corpus import CorpusReader, ImageFile, Survey, leave_out_absent, survey_corpus
from sentimm.corpus.labels import LABEL, NO_LABEL, read_labels
from sentimm.errors import ColumnError, ImageError, InputError
from sentimm.images import decode_image
from sentimm.options import CorpusOptions
from sentimm.text import normalize_texts
from sentimm.training.data.stored_posts import StoredPosts
from sentimm.training.run_folder import Run
from sentimm_export.importing.options import ImportOptions
from sentimm_export.importing.photographs import cut_pieces
from sentimm_export.scales import ScalePosts

_SCALE_TEXTS, _SCALE_IMAGES = 192, 96  # for int8's scales
_TEXTS, _IMAGES = 192, 48  # of those that come with sentimm, for the comparison
_MOST_POSTS = 1_000  # of the user's, for the comparison and temperatures
_LEAST_POSTS = 8
_EVERY = 4  # of the user's posts, this one is for the scales
_CHUNK_ROWS, _LABEL_ROWS = 256, 65_536
_LONGEST_RUN = 24  # shipped texts in a row that make one

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class TrialPosts:
    """Posts to find int8's scales with, and others to compare precisions on.

    Attributes:
        scale: the former.
        held_out: the latter.
        origin: where they are from, as the end of the sentence "posts ...".
    """

    scale: ScalePosts
    held_out: StoredPosts
    origin: str


def load_shipped_posts(run: Run) -> TrialPosts:
    """Load the posts that come with sentimm: short ones in fifteen languages, and pieces of photographs."""
    file = resources.files("sentimm_export.importing") / "texts.txt"
    lines = normalize_texts(pl.Series(file.read_text(encoding="utf-8").splitlines()), run.normalization).to_list()
    scale = _join_lines(lines[0::2], _SCALE_TEXTS) if run.text is not None else []
    texts = _join_lines(lines[1::2], _TEXTS) if run.text is not None else []
    size = 0 if run.image is None else run.image.size
    pieces = cut_pieces(_SCALE_IMAGES + _IMAGES, size) if size else []
    images: list[Pixels | None] = [*pieces[_SCALE_IMAGES:]]
    texts, images = _pair(texts, images)
    posts = len(texts)
    none = np.full(posts, NO_LABEL, dtype=np.int64)
    held_out = StoredPosts(tuple(texts), tuple(images), none, none, none)
    kinds = [
        *(["short texts in fifteen languages"] if run.text is not None else []),
        *(["pieces of three photographs"] if size else []),
    ]
    origin = f"that come with sentimm: {', and '.join(kinds)}"
    return TrialPosts(ScalePosts(Path(str(file)), tuple(scale), tuple(pieces[:_SCALE_IMAGES])), held_out, origin)


def _pair(texts: list[str], images: list[Pixels | None]) -> tuple[list[str], list[Pixels | None]]:
    """Make posts of texts and images: half of the images with the first texts, then texts alone, then images alone."""
    together = len(images) // 2 if texts else 0
    posts = len(texts) + len(images) - together
    without = [None] * (posts - len(images))
    return texts + [""] * (posts - len(texts)), [*images[:together], *without, *images[together:]]


def _join_lines(lines: list[str], count: int) -> list[str]:
    """Return the lines, then runs of 2, 3 and more of them, up to `count` texts of many lengths."""
    texts = list(lines)
    for number in range(count - len(texts)):
        start, length = 5 * number % len(lines), 2 + number % (_LONGEST_RUN - 1) // (1 + number % 3)
        texts.append(" ".join((lines * 2)[start : start + length]))
    return texts[:count]


def read_own_posts(run: Run, options: ImportOptions) -> TrialPosts:
    """Read the first posts of --calibration: every fourth for the scales, the others to compare and for temperatures.

    Raises:
        InputError, ColumnError, TableError: see `survey_corpus` and `read_labels`; there are too few posts.
    """
    assert options.calibration is not None
    corpus = CorpusOptions(
        images=options.images,
        text_column=options.text_column,
        image_column=options.image_column,
        id_column=options.id_column,
        union=True,
        required=(),
    )
    corpus = leave_out_absent([str(options.calibration)], corpus)
    posts = _Collector()
    for text, image, label in _read(run, options.calibration, corpus):
        posts.add(text, image, label)
        if len(posts.labels) >= _MOST_POSTS:
            break
    if len(posts.labels) < _LEAST_POSTS:
        raise InputError(
            f"{options.calibration} has {len(posts.labels)} posts that the classifier can read besides those for the "
            f"scales, and at least {_LEAST_POSTS} are needed: name a longer table, or leave --calibration out."
        )
    return TrialPosts(
        ScalePosts(options.calibration, tuple(posts.scale_texts), tuple(posts.scale_images)),
        posts.to_stored(),
        f"of {options.calibration.name}",
    )


class _Collector:
    """Posts one by one, every fourth of which is for the scales while they need some."""

    def __init__(self) -> None:
        self.scale_texts: list[str] = []
        self.scale_images: list[Pixels] = []
        self.texts: list[str] = []
        self.images: list[Pixels | None] = []
        self.labels: list[int] = []
        self._seen = 0

    def add(self, text: str, image: Pixels | None, label: int) -> None:
        self._seen += 1
        lacks = (text and len(self.scale_texts) < _SCALE_TEXTS) or (
            image is not None and len(self.scale_images) < _SCALE_IMAGES
        )
        if self._seen % _EVERY == 1 and lacks:
            self.scale_texts += [text] if text else []
            self.scale_images += [image] if image is not None else []
            return
        self.texts.append(text)
        self.images.append(image)
        self.labels.append(label)

    def to_stored(self) -> StoredPosts:
        none = np.full(len(self.labels), NO_LABEL, dtype=np.int64)
        return StoredPosts(
            tuple(self.texts), tuple(self.images), np.array(self.labels, dtype=np.int64), none, none.copy()
        )


def _read(run: Run, table: Path, options: CorpusOptions) -> Iterator[tuple[str, Pixels | None, int]]:
    """Yield the text, the image and the label of each post that has something the classifier reads."""
    survey = survey_corpus([str(table)], options)
    labels = _read_labels(run, survey, options)
    reader = CorpusReader(survey, options)
    while (chunk := reader.read(_CHUNK_ROWS)) is not None:
        texts = normalize_texts(chunk.texts, run.normalization).fill_null("").to_list()
        for row, text in enumerate(texts):
            image = _decode(chunk.images[row], run)
            text = text if run.text is not None else ""
            if text or image is not None:
                yield text, image, int(labels[chunk.start + row])


def _read_labels(run: Run, survey: Survey, options: CorpusOptions) -> npt.NDArray[np.int64]:
    """Read the labels of all posts: int64 (posts,), NO_LABEL where the table has none."""
    if LABEL not in survey.schema:
        return np.full(survey.rows, NO_LABEL, dtype=np.int64)
    reader = CorpusReader(survey, options)
    cells: list[pl.Series] = []
    while (chunk := reader.read(_LABEL_ROWS)) is not None:
        cells.append(chunk.frame[LABEL])
    table = ", ".join(str(source.path) for source in survey.sources)
    try:
        return read_labels([pl.concat(cells)], run.labels, table)[LABEL]
    except ColumnError as error:
        raise ColumnError(
            f"The column {LABEL!r} of {table} holds other labels than {', '.join(run.labels)}, those of the bundle: "
            "write these, or give the column another name if the temperatures are not to be fitted to it."
        ) from error


def _decode(image: object, run: Run) -> Pixels | None:
    """Decode a post's image, or the first of several; None where there is none, or none that can be decoded."""
    if isinstance(image, tuple):
        image = image[0]
    if run.image is None or not isinstance(image, ImageFile):
        return None
    try:
        return decode_image(image, run.image.size)
    except ImageError:
        return None
