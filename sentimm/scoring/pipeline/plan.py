"""The plan of a chunk: the distinct texts and images in it, the answers to its posts so far, and the scores in the end.

What is numbered, in this folder:

    post    in a chunk, from 0
    pair    of a post's text and one of its images, in a chunk, from 0: what is fused; a post without an image is one
            pair too, so that of posts with one image at most, pairs and posts are the same
    place   of a distinct text (or image) among those of its chunk: `Plan.texts[place]`
    row     of a distinct text (or image) among those of its unit: `Unit.texts.features[row]`

An index from pairs to places or rows has NONE where a pair has no such thing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from sentimm.corpus import Chunk, ImageFile, ImageSource, PostImages, list_images
from sentimm.corpus.labels import NO_LABEL
from sentimm.errors import ImageError, ImageMissingError
from sentimm.metrics.conflict import measure_conflict
from sentimm.scoring.scores import STATUSES, USED_MODALITIES, ImageProblem, Scores, ViewScores

if TYPE_CHECKING:
    from sentimm.runtime.encoded import Views

Indices = npt.NDArray[np.int64]
Item = TypeVar("Item")

NONE = -1

# The first that holds for a post is its status; "ok" where none does.
_STATUS_ORDER = ("row_unreadable", "image_unreadable", "image_missing", "empty", "unsupported")

_log = logging.getLogger(__name__)


class ChunkAnswers:
    """The answers to the pairs of a chunk, as they come in, or in the end to its posts.

    Attributes:
        probabilities: float32 (pairs, labels), zeros where nothing was scored.
        uses_text, uses_image: bool (pairs,), what was used.
        alone: what the heads say of the text and of the image, as `probabilities`, NaN where there is none; None where
            they are not asked.
        features: the vectors of text and image, float16 (pairs, width), zeros where there is none; empty where they are
            not asked.
    """

    def __init__(self, pairs: int, labels: int, *, views: bool, widths: Mapping[str, int] | None = None) -> None:
        self.probabilities = np.zeros((pairs, labels), np.float32)
        self.uses_text = np.zeros(pairs, dtype=bool)
        self.uses_image = np.zeros(pairs, dtype=bool)
        self.alone: dict[str, npt.NDArray[np.float32]] | None = None
        if views:
            self.alone = {name: np.full((pairs, labels), np.nan, np.float32) for name in ("text", "image")}
        self.features = {name: np.zeros((pairs, width), np.float16) for name, width in (widths or {}).items()}

    def mark_used(self, pairs: Indices, text: npt.NDArray[np.bool_], image: npt.NDArray[np.bool_]) -> None:
        """Note of which `pairs` the text and the image are used."""
        self.uses_text[pairs], self.uses_image[pairs] = text, image

    def put(self, pairs: Indices, probabilities: npt.NDArray[np.float32]) -> None:
        """Write the probabilities of `pairs`."""
        self.probabilities[pairs] = probabilities

    def put_views(self, pairs: Indices, views: Views) -> None:
        """Write the probabilities of `pairs`, and those of their texts and images alone."""
        assert self.alone is not None
        self.probabilities[pairs] = views.probabilities
        self.alone["text"][pairs], self.alone["image"][pairs] = views.text, views.image

    def put_features(self, name: str, pairs: Indices, vectors: npt.NDArray[np.float32]) -> None:
        """Write the vectors, float32 (pairs, width), of the texts or of the images of `pairs`."""
        most = np.finfo(np.float16).max
        self.features[name][pairs] = np.clip(vectors, -most, most)

    def average(self, post_of: Indices, posts: int) -> ChunkAnswers:
        """Return the answers to the posts: the means of those to their pairs.

        Where one of a post's images is used, the pairs without one do not count.

        Args:
            post_of: int64 (pairs,), ascending, each post at least once.
            posts: how many there are.
        """
        if len(post_of) == posts:
            return self
        first = np.searchsorted(post_of, np.arange(posts))
        has_image = np.logical_or.reduceat(self.uses_image, first)
        is_first = np.zeros(len(post_of), dtype=bool)
        is_first[first] = True
        result = ChunkAnswers(posts, self.probabilities.shape[1], views=self.alone is not None)
        result.uses_text = np.logical_or.reduceat(self.uses_text, first)
        result.uses_image = has_image
        counts = np.where(has_image[post_of], self.uses_image, is_first)
        result.probabilities = _average(self.probabilities, counts, first)
        if self.alone is not None:
            image = _average(np.nan_to_num(self.alone["image"]), counts, first)
            image[~has_image] = np.nan
            result.alone = {"text": self.alone["text"][first], "image": image}
        for name, vectors in self.features.items():
            mean = _average(vectors.astype(np.float32), counts, first) if name == "image" else vectors[first]
            result.features[name] = mean.astype(np.float16)
        return result

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
        post_of: the post of each pair, in order.
        texts, images: the distinct ones (all, where repeats are not looked for), texts normalised.
        text_of, image_of: for each pair the place of its own among them, or NONE.
        is_missing: bool (pairs,), whose image is not there.
        answers: to the pairs, so far.
        errors: what is wrong with images, by place.
    """

    chunk: Chunk
    post_of: Indices
    texts: list[str]
    text_of: Indices
    images: list[ImageFile]
    image_of: Indices
    is_missing: npt.NDArray[np.bool_]
    answers: ChunkAnswers
    errors: dict[int, ImageError] = field(default_factory=dict)

    def add_errors(self, errors: Mapping[int, ImageError]) -> None:
        """Note what is wrong with images, by place."""
        self.errors |= errors


def make_scores(plan: Plan) -> Scores:
    """Derive labels and statuses, once all of a chunk is fused."""
    chunk, answers = plan.chunk, plan.answers.average(plan.post_of, plan.chunk.rows)
    lost = {place for place, error in plan.errors.items() if isinstance(error, ImageMissingError)}
    is_lost = plan.is_missing | np.isin(plan.image_of, list(lost))
    is_bad = np.isin(plan.image_of, [place for place in plan.errors if place not in lost])
    image_problems = _list_image_problems(plan, is_lost, is_bad)
    _log_problems(chunk, image_problems)
    has_text, has_image = plan.text_of != NONE, plan.image_of != NONE

    def any_of(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return for each post whether a flag of its pairs is set."""
        return np.bincount(plan.post_of[flags], minlength=chunk.rows) > 0

    is_fine = any_of(has_image & ~is_lost & ~is_bad)
    is_broken, is_missing = any_of(is_bad) & ~is_fine, any_of(is_lost) & ~is_fine
    has_nothing = ~any_of(has_text | has_image)
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
        image_problems,
        np.bincount(plan.post_of[plan.answers.uses_image], minlength=chunk.rows),
        answers.features,
    )


def pair_images(posts: Sequence[PostImages]) -> tuple[Indices, list[ImageSource]]:
    """Return the post of each pair of posts' texts and images, and its image; None of a post without one."""
    if not any(isinstance(images, tuple) for images in posts):
        return np.arange(len(posts)), list(posts)  # type: ignore[arg-type]  # which has no tuple
    pairs = [list_images(images) or (None,) for images in posts]
    post_of = np.repeat(np.arange(len(posts)), [len(images) for images in pairs])
    return post_of, [image for images in pairs for image in images]


def find_items(
    items: Sequence[Item | None], left_out: npt.NDArray[np.bool_], *, distinct: bool
) -> tuple[list[Item], Indices]:
    """Return the (distinct) items in order, and for each of those given its place (NONE where it is None)."""
    places: dict[Item, int] = {}
    found: list[Item] = []
    index = np.full(len(items), NONE, dtype=np.int64)
    for given, item in enumerate(items):
        if item is not None and not left_out[given]:
            place = places.setdefault(item, len(found)) if distinct else len(found)
            if place == len(found):
                found.append(item)
            index[given] = place
    return found, index


def number_rows(places: Indices) -> tuple[Indices, Indices]:
    """Return the places that occur, in order, and for each pair its row among them (NONE stays)."""
    own = np.unique(places[places != NONE])
    return own, np.where(places == NONE, NONE, np.searchsorted(own, places))


def slice_indices(indices: Indices, size: int) -> Iterator[Indices]:
    """Yield `size` of the indices at a time."""
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def _average(values: npt.NDArray[np.float32], counts: npt.NDArray[np.bool_], first: Indices) -> npt.NDArray[np.float32]:
    """Return the means of the rows of `values` that count, from each of `first` up to the next one."""
    sums = np.add.reduceat(np.where(counts[:, None], values.astype(np.float64), 0), first)
    return np.asarray(sums / np.maximum(1, np.add.reduceat(counts.astype(np.int64), first))[:, None], np.float32)


def _list_image_problems(
    plan: Plan, is_lost: npt.NDArray[np.bool_], is_bad: npt.NDArray[np.bool_]
) -> tuple[ImageProblem, ...]:
    problems = []
    for pair in np.flatnonzero((is_lost | is_bad) & ~plan.chunk.unreadable[plan.post_of]):
        post = int(plan.post_of[pair])
        number = int(pair - np.searchsorted(plan.post_of, post))
        reason = str(plan.errors[int(plan.image_of[pair])]) if is_bad[pair] else None
        problems.append(ImageProblem(post, number, reason))
    return tuple(problems)


def _log_problems(chunk: Chunk, image_problems: Sequence[ImageProblem]) -> None:
    for problem in chunk.problems:
        _log.info("post %d can't be read as a row: it %s", problem.row, problem.reason)
    for each in image_problems:
        if each.reason is not None:
            image = list_images(chunk.images[each.post])[each.number]
            name = "in the table" if isinstance(image, bytes) else image
            _log.info("post %d: the image %s %s", chunk.start + each.post, name, each.reason)
