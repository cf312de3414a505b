"""Classification metrics over arrays of label indices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Metrics:
    """Figures over `posts` labelled posts, each in [0, 1].

    `macro_recall` and `macro_f1` are unweighted means over the labels that occur among the true ones.
    """

    posts: int
    accuracy: float
    macro_f1: float
    macro_recall: float


def measure_labels(true: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> Metrics:
    """Compare predicted with true labels, both int64 (posts,) label indices; all zeros without posts."""
    from sklearn.metrics import accuracy_score, f1_score, recall_score

    if not len(true):
        return Metrics(0, 0.0, 0.0, 0.0)
    labels = np.unique(true)
    average = {"labels": labels, "average": "macro", "zero_division": 0}
    return Metrics(
        posts=len(true),
        accuracy=float(accuracy_score(true, predicted)),
        macro_f1=float(f1_score(true, predicted, **average)),
        macro_recall=float(recall_score(true, predicted, **average)),
    )
