"""Units of work: posts that are encoded and fused together, the plan of their chunk, and what is decided in the end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sentimm.corpus import MISSING, Chunk, ImageFile
from sentimm.errors import ImageError, ImageMissingError
from sentimm.metrics.conflict import measure_conflict
from sentimm.runtime.encoded import Encoded
from sentimm.scoring.output.columns import MODALITIES, NO_LABEL, STATUSES, Scores, ViewScores
from sentimm.scoring.pipeline.feature_cache import Slot

Indices = npt.NDArray[np.int64]
Features = npt.NDArray[np.float32]
Item = TypeVar("Item")

NONE = -1  # in an index: this post has no such thing

_TELL_SECONDS = 0.2

_log = logging.getLogger(__name__)


class Unit:
    """Posts that are encoded and fused together.

    Args:
        number: units are numbered, begun and ended in order.
        plan: their chunk's.
        posts: their places in the chunk.
        text_row, image_row: the row of each post's text and image among those of the unit, or NONE.
        own_images: the places of the unit's images among the chunk's.
        share: of the chunk's units that are ended with this one.

    Attributes:
        texts, images: what the encoders give, once the unit is complete; None where the model reads no such thing.
        known_texts, known_images: the rows that were not encoded, as they are known.
        errors: what is wrong with images, by row.
    """

    def __init__(
        self,
        number: int,
        plan: Plan,
        posts: Indices,
        text_row: Indices,
        image_row: Indices,
        own_images: Indices,
        share: float,
    ) -> None:
        self.number = number
        self.plan = plan
        self.posts = posts
        self.text_row = text_row
        self.image_row = image_row
        self.own_images = own_images
        self.share = share
        self.texts: Encoded | None = None
        self.images: Encoded | None = None
        self.known_texts: dict[int, Slot] = {}
        self.known_images: dict[int, Slot] = {}
        self.errors: dict[int, ImageError] = {}
        self._lock = threading.Lock()
        self._complete = threading.Event()
        self._failure: BaseException | None = None
        self._cost = self._done = self._left = 0

    def expect(self, cost: int, tasks: int) -> None:
        """Expect so many tasks, of this cost together."""
        self._cost, self._left = cost, tasks
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
                self._left -= 1
                if not self._left or self._failure is not None:
                    self._complete.set()

    def wait(self, tell: Callable[[float], None]) -> None:
        """Wait until all tasks are done; `tell` hears now and then which share of the chunk is.

        Raises:
            BundleError, DeviceError: as the engine's methods.
        """
        before = self.share - len(self.posts) / max(1, self.plan.chunk.rows)
        while not self._complete.wait(_TELL_SECONDS):
            tell(max(0.0, before) + (self.share - max(0.0, before)) * self._done / max(1, self._cost))
        if self._failure is not None:
            raise self._failure
        tell(self.share)

    def conclude_texts(self) -> None:
        """Put what was known of texts among what was encoded."""
        for row, slot in self.known_texts.items():
            assert self.texts is not None and slot.features is not None
            self.texts.features[row] = slot.features

    def conclude_images(self) -> Indices:
        """Put what was known of images among what was encoded.

        Returns:
            the row of each post's image, NONE also where it is broken.
        """
        rows = np.arange(len(self.own_images) + 1)
        rows[-1] = NONE
        for row, slot in self.known_images.items():
            if slot.error is not None:
                self.errors[row] = slot.error
            elif slot.unit == self.number:
                rows[row] = slot.position
            else:
                assert self.images is not None and slot.features is not None
                self.images.features[row] = slot.features
        rows[list(self.errors)] = NONE
        return rows[self.image_row]


class Found:
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


@dataclass
class Plan:
    """A chunk, and what is in it.

    Attributes:
        texts, images: the distinct ones (all, where repeats are not looked for), texts normalised.
        text_of, image_of: for each post the place of its own among them, or NONE.
        found: what has been found of the posts so far.
        errors: what is wrong with images, by place.
    """

    chunk: Chunk
    texts: list[str]
    text_of: Indices
    images: list[ImageFile]
    image_of: Indices
    found: Found
    errors: dict[int, ImageError] = field(default_factory=dict)


_STATUS_ORDER = ("row_unreadable", "image_unreadable", "image_missing", "empty", "unsupported")


def decide(plan: Plan) -> Scores:
    """Decide on labels and statuses, once all of a chunk is fused."""
    chunk, found = plan.chunk, plan.found
    is_missing = np.fromiter((image is MISSING for image in chunk.images), dtype=bool, count=chunk.rows)
    lost = {place for place, error in plan.errors.items() if isinstance(error, ImageMissingError)}
    is_missing |= np.isin(plan.image_of, list(lost))
    is_broken = np.isin(plan.image_of, [place for place in plan.errors if place not in lost])
    image_errors = {int(post): str(plan.errors[int(plan.image_of[post])]) for post in np.flatnonzero(is_broken)}
    _log_problems(chunk, image_errors)
    has_nothing = (plan.text_of == NONE) & (plan.image_of == NONE)
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
        found.probabilities,
        labels,
        modalities.astype(np.int64),
        statuses.astype(np.int64),
        found.to_views(),
        image_errors,
    )


def find_items(
    items: Sequence[Item | None], left_out: npt.NDArray[np.bool_], *, distinct: bool
) -> tuple[list[Item], Indices]:
    """Find the (distinct) items in order, and for each post the place of its own (NONE where it has none)."""
    places: dict[Item, int] = {}
    found: list[Item] = []
    index = np.full(len(items), NONE, dtype=np.int64)
    for post, item in enumerate(items):
        if item is not None and not left_out[post]:
            place = places.setdefault(item, len(found)) if distinct else len(found)
            if place == len(found):
                found.append(item)
            index[post] = place
    return found, index


def number_rows(positions: Indices) -> tuple[Indices, Indices]:
    """Find the positions that occur, in order, and for each post its row among them (NONE stays)."""
    own = np.unique(positions[positions != NONE])
    return own, np.where(positions == NONE, NONE, np.searchsorted(own, positions))


def _log_problems(chunk: Chunk, image_errors: Mapping[int, str]) -> None:
    for problem in chunk.problems:
        _log.info("post %d can't be read as a row: it %s", problem.row, problem.reason)
    for post, error in image_errors.items():
        image = chunk.images[post]
        name = "in the table" if isinstance(image, bytes) else image
        _log.info("post %d: the image %s %s", chunk.start + post, name, error)
