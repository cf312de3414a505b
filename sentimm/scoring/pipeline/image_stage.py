"""From chunks of posts to their scores: prepare texts and images, encode each distinct one once, fuse, decide.

A unit is what is encoded and fused together: a chunk, or, where the fusion attends and a post brings a hundred vectors
instead of two, a slice of a chunk, so that no more than a few slices' sequences are in memory. While the workers encode
one unit, the calling thread ends the one before (fuses it; its caller writes it) and begins the next (reads it,
normalises and tokenises its texts): see docs/architecture.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sentimm.corpus import MISSING, Chunk, ImageFile
from sentimm.errors import ImageError
from sentimm.images import check_size, read_image
from sentimm.runtime.encoded import Encoded
from sentimm.scoring.output.columns import Scores, check_views
from sentimm.scoring.pipeline.decoder_pool import Decoders
from sentimm.scoring.pipeline.feature_cache import Known, Slot, digest_content, identify_file
from sentimm.scoring.pipeline.prefetch import Fetcher
from sentimm.scoring.pipeline.unit import NONE, Found, Indices, Plan, Unit, decide, find_items, number_rows
from sentimm.storage import RemoteFile
from sentimm.text import NORMALIZATION, normalize_texts

if TYPE_CHECKING:
    from sentimm.bundle.bundle import Bundle
    from sentimm.runtime.engine import Engine

Advance = Callable[[Chunk, float], None]

_AHEAD = 1  # units begun before the one that is waited for is complete: enough that the workers never wait
_SEQUENCE_BYTES = 128 << 20  # of a slice's sequences, were all texts of the greatest length
_FEWEST_POSTS = 64  # of a slice: a full batch of the image graph on any device
_IMAGE_COST = 3  # an image, decoded and encoded, takes as long as this many texts (int8 and fp32, AVX2 and AVX-512)
_DECODED_FILES, _DECODED_BYTES = 8, 4 << 20  # that a decoder gets at a time


@dataclass
class Encodings:
    """How many texts and images posts had, and how many of them had to be encoded."""

    texts: int = 0
    encoded_texts: int = 0
    images: int = 0
    encoded_images: int = 0


class ChunkScorer:
    """Scores chunks of posts with the model of a bundle; a context, as it holds threads and processes.

    With `views` it also says what the model's heads make of text and image alone. Without `dedupe` every text and image
    is encoded anew, however often it was there before.

    Attributes:
        encodings: what was encoded so far, added to those that were given.

    Raises:
        UsageError: `views` were asked for, and the model has not got both heads.
        BundleError: the tokenizer can't be read.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        *,
        views: bool = False,
        dedupe: bool = True,
        encodings: Encodings | None = None,
    ) -> None:
        if views:
            check_views(bundle)
        self.encodings = Encodings() if encodings is None else encodings
        self._bundle = bundle
        self._engine = engine
        self._views = views
        self._dedupe = dedupe
        self._tokenizer = None if bundle.text is None else bundle.text.load_tokenizer()
        # Of an attending fusion no sequence outlives its unit: what is known of a text or image is known there only.
        self._keeps = dedupe and not bundle.fusion.attends
        self._known_texts = Known(bundle.text.width if bundle.text else 0)
        self._known_images = Known(bundle.image.width if bundle.image else 0)
        self._units = 0
        self._fetcher = Fetcher()
        self._decoders = Decoders(bundle.image.size if bundle.image else 0, engine.batch_sizes["image"])
        self._encoders = ThreadPoolExecutor(engine.workers, thread_name_prefix="encode")
        # Apart, so that the end of one unit does not wait behind the next one's encoding.
        self._fusers = ThreadPoolExecutor(engine.workers, thread_name_prefix="fuse")

    def __enter__(self) -> ChunkScorer:
        return self

    def __exit__(self, *_error: object) -> None:
        for pool in (self._encoders, self._fusers):
            pool.shutdown(wait=False, cancel_futures=True)
        self._fetcher.__exit__()
        self._decoders.__exit__()  # before it is waited for the workers: they may be waiting for a decoder
        for pool in (self._encoders, self._fusers):
            pool.shutdown()

    def score(self, chunk: Chunk, advance: Callable[[float], None]) -> Scores:
        """Score the posts of `chunk`; `advance` is told now and then which share of the work is done.

        Whatever is wrong with a post ends in its status, not in an error.
        """
        ((_, scores),) = self.score_all([chunk], lambda _chunk, share: advance(share))
        return scores

    def score_all(self, chunks: Iterable[Chunk], advance: Advance) -> Iterator[tuple[Chunk, Scores]]:
        """Score the posts of `chunks` and give them in order, each with its scores.

        The next chunk is taken and being encoded when one is given. `advance` hears, in the calling thread, which share
        of the chunk that comes next is done.
        """
        begun: deque[Unit] = deque()
        for unit in self._begin_units(chunks):
            begun.append(unit)
            if len(begun) > _AHEAD:
                yield from self._end(begun.popleft(), advance)
        while begun:
            yield from self._end(begun.popleft(), advance)

    def _begin_units(self, chunks: Iterable[Chunk]) -> Iterator[Unit]:
        for chunk in chunks:
            plan = self._plan(chunk)
            slices = self._slice_posts(plan.text_of, plan.image_of)
            for number, posts in enumerate(slices, 1):
                yield self._begin(plan, posts, share=number / len(slices))

    def _plan(self, chunk: Chunk) -> Plan:
        normalization = self._bundle.text.normalization if self._bundle.text else NORMALIZATION
        normalized = [text or None for text in normalize_texts(chunk.texts, normalization)]
        sources: list[ImageFile | None] = [None if image is MISSING else image for image in chunk.images]
        texts, text_of = find_items(normalized, chunk.unreadable, distinct=self._dedupe)
        images: list[ImageFile]
        images, image_of = find_items(sources, chunk.unreadable, distinct=self._dedupe)
        found = Found(chunk.rows, len(self._bundle.labels), views=self._views)
        return Plan(chunk, texts, text_of, images, image_of, found)

    def _slice_posts(self, text_of: Indices, image_of: Indices) -> list[Indices]:
        """Give the chunk's posts at once, or in slices where they bring sequences: repeated images stay together."""
        bundle = self._bundle
        if not bundle.fusion.attends or not len(text_of):
            return [np.arange(len(text_of))]
        tokens = 0 if bundle.text is None else bundle.text.max_tokens * bundle.text.width
        cells = 0 if bundle.image is None or bundle.image.cells is None else bundle.image.cells * bundle.image.width
        size = max(_FEWEST_POSTS, _SEQUENCE_BYTES // (np.dtype(np.float32).itemsize * (tokens + cells)))
        return list(_slice(np.lexsort((text_of, image_of)), size))

    def _begin(self, plan: Plan, posts: Indices, share: float) -> Unit:
        """Prepare the texts that `posts` have, and let the workers encode them and the images."""
        own_texts, text_row = number_rows(plan.text_of[posts])
        own_images, image_row = number_rows(plan.image_of[posts])
        self._units += 1
        unit = Unit(self._units, plan, posts, text_row, image_row, own_images, share)
        tasks: list[tuple[float, int, Callable[[], None]]] = []
        if self._bundle.text is not None:
            batches = self._begin_texts(unit, [plan.texts[position] for position in own_texts])
            tasks += [((n + 0.5) / len(batches), cost, task) for n, (cost, task) in enumerate(batches)]
        if (spec := self._bundle.image) is not None:
            unit.images = Encoded.reserve(len(own_images), spec.width, spec.cells if self._attends else None)
            known = self._known_images if self._keeps else Known(spec.width)
            sources = [plan.images[place] for place in own_images]
            self._fetcher.expect(source for source in sources if isinstance(source, RemoteFile))
            batches = [
                (_IMAGE_COST * len(positions), partial(self._encode_images, unit, positions, known))
                for positions in _slice(np.arange(len(own_images)), self._engine.batch_sizes["image"])
            ]
            tasks += [((n + 0.5) / len(batches), cost, task) for n, (cost, task) in enumerate(batches)]
        # Texts among the images all the way: a GPU has texts to encode while images are decoded.
        tasks.sort(key=lambda task: task[0])
        unit.expect(sum(cost for _, cost, _ in tasks), len(tasks))
        for _, cost, task in tasks:
            self._encoders.submit(unit.work, cost, task)
        return unit

    @property
    def _attends(self) -> bool:
        return self._bundle.fusion.attends

    def _begin_texts(self, unit: Unit, texts: Sequence[str]) -> list[tuple[int, Callable[[], None]]]:
        """Tokenise the texts that are not known; gives the cost of each batch and what encodes it."""
        spec = self._bundle.text
        assert spec is not None and self._tokenizer is not None
        slots: dict[int, Slot] = {}
        new = list(range(len(texts)))
        if self._keeps:
            for position, text in enumerate(texts):
                mine = Slot(unit.number, position)
                slot = slots[position] = self._known_texts.claim(digest_content(text.encode()), mine)
                if slot is not mine:
                    unit.known_texts[position] = slot
            new = [position for position in new if position not in unit.known_texts]
        rows = dict(zip(new, self._tokenizer.encode([texts[position] for position in new]), strict=True))
        lengths = np.array([len(rows[position]) for position in new], dtype=np.int64)
        longest = int(lengths.max(initial=1)) if self._attends else None
        unit.texts = Encoded.reserve(len(texts), spec.width, longest)
        self.encodings.texts += int((unit.text_row != NONE).sum())
        self.encodings.encoded_texts += len(new)

        def encode(positions: Indices) -> None:
            assert unit.texts is not None
            encoded = self._engine.encode_texts([rows[position] for position in positions])
            unit.texts.put(positions, encoded)
            if self._keeps:
                for position, features in zip(positions, encoded.features, strict=True):
                    slots[int(position)].features = features.copy()

        # Texts of like length together: little padding. The longest first: what is worked on last is short.
        ordered = np.array(new, dtype=np.int64)[np.argsort(-lengths, kind="stable")]
        batches = _slice(ordered, self._engine.batch_sizes["text"])
        return [(len(positions), partial(encode, positions)) for positions in batches]

    def _encode_images(self, unit: Unit, positions: Indices, known: Known) -> None:
        """Decode images and encode those of them that are not known."""
        assert self._bundle.image is not None and unit.images is not None
        slots: list[Slot] = []
        with self._decoders.borrow() as decoder:
            for files in self._find_contents(unit, positions, known):
                errors = decoder.decode([content for _, content in files])
                for (slot, _), error in zip(files, errors, strict=True):
                    if error is None:
                        slots.append(slot)
                    else:
                        slot.error = unit.errors[slot.position] = error
            if slots:
                encoded = self._engine.encode_images(decoder.pixels)
                unit.images.put(np.array([slot.position for slot in slots]), encoded)
                if self._keeps:
                    for slot, features in zip(slots, encoded.features, strict=True):
                        slot.features = features.copy()

    def _find_contents(self, unit: Unit, positions: Indices, known: Known) -> Iterator[list[tuple[Slot, bytes]]]:
        """Give the images that are not known, with their slots: some at a time, as they may be large."""
        files: list[tuple[Slot, bytes]] = []
        for position in map(int, positions):
            slot = Slot(unit.number, position)
            try:
                content = self._find_content(unit, slot, known)
            except ImageError as error:
                slot.error = unit.errors[position] = error
                continue
            if content is not None:
                files.append((slot, content))
                if len(files) == _DECODED_FILES or sum(len(content) for _, content in files) > _DECODED_BYTES:
                    yield files
                    files = []
        if files:
            yield files

    def _find_content(self, unit: Unit, slot: Slot, known: Known) -> bytes | None:
        """Give the content of the image of `slot`; None where it is known, which is noted.

        Raises:
            ImageError: it can't be read.
        """
        source = unit.plan.images[unit.own_images[slot.position]]
        if isinstance(source, bytes):
            check_size(len(source))
        if not self._dedupe:
            return self._read(source)
        file = None if isinstance(source, bytes) else identify_file(source)
        found = None if file is None else known.find(file)
        content = None
        if found is None or not found.serves(unit.number):
            content = self._read(source)
            found = known.claim(digest_content(content), slot)
        elif isinstance(source, RemoteFile):
            self._fetcher.leave(source)
        if file is not None:
            known.claim(file, found)
        if found is slot or not found.serves(unit.number):
            return content
        unit.known_images[slot.position] = found
        return None

    def _read(self, source: ImageFile) -> bytes:
        if isinstance(source, RemoteFile):
            return self._fetcher.take(source)
        return source if isinstance(source, bytes) else read_image(source)

    def _end(self, unit: Unit, advance: Advance) -> Iterator[tuple[Chunk, Scores]]:
        """Wait for the encoders, fuse the unit, and give its chunk where this was the last of it."""
        unit.wait(lambda share: advance(unit.plan.chunk, share))
        plan, posts, found = unit.plan, unit.posts, unit.plan.found
        text_row, image_row = unit.text_row, unit.conclude_images()
        unit.conclude_texts()
        if unit.images is not None:
            self.encodings.images += int((unit.image_row != NONE).sum())
            self.encodings.encoded_images += len(unit.own_images) - len(unit.known_images)
        plan.errors |= {int(unit.own_images[position]): error for position, error in unit.errors.items()}
        uses_text = (text_row != NONE) & (unit.texts is not None)
        uses_image = (image_row != NONE) & (unit.images is not None)
        found.uses_text[posts], found.uses_image[posts] = uses_text, uses_image
        scored = np.flatnonzero(uses_text | uses_image)
        list(self._fusers.map(partial(self._fuse, unit, image_row), _slice(scored, self._engine.batch_sizes["fusion"])))
        if unit.share == 1:
            yield plan.chunk, decide(plan)

    def _fuse(self, unit: Unit, image_row: Indices, chosen: Indices) -> None:
        """Fuse what was encoded of the `chosen` posts of a unit, and note the answers."""
        inputs = (
            unit.texts,
            unit.images,
            None if unit.texts is None else _index_rows(unit.text_row[chosen], len(unit.texts)),
            None if unit.images is None else _index_rows(image_row[chosen], len(unit.images)),
        )
        found, posts = unit.plan.found, unit.posts[chosen]
        if found.alone is None:
            found.probabilities[posts] = self._engine.fuse(*inputs)
        else:
            views = self._engine.fuse_with_views(*inputs)
            found.probabilities[posts] = views.probabilities
            found.alone["text"][posts], found.alone["image"][posts] = views.text, views.image


def _index_rows(rows: Indices, count: int) -> Indices:
    """Turn NONE into `count`, the index by which the fusion graph knows a missing modality."""
    return np.where(rows == NONE, count, rows)


def _slice(items: Indices, size: int) -> Iterator[Indices]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
