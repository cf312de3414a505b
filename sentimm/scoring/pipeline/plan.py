"""The plan of a chunk: the distinct texts and images in it, the answers to its posts so far, and the scores in the end.

What is numbered, in this folder:

    post    in a chunk, from 0; in the plan of the chunk and in its `ChunkAnswers`
    place   of a distinct text (or image) among those of its chunk: `Plan.texts[place]`
    row     of a distinct text (or image) among those of its unit: `Unit.texts.features[row]`

An index from posts to places or rows has NONE where a post has no such thing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from sentimm.corpus import MISSING, Chunk, ImageFile
from sentimm.corpus.labels import NO_LABEL
from sentimm.errors import ImageError, ImageMissingError
from sentimm.metrics.conflict import measure_conflict
from sentimm.scoring.scores import STATUSES, USED_MODALITIES, Scores, ViewScores

if TYPE_CHECKING:
    from sentimm.runtime.encoded import Views

Indices = npt.NDArray[np.int64]
Item = TypeVar("Item")

NONE = -1

# The first that holds for a post is its status; "ok" where none does.
_STATUS_ORDER = ("row_unreadable", "image_unreadable", "image_missing", "empty", "unsupported")

_log = logging.getLogger(__name__)


class ChunkAnswers:
    """The answers to a chunk's posts, as they come in.

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
        self.alone: dict[str, npt.NDArray[np.float32]] | None = None
        if views:
            self.alone = {name: np.full((posts, labels), np.nan, np.float32) for name in ("text", "image")}

    def mark_used(self, posts: Indices, text: npt.NDArray[np.bool_], image: npt.NDArray[np.bool_]) -> None:
        """Note of which `posts` the text and the image are used."""
        self.uses_text[posts], self.uses_image[posts] = text, image

    def put(self, posts: Indices, probabilities: npt.NDArray[np.float32]) -> None:
        """Write the probabilities of `posts`."""
        self.probabilities[posts] = probabilities

    def put_views(self, posts: Indices, views: Views) -> None:
        """Write the probabilities of `posts`, and those of their texts and images alone."""
        assert self.alone is not None
        self.probabilities[posts] = views.probabilities
        self.alone["text"][posts], self.alone["image"][posts] = views.text, views.image

    def to_views(self) -> ViewScores | None:
        """Return the labels of text and image alone, and how far they are apart; None where they are not asked."""
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
        answers: to the posts, so far.
        errors: what is wrong with images, by place.
    """

    chunk: Chunk
    texts: list[str]
    text_of: Indices
    images: list[ImageFile]
    image_of: Indices
    answers: ChunkAnswers
    errors: dict[int, ImageError] = field(default_factory=dict)

    def add_errors(self, errors: Mapping[int, ImageError]) -> None:
        """Note what is wrong with images, by place."""
        self.errors |= errors


def make_scores(plan: Plan) -> Scores:
    """Derive labels and statuses, once all of a chunk is fused."""
    chunk, answers = plan.chunk, plan.answers
    is_missing = np.fromiter((image is MISSING for image in chunk.images), dtype=bool, count=chunk.rows)
    lost = {place for place, error in plan.errors.items() if isinstance(error, ImageMissingError)}
    is_missing |= np.isin(plan.image_of, list(lost))
    is_broken = np.isin(plan.image_of, [place for place in plan.errors if place not in lost])
    image_errors = {int(post): str(plan.errors[int(plan.image_of[post])]) for post in np.flatnonzero(is_broken)}
    _log_problems(chunk, image_errors)
    has_nothing = (plan.text_of == NONE) & (plan.image_of == NONE)
    is_scored = answers.uses_text | answers.uses_image
    statuses = np.select(
        [chunk.unreadable, is_broken, is_missing, has_nothing, ~is_scored],
        [STATUSES.index(name) for name in _STATUS_ORDER],
        default=STATUSES.index("ok"),
    )
    modalities = np.select(
        [answers.uses_text & answers.uses_image, answers.uses_text, answers.uses_image],
        [USED_MODALITIES.index(name) for name in ("text+image", "text", "image")],
        default=USED_MODALITIES.index("none"),
    )
    labels = np.where(is_scored, answers.probabilities.argmax(axis=1), NO_LABEL)
    return Scores(
        answers.probabilities,
        labels,
        modalities.astype(np.int64),
        statuses.astype(np.int64),
        answers.to_views(),
        image_errors,
    )


def find_items(
    items: Sequence[Item | None], left_out: npt.NDArray[np.bool_], *, distinct: bool
) -> tuple[list[Item], Indices]:
    """Return the (distinct) items in order, and for each post the place of its own (NONE where it has none)."""
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


def number_rows(places: Indices) -> tuple[Indices, Indices]:
    """Return the places that occur, in order, and for each post its row among them (NONE stays)."""
    own = np.unique(places[places != NONE])
    return own, np.where(places == NONE, NONE, np.searchsorted(own, places))


def slice_indices(indices: Indices, size: int) -> Iterator[Indices]:
    """Yield `size` of the indices at a time."""
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def _log_problems(chunk: Chunk, image_errors: Mapping[int, str]) -> None:
    for problem in chunk.problems:
        _log.info("post %d can't be read as a row: it %s", problem.row, problem.reason)
    for post, error in image_errors.items():
        image = chunk.images[post]
        name = "in the table" if isinstance(image, bytes) else image
        _log.info("post %d: the image %s %s", chunk.start + post, name, error)
