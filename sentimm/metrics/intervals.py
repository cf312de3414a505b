"""95% intervals by the percentile bootstrap: how far a figure may be off because the posts are a sample.

B. Efron, R. Tibshirani: An Introduction to the Bootstrap, 1993, chapter 13.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_SAMPLES = 2000
_SEED = 0
_AT_ONCE = 100  # samples of posts in memory: 8 MB for 10,000 posts


@dataclass(frozen=True)
class Interval:
    """A figure, and the range that holds 95% of its bootstrap samples."""

    value: float
    low: float
    high: float


def resample_confusion(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return confusion matrices of samples of the posts, drawn with replacement.

    They follow a multinomial distribution over the cells, so the number of posts costs nothing.

    Args:
        confusion: int64 (labels, labels), not all zeros.

    Returns:
        int64 (2000, labels, labels); the same every time.
    """
    posts = int(confusion.sum())
    drawn = np.random.default_rng(_SEED).multinomial(posts, confusion.ravel() / posts, size=_SAMPLES)
    return drawn.reshape(_SAMPLES, *confusion.shape)


def resample_auc(scores: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the areas under the ROC curve of samples of the posts, drawn with replacement.

    Args:
        scores: (posts,).
        positive: bool (posts,), with both values.

    Returns:
        float64 (up to 2000,): without samples in which all posts are of one kind; the same every time.
    """
    rng = np.random.default_rng(_SEED)
    _, group = np.unique(scores, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))  # of each group of equal scores
    is_positive = positive[order]
    posts = len(scores)
    rows = posts * np.arange(_AT_ONCE)[:, None]
    found = []
    for _ in range(0, _SAMPLES, _AT_ONCE):
        drawn = rng.integers(posts, size=(_AT_ONCE, posts)) + rows
        weights = np.bincount(drawn.ravel(), minlength=_AT_ONCE * posts).reshape(_AT_ONCE, posts)
        above = np.add.reduceat(weights * is_positive, starts, axis=1)
        below = np.add.reduceat(weights * ~is_positive, starts, axis=1)
        pairs = above.sum(axis=1) * below.sum(axis=1)
        won = (above * (np.cumsum(below, axis=1) - below / 2)).sum(axis=1)  # equal scores win half a pair
        found.append(won[pairs > 0] / pairs[pairs > 0])
    return np.concatenate(found)
