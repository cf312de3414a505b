"""Units: pairs of texts and images that are encoded and fused together, and what was found out about them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import TypeAlias

import numpy as np

from sentimm.corpus import ImageFile
from sentimm.errors import ImageError
from sentimm.runtime.encoded import Encoded
from sentimm.scoring.pipeline.feature_cache import Slot
from sentimm.scoring.pipeline.plan import NONE, Indices, Plan, number_rows

Task: TypeAlias = "tuple[int, Callable[[], None]]"  # the cost, in texts to encode, and what is to be done

_TELL_SECONDS = 0.2


class Unit:
    """Pairs that are encoded and fused together.

    Tasks encode its texts and images, in any order and thread: each writes rows that no other one writes. When all are
    done (`wait`), `conclude` adds what was reused, and `select` returns what is fused.

    Args:
        number: units are numbered, started and ended in order.
        plan: their chunk's.
        pairs: those of the chunk that are in the unit.
        share: of the chunk's units that are ended with this one.

    Attributes:
        text_row, image_row: the row of each pair's text and image, or NONE.
        text_places, image_places: the place of each row.
        texts, images: the encodings, once the unit is complete; None where the model does not read any.
    """

    def __init__(self, number: int, plan: Plan, pairs: Indices, share: float) -> None:
        self.number = number
        self.plan = plan
        self.pairs = pairs
        self.share = share
        self.text_places, self.text_row = number_rows(plan.text_of[pairs])
        self.image_places, self.image_row = number_rows(plan.image_of[pairs])
        self.texts: Encoded | None = None
        self.images: Encoded | None = None
        self._reused_texts: dict[int, Slot] = {}
        self._reused_images: dict[int, Slot] = {}
        self._errors: dict[int, ImageError] = {}
        self._fused_image_row = self.image_row
        self._lock = threading.Lock()
        self._complete = threading.Event()
        self._failure: BaseException | None = None
        self._cost = self._done = self._open_tasks = 0

    @property
    def is_last(self) -> bool:
        """Whether its chunk is complete with it."""
        return self.share == 1

    @property
    def reused_texts(self) -> Collection[int]:
        """The rows of the texts that are encoded elsewhere."""
        return self._reused_texts.keys()

    @property
    def reused_images(self) -> Collection[int]:
        """The rows of the images that are encoded elsewhere."""
        return self._reused_images.keys()

    def count_texts(self) -> int:
        """Count the texts of the posts that begin in the unit: a post with several images has one."""
        is_first = np.diff(self.plan.post_of, prepend=NONE)[self.pairs] > 0
        return int((is_first & (self.text_row != NONE)).sum())

    def list_texts(self) -> list[str]:
        """Return the texts, by row."""
        return [self.plan.texts[place] for place in self.text_places]

    def list_images(self) -> list[ImageFile]:
        """Return the images, by row."""
        return [self.plan.images[place] for place in self.image_places]

    def find_image(self, row: int) -> ImageFile:
        """Return the image of a row."""
        return self.plan.images[int(self.image_places[row])]

    def reserve_texts(self, width: int, tokens: int | None) -> None:
        """Make room for the texts' encodings; `tokens` of the longest, where the fusion attends."""
        self.texts = Encoded.reserve(len(self.text_places), width, tokens)

    def reserve_images(self, width: int, cells: int | None) -> None:
        """Make room for the images' encodings; `cells` of each, where the fusion attends."""
        self.images = Encoded.reserve(len(self.image_places), width, cells)

    def put_texts(self, rows: Indices, encoded: Encoded) -> None:
        """Write the encodings of some texts."""
        assert self.texts is not None
        self.texts.put(rows, encoded)

    def put_images(self, rows: Indices, encoded: Encoded) -> None:
        """Write the encodings of some images."""
        assert self.images is not None
        self.images.put(rows, encoded)

    def reuse_text(self, row: int, slot: Slot) -> None:
        """Take a text's encoding from `slot` in the end."""
        self._reused_texts[row] = slot

    def reuse_image(self, row: int, slot: Slot) -> None:
        """Take an image's encoding from `slot` in the end."""
        self._reused_images[row] = slot

    def fail_image(self, slot: Slot, error: ImageError) -> None:
        """Note what is wrong with the image of one of the unit's own slots."""
        slot.error = self._errors[slot.row] = error

    def expect(self, cost: int, tasks: int) -> None:
        """Expect so many tasks, of this cost together."""
        self._cost, self._open_tasks = cost, tasks
        if not tasks:
            self._complete.set()

    def work(self, cost: int, task: Callable[[], None]) -> None:
        """Do one of the tasks, unless one has failed."""
        try:
            if self._failure is None:
                task()
        except BaseException as error:  # of whatever kind: the waiting thread raises it
            self._failure = error
        finally:
            with self._lock:
                self._done += cost
                self._open_tasks -= 1
                if not self._open_tasks or self._failure is not None:
                    self._complete.set()

    def wait(self, advance: Callable[[float], None]) -> None:
        """Wait until all tasks are done; `advance` hears now and then which share of the chunk is.

        Raises:
            BundleError, DeviceError: as the engine's methods.
        """
        before = self.share - len(self.pairs) / max(1, len(self.plan.post_of))
        while not self._complete.wait(_TELL_SECONDS):
            advance(max(0.0, before) + (self.share - max(0.0, before)) * self._done / max(1, self._cost))
        if self._failure is not None:
            raise self._failure
        advance(self.share)

    def conclude(self) -> Indices:
        """Add what was reused, and report to the plan what is used and what is wrong, once all tasks are done.

        Returns:
            int64, which of the unit's pairs (indices into `pairs`) have something to be fused.
        """
        self._conclude_texts()
        self._conclude_images()
        self.plan.add_errors({int(self.image_places[row]): error for row, error in self._errors.items()})
        uses_text = (self.text_row != NONE) & (self.texts is not None)
        uses_image = (self._fused_image_row != NONE) & (self.images is not None)
        self.plan.answers.mark_used(self.pairs, uses_text, uses_image)
        return np.flatnonzero(uses_text | uses_image)

    def select(self, chosen: Indices) -> tuple[Encoded | None, Encoded | None, Indices | None, Indices | None]:
        """Return what `Engine.fuse` takes for the `chosen` of the unit's pairs, once it is concluded."""
        return (
            self.texts,
            self.images,
            None if self.texts is None else _index_rows(self.text_row[chosen], len(self.texts)),
            None if self.images is None else _index_rows(self._fused_image_row[chosen], len(self.images)),
        )

    def _conclude_texts(self) -> None:
        for row, slot in self._reused_texts.items():
            assert self.texts is not None and slot.features is not None
            self.texts.features[row] = slot.features

    def _conclude_images(self) -> None:
        rows = np.arange(len(self.image_places) + 1)
        rows[-1] = NONE
        for row, slot in self._reused_images.items():
            if slot.error is not None:
                self._errors[row] = slot.error
            elif slot.unit == self.number:
                rows[row] = slot.row
            else:
                assert self.images is not None and slot.features is not None
                self.images.features[row] = slot.features
        rows[list(self._errors)] = NONE
        self._fused_image_row = rows[self.image_row]


def _index_rows(rows: Indices, count: int) -> Indices:
    """Turn NONE into `count`, the index by which the fusion graph knows a missing modality."""
    return np.where(rows == NONE, count, rows)
