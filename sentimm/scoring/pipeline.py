"""From a chunk of posts to its scores: prepare texts and images, encode each distinct one once, fuse, decide."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from sentimm.corpus import MISSING, Chunk
from sentimm.errors import ImageError
from sentimm.images import decode_image
from sentimm.scoring.output import MODALITIES, NO_LABEL, STATUSES, Scores
from sentimm.text import NORMALIZATION, TextTokenizer, normalize_texts

if TYPE_CHECKING:
    from sentimm.bundle import Bundle
    from sentimm.scoring.engine import Engine

Indices = npt.NDArray[np.int64]
Features = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Item = TypeVar("Item")

_TEXTS_AT_ONCE = 512  # given to the engine, alike in length: one to two seconds of work on two cores
_IMAGES_AT_ONCE = 64  # decoded while the 64 before them are encoded: 10 MB of pixels each at 224 px
_IMAGE_COST = 2  # an image takes as long as this many texts (int8 and fp32, AVX2 and AVX-512: 1.7 to 2.0)
_NONE = -1  # in an index: this post has no such thing

_log = logging.getLogger(__name__)


class ChunkScorer:
    """Scores chunks of posts with the model of a bundle; a context, as it holds threads."""

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self._bundle = bundle
        self._engine = engine
        self._tokenizer = None if bundle.text is None else TextTokenizer(bundle.text.tokenizer, bundle.text.max_tokens)
        self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")

    def __enter__(self) -> ChunkScorer:
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def score(self, chunk: Chunk, advance: Callable[[float], None]) -> Scores:
        """Score the posts of `chunk`; `advance` is told now and then which share of the work is done.

        Whatever is wrong with a post ends in its status, not in an error.
        """
        normalization = self._bundle.text.normalization if self._bundle.text else NORMALIZATION
        texts, text_of = _find_distinct(
            [text or None for text in normalize_texts(chunk.texts, normalization)], chunk.unreadable
        )
        sources: list[Path | bytes | None] = [None if image is MISSING else image for image in chunk.images]
        images: list[Path | bytes]
        images, image_of = _find_distinct(sources, chunk.unreadable)
        is_missing = np.fromiter((image is MISSING for image in chunk.images), dtype=bool, count=chunk.rows)
        work = _Work(len(texts), len(images), advance)
        text_features = self._encode_texts(texts, work)
        image_features, row_of_image, errors = self._encode_images(images, work)
        image_row = np.where(image_of == _NONE, _NONE, np.append(row_of_image, _NONE)[image_of])
        _log_problems(chunk, image_of, errors)

        uses_text = (text_of != _NONE) & (text_features is not None)
        uses_image = (image_row != _NONE) & (image_features is not None)
        is_broken = np.isin(image_of, list(errors))
        has_nothing = (text_of == _NONE) & (image_of == _NONE)
        is_scored = uses_text | uses_image
        statuses = np.select(
            [chunk.unreadable, is_broken, is_missing, has_nothing, ~is_scored],
            [STATUSES.index(name) for name in _STATUS_ORDER],
            default=STATUSES.index("ok"),
        )
        modalities = np.select(
            [uses_text & uses_image, uses_text, uses_image],
            [MODALITIES.index(name) for name in ("text+image", "text", "image")],
            default=MODALITIES.index("none"),
        )
        probabilities = np.zeros((chunk.rows, len(self._bundle.labels)), dtype=np.float32)
        posts = np.flatnonzero(is_scored)
        if len(posts):
            probabilities[posts] = self._engine.fuse(
                text_features,
                image_features,
                None if text_features is None else _index_rows(text_of[posts], len(text_features)),
                None if image_features is None else _index_rows(image_row[posts], len(image_features)),
            )
        labels = np.where(is_scored, probabilities.argmax(axis=1), NO_LABEL)
        return Scores(probabilities, labels, modalities.astype(np.int64), statuses.astype(np.int64))

    def _encode_texts(self, texts: Sequence[str], work: _Work) -> Features | None:
        """Encode distinct texts to features (texts, width); None where the model reads no text."""
        spec = self._bundle.text
        if spec is None or self._tokenizer is None:
            return None
        rows = self._tokenizer.encode(texts)
        by_length = np.argsort([len(row) for row in rows], kind="stable")
        features = np.zeros((len(texts), spec.width), dtype=np.float32)
        for positions in _slice(by_length, _TEXTS_AT_ONCE):
            features[positions] = self._engine.encode_texts([rows[position] for position in positions])
            work.add(texts=len(positions))
        return features

    def _encode_images(
        self, images: Sequence[Path | bytes], work: _Work
    ) -> tuple[Features | None, Indices, dict[int, ImageError]]:
        """Encode distinct images.

        Returns:
            features (images that can be decoded, width), None where the model looks at no image; the row of each image
            in them; what is wrong with the others.
        """
        spec = self._bundle.image
        rows = np.full(len(images), _NONE, dtype=np.int64)
        errors: dict[int, ImageError] = {}
        if spec is None:
            return None, rows, errors
        features = np.zeros((len(images), spec.width), dtype=np.float32)
        encoded = 0
        for start, decoded in self._decode_images(images, spec.size):
            pixels: list[Pixels] = []
            for position, result in enumerate(decoded, start):
                if isinstance(result, ImageError):
                    errors[position] = result
                else:
                    rows[position] = encoded + len(pixels)
                    pixels.append(result)
            if pixels:
                features[encoded : encoded + len(pixels)] = self._engine.encode_images(np.stack(pixels))
                encoded += len(pixels)
            work.add(images=len(decoded))
        return features[:encoded], rows, errors

    def _decode_images(
        self, images: Sequence[Path | bytes], size: int
    ) -> Iterator[tuple[int, list[Pixels | ImageError]]]:
        """Decode `images` in batches of (first position, results); the next batch is decoded while one is used."""
        batches = list(_slice(np.arange(len(images)), _IMAGES_AT_ONCE))
        pending = [[self._pool.submit(_decode, images[position], size) for position in batch] for batch in batches[:1]]
        for number, batch in enumerate(batches):
            pending.extend(
                [self._pool.submit(_decode, images[position], size) for position in following]
                for following in batches[number + 1 : number + 2]
            )
            yield int(batch[0]), [future.result() for future in pending.pop(0)]


class _Work:
    """How much of a chunk's work is done."""

    def __init__(self, texts: int, images: int, advance: Callable[[float], None]) -> None:
        self._total = max(1, texts + _IMAGE_COST * images)
        self._done = 0
        self._advance = advance

    def add(self, texts: int = 0, images: int = 0) -> None:
        self._done += texts + _IMAGE_COST * images
        self._advance(min(1.0, self._done / self._total))


_STATUS_ORDER = ("row_unreadable", "image_unreadable", "image_missing", "empty", "unsupported")


def _find_distinct(items: Sequence[Item | None], left_out: npt.NDArray[np.bool_]) -> tuple[list[Item], Indices]:
    """Find the distinct items in order, and for each post its item's position (_NONE where it has none)."""
    positions: dict[Item, int] = {}
    index = np.full(len(items), _NONE, dtype=np.int64)
    for post, item in enumerate(items):
        if item is not None and not left_out[post]:
            index[post] = positions.setdefault(item, len(positions))
    return list(positions), index


def _index_rows(rows: Indices, count: int) -> Indices:
    """Turn _NONE into `count`, the index by which the fusion graph knows a missing modality."""
    return np.where(rows == _NONE, count, rows)


def _slice(items: Indices, size: int) -> Iterator[Indices]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _decode(source: Path | bytes, size: int) -> Pixels | ImageError:
    try:
        return decode_image(source, size)
    except ImageError as error:
        return error


def _log_problems(chunk: Chunk, image_of: Indices, errors: dict[int, ImageError]) -> None:
    for problem in chunk.problems:
        _log.info("post %d can't be read as a row: it %s", problem.row, problem.reason)
    for post in np.flatnonzero(np.isin(image_of, list(errors))):
        image = chunk.images[post]
        name = image if isinstance(image, Path) else "in the table"
        _log.info("post %d: the image %s %s", chunk.start + post, name, errors[int(image_of[post])])
