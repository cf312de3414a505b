"""Images on their way to features: those that were not seen before are read, decoded and encoded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sentimm.corpus import ImageFile
from sentimm.errors import ImageError
from sentimm.images import check_size, read_image
from sentimm.scoring.pipeline.decoder_pool import DecoderPool
from sentimm.scoring.pipeline.feature_cache import FeatureCache, Slot, digest_content, identify_file
from sentimm.scoring.pipeline.plan import Indices, slice_indices
from sentimm.scoring.pipeline.prefetch import Prefetcher
from sentimm.scoring.pipeline.unit import Task, Unit
from sentimm.storage import RemoteFile

if TYPE_CHECKING:
    from sentimm.bundle.bundle import ImageSpec
    from sentimm.runtime.engine import Engine

_IMAGE_COST = 3  # an image, decoded and encoded, takes as long as this many texts (int8 and fp32, AVX2 and AVX-512)
_DECODED_FILES, _DECODED_BYTES = 8, 4 << 20  # that a decoder gets at a time


class ImageStage:
    """Encodes the images of units; to be closed, as it holds threads and processes.

    Args:
        spec: how the model reads images.
        engine: the model.
        attends: the fusion takes sequences too.
        dedupe: encode no image twice in a unit and, where no sequences are kept, in the whole corpus.
    """

    def __init__(self, spec: ImageSpec, engine: Engine, *, attends: bool, dedupe: bool) -> None:
        self._spec = spec
        self._engine = engine
        self._attends = attends
        self._dedupe = dedupe
        self._reuse = dedupe and not attends
        self._cache = FeatureCache(spec.width)
        self._prefetcher = Prefetcher()
        self._decoders = DecoderPool(spec.size, engine.batch_sizes["image"])

    def close(self) -> None:
        """Stop fetching and decoding; a thread that waits for either gets an error."""
        self._prefetcher.close()
        self._decoders.close()

    def plan_tasks(self, unit: Unit) -> list[Task]:
        """Announce the images of `unit` to the prefetcher; return a task for each batch of them."""
        unit.reserve_images(self._spec.width, self._spec.cells if self._attends else None)
        cache = self._cache if self._reuse else FeatureCache(self._spec.width)
        self._prefetcher.expect(image for image in unit.list_images() if isinstance(image, RemoteFile))
        return [
            (_IMAGE_COST * len(batch), partial(self._encode, unit, batch, cache))
            for batch in slice_indices(np.arange(len(unit.image_places)), self._engine.batch_sizes["image"])
        ]

    def _encode(self, unit: Unit, rows: Indices, cache: FeatureCache) -> None:
        """Decode images, and encode those of them that are new."""
        slots: list[Slot] = []
        with self._decoders.borrow() as decoder:
            for files in self._read_new(unit, rows, cache):
                errors = decoder.decode([content for _, content in files])
                for (slot, _), error in zip(files, errors, strict=True):
                    if error is None:
                        slots.append(slot)
                    else:
                        unit.fail_image(slot, error)
            if slots:
                encoded = self._engine.encode_images(decoder.pixels)
                unit.put_images(np.array([slot.row for slot in slots]), encoded)
                if self._reuse:
                    for slot, features in zip(slots, encoded.features, strict=True):
                        slot.features = features.copy()

    def _read_new(self, unit: Unit, rows: Indices, cache: FeatureCache) -> Iterator[list[tuple[Slot, bytes]]]:
        """Yield the contents of new images, with their slots: some at a time, as they may be large."""
        files: list[tuple[Slot, bytes]] = []
        for row in map(int, rows):
            slot = Slot(unit.number, row)
            try:
                content = self._read_if_new(unit, slot, cache)
            except ImageError as error:
                unit.fail_image(slot, error)
                continue
            if content is not None:
                files.append((slot, content))
                if len(files) == _DECODED_FILES or sum(len(content) for _, content in files) > _DECODED_BYTES:
                    yield files
                    files = []
        if files:
            yield files

    def _read_if_new(self, unit: Unit, slot: Slot, cache: FeatureCache) -> bytes | None:
        """Return the content of the image of `slot`; None where it was seen before, which `unit` learns.

        Raises:
            ImageError: it can't be read.
        """
        image = unit.find_image(slot.row)
        if isinstance(image, bytes):
            check_size(len(image))
        if not self._dedupe:
            return self._read(image)
        file = None if isinstance(image, bytes) else identify_file(image)
        found = None if file is None else cache.find(file)
        content = None
        if found is None or not found.serves(unit.number):
            content = self._read(image)
            found = cache.claim(digest_content(content), slot)
        elif isinstance(image, RemoteFile):
            self._prefetcher.leave(image)
        if file is not None:
            cache.claim(file, found)
        if found is slot or not found.serves(unit.number):
            return content
        unit.reuse_image(slot.row, found)
        return None

    def _read(self, image: ImageFile) -> bytes:
        if isinstance(image, RemoteFile):
            return self._prefetcher.take(image)
        return image if isinstance(image, bytes) else read_image(image)
