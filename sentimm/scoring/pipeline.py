"""From a chunk of posts to its scores: prepare texts and images, encode each distinct one once, fuse, decide.

Where the fusion attends, a post brings a hundred vectors instead of two: then the chunk is worked off in slices of
posts, alike in image and text, and no more than a slice's sequences are in memory.
"""

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
from sentimm.evaluation.conflict import measure_conflict
from sentimm.images import decode_image
from sentimm.scoring.encoded import Encoded
from sentimm.scoring.output import MODALITIES, NO_LABEL, STATUSES, Scores, ViewScores, check_views
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
_SEQUENCE_BYTES = 128 << 20  # of a slice's sequences, were all texts of the greatest length
_FEWEST_POSTS = 64  # of a slice: a full batch of the image graph on any device
_IMAGE_COST = 2  # an image takes as long as this many texts (int8 and fp32, AVX2 and AVX-512: 1.7 to 2.0)
_NONE = -1  # in an index: this post has no such thing

_log = logging.getLogger(__name__)


class ChunkScorer:
    """Scores chunks of posts with the model of a bundle; a context, as it holds threads.

    With `views` it also says what the model's heads make of text and image alone.

    Raises:
        UsageError: `views` were asked for, and the model has not got both heads.
    """

    def __init__(self, bundle: Bundle, engine: Engine, *, views: bool = False) -> None:
        if views:
            check_views(bundle)
        self._bundle = bundle
        self._engine = engine
        self._views = views
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
        found = _Found(chunk.rows, len(self._bundle.labels), views=self._views)
        errors: dict[int, ImageError] = {}
        for posts in self._slice_posts(text_of, image_of):
            self._score_slice(posts, texts, text_of, images, image_of, found, errors, work)
        _log_problems(chunk, image_of, errors)

        is_broken = np.isin(image_of, list(errors))
        has_nothing = (text_of == _NONE) & (image_of == _NONE)
        is_scored = found.uses_text | found.uses_image
        statuses = np.select(
            [chunk.unreadable, is_broken, is_missing, has_nothing, ~is_scored],
            [STATUSES.index(name) for name in _STATUS_ORDER],
            default=STATUSES.index("ok"),
        )
        modalities = np.select(
            [found.uses_text & found.uses_image, found.uses_text, found.uses_image],
            [MODALITIES.index(name) for name in ("text+image", "text", "image")],
            default=MODALITIES.index("none"),
        )
        labels = np.where(is_scored, found.probabilities.argmax(axis=1), NO_LABEL)
        return Scores(
            found.probabilities, labels, modalities.astype(np.int64), statuses.astype(np.int64), found.to_views()
        )

    def _slice_posts(self, text_of: Indices, image_of: Indices) -> Iterator[Indices]:
        """Give the chunk's posts at once, or in slices where they bring sequences: repeated images stay together."""
        bundle = self._bundle
        if not bundle.fusion.attends:
            yield np.arange(len(text_of))
            return
        tokens = 0 if bundle.text is None else bundle.text.max_tokens * bundle.text.width
        cells = 0 if bundle.image is None or bundle.image.cells is None else bundle.image.cells * bundle.image.width
        size = max(_FEWEST_POSTS, _SEQUENCE_BYTES // (np.dtype(np.float32).itemsize * (tokens + cells)))
        yield from _slice(np.lexsort((text_of, image_of)), size)

    def _score_slice(
        self,
        posts: Indices,
        texts: Sequence[str],
        text_of: Indices,
        images: Sequence[Path | bytes],
        image_of: Indices,
        found: _Found,
        errors: dict[int, ImageError],
        work: _Work,
    ) -> None:
        """Encode what the `posts` have, fuse it, and note what was found and which images are broken."""
        own_texts, text_row = _number(text_of[posts])
        own_images, image_position = _number(image_of[posts])
        encoded_texts = self._encode_texts([texts[position] for position in own_texts], work)
        encoded_images, row_of_image, broken = self._encode_images([images[position] for position in own_images], work)
        errors |= {int(own_images[position]): error for position, error in broken.items()}
        image_row = np.append(row_of_image, _NONE)[image_position]
        uses_text = (text_row != _NONE) & (encoded_texts is not None)
        uses_image = (image_row != _NONE) & (encoded_images is not None)
        scored = np.flatnonzero(uses_text | uses_image)
        found.uses_text[posts], found.uses_image[posts] = uses_text, uses_image
        if not len(scored):
            return
        inputs = (
            encoded_texts,
            encoded_images,
            None if encoded_texts is None else _index_rows(text_row[scored], len(encoded_texts)),
            None if encoded_images is None else _index_rows(image_row[scored], len(encoded_images)),
        )
        if found.alone is None:
            found.probabilities[posts[scored]] = self._engine.fuse(*inputs)
        else:
            views = self._engine.fuse_with_views(*inputs)
            found.probabilities[posts[scored]] = views.probabilities
            found.alone["text"][posts[scored]], found.alone["image"][posts[scored]] = views.text, views.image

    def _encode_texts(self, texts: Sequence[str], work: _Work) -> Encoded | None:
        """Encode distinct texts; None where the model reads no text."""
        spec = self._bundle.text
        if spec is None or self._tokenizer is None:
            return None
        rows = self._tokenizer.encode(texts)
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        longest = int(lengths.max(initial=1)) if self._bundle.fusion.attends else None
        encoded = Encoded.reserve(len(texts), spec.width, longest)
        for positions in _slice(np.argsort(lengths, kind="stable"), _TEXTS_AT_ONCE):
            encoded.put(positions, self._engine.encode_texts([rows[position] for position in positions]))
            work.add(texts=len(positions))
        return encoded

    def _encode_images(
        self, images: Sequence[Path | bytes], work: _Work
    ) -> tuple[Encoded | None, Indices, dict[int, ImageError]]:
        """Encode distinct images.

        Returns:
            images that can be decoded, None where the model looks at no image; the row of each image in them; what is
            wrong with the others.
        """
        spec = self._bundle.image
        rows = np.full(len(images), _NONE, dtype=np.int64)
        errors: dict[int, ImageError] = {}
        if spec is None:
            return None, rows, errors
        encoded = Encoded.reserve(len(images), spec.width, spec.cells)
        done = 0
        for start, decoded in self._decode_images(images, spec.size):
            pixels: list[Pixels] = []
            for position, result in enumerate(decoded, start):
                if isinstance(result, ImageError):
                    errors[position] = result
                else:
                    rows[position] = done + len(pixels)
                    pixels.append(result)
            if pixels:
                encoded.put(slice(done, done + len(pixels)), self._engine.encode_images(np.stack(pixels)))
                done += len(pixels)
            work.add(images=len(decoded))
        return encoded.head(done), rows, errors

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


class _Found:
    """What has been found of a chunk's posts so far.

    Attributes:
        probabilities: float32 (posts, labels), zeros where nothing was scored.
        uses_text, uses_image: bool (posts,), what was used.
        alone: what the heads say of the text and of the image, as `probabilities`, NaN where there is none; None where
            they are not asked.
    """

    def __init__(self, posts: int, labels: int, *, views: bool) -> None:
        self.probabilities = np.zeros((posts, labels), np.float32)
        self.uses_text = np.zeros(posts, dtype=bool)
        self.uses_image = np.zeros(posts, dtype=bool)
        self.alone: dict[str, Features] | None = None
        if views:
            self.alone = {name: np.full((posts, labels), np.nan, np.float32) for name in ("text", "image")}

    def to_views(self) -> ViewScores | None:
        """Decide on the labels of text and image alone, and how far they are apart."""
        if self.alone is None:
            return None
        text, image = self.alone["text"], self.alone["image"]
        return ViewScores(
            np.where(self.uses_text, text.argmax(axis=1), NO_LABEL),
            np.where(self.uses_image, image.argmax(axis=1), NO_LABEL),
            text,
            image,
            np.minimum(measure_conflict(text, image), 1),
        )


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


def _number(positions: Indices) -> tuple[Indices, Indices]:
    """Find the positions that occur, in order, and for each post its row among them (_NONE stays)."""
    own = np.unique(positions[positions != _NONE])
    return own, np.where(positions == _NONE, _NONE, np.searchsorted(own, positions))


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
