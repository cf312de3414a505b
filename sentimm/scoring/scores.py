"""The answers to posts, as arrays, and the names that they point to: what the pipeline returns and the output holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sentimm.errors import UsageError

if TYPE_CHECKING:
    from sentimm.bundle.bundle import Bundle

USED_MODALITIES = ("text+image", "text", "image", "none")
STATUSES = ("ok", "row_unreadable", "image_unreadable", "image_missing", "empty", "unsupported")


@dataclass(frozen=True)
class ViewScores:
    """The answers of a model's heads to the text alone and to the image alone.

    Attributes:
        text, image: int64 (posts,), the index of the label, or NO_LABEL where the post has nothing of that kind.
        text_probabilities, image_probabilities: float32 (posts, labels), calibrated; NaN where there is no label.
        conflict: float32 (posts,), half the L1 distance of these, in [0, 1]; NaN without both.
    """

    text: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]
    text_probabilities: npt.NDArray[np.float32]
    image_probabilities: npt.NDArray[np.float32]
    conflict: npt.NDArray[np.float32]


@dataclass(frozen=True)
class ImageProblem:
    """An image that could not be used.

    Attributes:
        post: its place in the chunk.
        number: the place of the image among those of its post.
        reason: why it can't be read; None: it is not there.
    """

    post: int
    number: int
    reason: str | None


@dataclass(frozen=True)
class Scores:
    """The answers to a chunk's posts.

    Attributes:
        probabilities: float32 (posts, labels), calibrated; rows without a label mean nothing.
        labels: int64 (posts,), the index of the label, or NO_LABEL.
        modalities: int64 (posts,), what was used, an index into USED_MODALITIES.
        statuses: int64 (posts,), an index into STATUSES.
        views: the answers for text and image alone, where they were asked for.
        image_problems: the images that could not be used, in the order of the posts.
        images: int64 (posts,), how many images were used; None: not counted.
        features: the encoders' vectors F of `text` and `image`, float16 (posts, width), where they were asked for: the
            mean of several images, zeros where the post has nothing of that kind.
    """

    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    modalities: npt.NDArray[np.int64]
    statuses: npt.NDArray[np.int64]
    views: ViewScores | None = None
    image_problems: tuple[ImageProblem, ...] = ()
    images: npt.NDArray[np.int64] | None = None
    features: Mapping[str, npt.NDArray[np.float16]] = field(default_factory=dict)


def check_views(bundle: Bundle) -> None:
    """Check that a model can label text and image alone.

    Raises:
        UsageError: it lacks a head.
    """
    if len(bundle.fusion.heads) < 2:
        found = f"a head for {bundle.fusion.heads[0]} only" if bundle.fusion.heads else "none"
        raise UsageError(
            f"--views needs a model with heads for text and for images, and {bundle.name} has {found}: drop --views, "
            "or train a model with --heads text,image."
        )
