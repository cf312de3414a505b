"""Conflict: how far text and image are apart, and how well that finds posts whose two labels differ."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sentimm.metrics.intervals import Interval, resample_auc


def conflict_auc(
    conflict: npt.NDArray[np.float32], text_label: npt.NDArray[np.int64], image_label: npt.NDArray[np.int64]
) -> Interval | None:
    """Return the area under the ROC curve of `conflict` for posts whose two labels differ.

    Args:
        conflict: float32 (posts,).
        text_label: int64 (posts,), label indices.
        image_label: int64 (posts,), label indices.

    Returns:
        The area with its interval; None if the labels of all posts differ, or of none.
    """
    from sklearn.metrics import roc_auc_score

    differ = text_label != image_label
    if differ.all() or not differ.any():
        return None
    low, high = np.quantile(resample_auc(conflict, differ), (0.025, 0.975))
    return Interval(float(roc_auc_score(differ, conflict)), float(low), float(high))


def measure_conflict(
    text_probabilities: npt.NDArray[np.float32], image_probabilities: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return half the L1 distance between the probabilities of text and image, float32 (posts,) in [0, 1].

    Both are float32 (posts, labels). This is their total variation distance.
    """
    distance: npt.NDArray[np.float32] = np.abs(text_probabilities - image_probabilities).sum(axis=1) / 2
    return distance
