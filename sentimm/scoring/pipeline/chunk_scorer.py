"""From chunks of posts to their scores: prepare texts and images, encode each distinct one once, fuse, label.

A unit is what is encoded and fused together: a chunk, or, where the fusion attends and a post brings a hundred vectors
instead of two, a slice of a chunk, so that no more than a few slices' sequences are in memory. While the workers encode
one unit, the calling thread ends the one before (fuses it; its caller writes it) and begins the next (reads it,
normalises and tokenises its texts): see docs/contributing/pipeline.md.
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
from sentimm.scoring.pipeline.image_stage import ImageStage
from sentimm.scoring.pipeline.plan import (
    NONE,
    ChunkAnswers,
    Indices,
    Plan,
    find_items,
    make_scores,
    pair_images,
    slice_indices,
)
from sentimm.scoring.pipeline.text_stage import TextStage
from sentimm.scoring.pipeline.unit import Task, Unit
from sentimm.scoring.scores import Scores, check_views
from sentimm.text import NORMALIZATION, normalize_texts

if TYPE_CHECKING:
    from sentimm.bundle.bundle import Bundle
    from sentimm.runtime.engine import Engine

Advance = Callable[[Chunk, float], None]

SEQUENCE_BYTES = 128 << 20  # of a slice's sequences, were all texts of the greatest length
FEWEST_POSTS = 64  # of a slice: a full batch of the image graph on any device

_AHEAD = 1  # units begun before the one that is waited for is complete: enough that the workers never wait


@dataclass
class Encodings:
    """How many texts and images posts had, and how many of them had to be encoded."""

    texts: int = 0
    encoded_texts: int = 0
    images: int = 0
    encoded_images: int = 0


class ChunkScorer:
    """Scores chunks of posts with the model of a bundle; a context, as it holds threads and processes.

    Args:
        bundle, engine: the model.
        views: also score text and image alone, with the model's heads.
        features: also return the encoders' vectors.
        dedupe: encode no text and no image twice.
        encodings: to count in; None: new ones.

    Attributes:
        encodings: what was encoded so far, added to those that were passed in.

    Raises:
        UsageError: `views` of a model that lacks a head.
        BundleError: the tokenizer can't be read.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        *,
        views: bool = False,
        features: bool = False,
        dedupe: bool = True,
        encodings: Encodings | None = None,
    ) -> None:
        if views:
            check_views(bundle)
        self.encodings = Encodings() if encodings is None else encodings
        self._bundle = bundle
        self._engine = engine
        self._views = views
        specs = {"text": bundle.text, "image": bundle.image} if features else {}
        self._widths = {name: spec.width for name, spec in specs.items() if spec is not None}
        self._dedupe = dedupe
        attends = bundle.fusion.attends
        # Of an attending fusion no sequence outlives its unit: an encoding can be reused there only.
        self._texts = (
            None
            if bundle.text is None
            else TextStage(bundle.text, engine, attends=attends, reuse=dedupe and not attends)
        )
        self._images = (
            None if bundle.image is None else ImageStage(bundle.image, engine, attends=attends, dedupe=dedupe)
        )
        self._units = 0
        self._encoders = ThreadPoolExecutor(engine.workers, thread_name_prefix="encode")
        # Apart, so that the end of one unit does not wait behind the next one's encoding.
        self._fusers = ThreadPoolExecutor(engine.workers, thread_name_prefix="fuse")

    def __enter__(self) -> ChunkScorer:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End threads and processes; what is under way is dropped."""
        pools = (self._encoders, self._fusers)
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        if self._images is not None:  # before the workers are waited for: they may be waiting for a decoder
            self._images.close()
        for pool in pools:
            pool.shutdown()

    def score(self, chunk: Chunk, advance: Callable[[float], None]) -> Scores:
        """Score the posts of `chunk`; `advance` hears now and then which share of the work is done.

        Whatever is wrong with a post ends in its status, not in an error.
        """
        ((_, scores),) = self.score_all([chunk], lambda _chunk, share: advance(share))
        return scores

    def score_all(self, chunks: Iterable[Chunk], advance: Advance) -> Iterator[tuple[Chunk, Scores]]:
        """Yield `chunks` in order, each with the scores of its posts.

        The next chunk is read and being encoded when one is yielded. `advance` hears, in the calling thread, which
        share of the chunk that comes next is done.
        """
        under_way: deque[Unit] = deque()
        for unit in self._begin_units(chunks):
            under_way.append(unit)
            if len(under_way) > _AHEAD:
                yield from self._end(under_way.popleft(), advance)
        while under_way:
            yield from self._end(under_way.popleft(), advance)

    def _begin_units(self, chunks: Iterable[Chunk]) -> Iterator[Unit]:
        for chunk in chunks:
            plan = self._plan(chunk)
            slices = self._slice_pairs(plan)
            for number, pairs in enumerate(slices, 1):
                yield self._begin(plan, pairs, share=number / len(slices))

    def _plan(self, chunk: Chunk) -> Plan:
        normalization = self._bundle.text.normalization if self._bundle.text else NORMALIZATION
        normalized = [text or None for text in normalize_texts(chunk.texts, normalization)]
        post_of, sources = pair_images(chunk.images)
        is_missing = np.fromiter((image is MISSING for image in sources), dtype=bool, count=len(sources))
        there: list[ImageFile | None] = [None if image is MISSING else image for image in sources]
        texts, text_of = find_items(normalized, chunk.unreadable, distinct=self._dedupe)
        images: list[ImageFile]
        images, image_of = find_items(there, chunk.unreadable[post_of], distinct=self._dedupe)
        answers = ChunkAnswers(len(sources), len(self._bundle.labels), views=self._views, widths=self._widths)
        return Plan(chunk, post_of, texts, text_of[post_of], images, image_of, is_missing, answers)

    def _slice_pairs(self, plan: Plan) -> list[Indices]:
        """Return the chunk's pairs at once, or in slices where they bring sequences: repeated images stay together."""
        bundle, pairs = self._bundle, len(plan.post_of)
        if not bundle.fusion.attends or not pairs:
            return [np.arange(pairs)]
        tokens = 0 if bundle.text is None else bundle.text.max_tokens * bundle.text.width
        cells = 0 if bundle.image is None or bundle.image.cells is None else bundle.image.cells * bundle.image.width
        size = max(FEWEST_POSTS, SEQUENCE_BYTES // (np.dtype(np.float32).itemsize * (tokens + cells)))
        return list(slice_indices(np.lexsort((plan.text_of, plan.image_of)), size))

    def _begin(self, plan: Plan, pairs: Indices, share: float) -> Unit:
        """Prepare the texts that `pairs` have, and submit them to the encoders."""
        self._units += 1
        unit = Unit(self._units, plan, pairs, share)
        tasks = _interleave([stage.plan_tasks(unit) for stage in (self._texts, self._images) if stage is not None])
        if unit.texts is not None:
            self.encodings.texts += unit.count_texts()
            self.encodings.encoded_texts += len(unit.text_places) - len(unit.reused_texts)
        unit.expect(sum(cost for cost, _ in tasks), len(tasks))
        for cost, task in tasks:
            self._encoders.submit(unit.work, cost, task)
        return unit

    def _end(self, unit: Unit, advance: Advance) -> Iterator[tuple[Chunk, Scores]]:
        """Wait for the encoders, fuse the unit, and yield its chunk where this was the last of it."""
        unit.wait(lambda share: advance(unit.plan.chunk, share))
        to_fuse = unit.conclude()
        if unit.images is not None:
            self.encodings.images += int((unit.image_row != NONE).sum())
            self.encodings.encoded_images += len(unit.image_places) - len(unit.reused_images)
        list(self._fusers.map(partial(self._fuse, unit), slice_indices(to_fuse, self._engine.batch_sizes["fusion"])))
        if self._widths:
            self._keep_features(unit, to_fuse)
        if unit.is_last:
            yield unit.plan.chunk, make_scores(unit.plan)

    def _keep_features(self, unit: Unit, chosen: Indices) -> None:
        """Note the vectors of the `chosen` pairs of a unit."""
        texts, images, text_index, image_index = unit.select(chosen)
        for name, encoded, index in (("text", texts, text_index), ("image", images, image_index)):
            if name in self._widths and encoded is not None and index is not None:
                there = index < len(encoded)
                unit.plan.answers.put_features(name, unit.pairs[chosen[there]], encoded.features[index[there]])

    def _fuse(self, unit: Unit, chosen: Indices) -> None:
        """Fuse what was encoded of the `chosen` pairs of a unit, and note the answers."""
        answers, pairs = unit.plan.answers, unit.pairs[chosen]
        if self._views:
            answers.put_views(pairs, self._engine.fuse_with_views(*unit.select(chosen)))
        else:
            answers.put(pairs, self._engine.fuse(*unit.select(chosen)))


def _interleave(stages: Sequence[Sequence[Task]]) -> list[Task]:
    """Spread the tasks of each stage evenly: a GPU has texts to encode while images are decoded."""
    placed = [((number + 0.5) / len(tasks), task) for tasks in stages for number, task in enumerate(tasks)]
    return [task for _, task in sorted(placed, key=lambda each: each[0])]
