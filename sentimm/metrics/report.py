"""The full report on answers to labelled posts: figures with intervals, overall and for each label.

The paper (arXiv 2412.03625, Table 4) gives one precision and one recall for each model. They match the weighted
averages, which count each label by its share of the posts: weighted recall is the accuracy, by definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sentimm.metrics.calibration import expected_calibration_error
from sentimm.metrics.intervals import Interval, resample_confusion

Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]

_AVERAGES = ("macro", "weighted")
_KINDS = ("precision", "recall", "f1")


@dataclass(frozen=True)
class LabelFigures:
    """Figures of one label, which `posts` of the posts have."""

    label: str
    posts: int
    precision: Interval
    recall: Interval
    f1: Interval


@dataclass(frozen=True)
class Report:
    """Figures over `posts` labelled posts, each in [0, 1].

    Averages are over the labels that occur among the true ones: macro averages count labels alike, weighted ones by
    their posts.

    Attributes:
        labels: figures of every label; zeros where it does not occur.
        confusion: posts by true label (rows) and answer (columns), in the order of `labels`.
        calibration_error: expected calibration error; None without probabilities.
        confidence: mean probability of the answers; None without probabilities.
    """

    posts: int
    accuracy: Interval
    macro_precision: Interval
    macro_recall: Interval
    macro_f1: Interval
    weighted_precision: Interval
    weighted_recall: Interval
    weighted_f1: Interval
    labels: tuple[LabelFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration_error: float | None
    confidence: float | None


def measure_probabilities(true: Int64Array, probabilities: Float32Array, labels: Sequence[str]) -> Report:
    """Compare answers with their probabilities to the true labels.

    Args:
        true: int64 (posts,), indices into `labels`.
        probabilities: float32 (posts, labels).
        labels: their names.

    Raises:
        ValueError: there are no posts.
    """
    if not len(true):
        raise ValueError("there are no posts to measure")
    return _measure(
        true,
        probabilities.argmax(axis=1),
        labels,
        expected_calibration_error(true, probabilities),
        float(probabilities.max(axis=1).mean()),
    )


def measure_answers(true: Int64Array, answers: Int64Array, labels: Sequence[str]) -> Report:
    """Compare answers without probabilities to the true labels, both int64 (posts,) indices into `labels`.

    Raises:
        ValueError: there are no posts.
    """
    if not len(true):
        raise ValueError("there are no posts to measure")
    return _measure(true, answers, labels, None, None)


def _measure(
    true: Int64Array,
    answers: Int64Array,
    labels: Sequence[str],
    calibration_error: float | None,
    confidence: float | None,
) -> Report:
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

    every, occurring = np.arange(len(labels)), np.unique(true)
    confusion = confusion_matrix(true, answers, labels=every)
    figures = {"accuracy": float(accuracy_score(true, answers))}
    for average in _AVERAGES:
        found = precision_recall_fscore_support(true, answers, labels=occurring, average=average, zero_division=0)
        figures |= {f"{average}_{kind}": float(value) for kind, value in zip(_KINDS, found, strict=False)}
    by_label = precision_recall_fscore_support(true, answers, labels=every, average=None, zero_division=0)
    resampled = derive_figures(resample_confusion(confusion))

    def make_interval(name: str, value: float, label: int | None = None) -> Interval:
        values = resampled[name] if label is None else resampled[name][:, label]
        return Interval(value, *map(float, np.quantile(values, (0.025, 0.975))))

    return Report(
        posts=len(true),
        **{name: make_interval(name, value) for name, value in figures.items()},
        labels=tuple(
            LabelFigures(
                label,
                int(confusion[row].sum()),
                *(make_interval(kind, float(values[row]), row) for kind, values in zip(_KINDS, by_label, strict=False)),
            )
            for row, label in enumerate(labels)
        ),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        calibration_error=calibration_error,
        confidence=confidence,
    )


def derive_figures(confusion: npt.NDArray[np.generic]) -> dict[str, npt.NDArray[np.float64]]:
    """Return all figures of many confusion matrices at once: posts or their weights, (samples, true labels, answers).

    The definitions are scikit-learn's, which takes one matrix at a time. `accuracy` and the averages (such as
    `macro_f1`) are float64 (samples,); `precision`, `recall` and `f1` of each label are float64 (samples, labels).
    """
    right = np.diagonal(confusion, axis1=1, axis2=2).astype(np.float64)
    true, answered = confusion.sum(axis=2), confusion.sum(axis=1)
    figures = {
        "precision": _divide(right, answered),
        "recall": _divide(right, true),
        "f1": _divide(2 * right, true + answered),
    }
    share, occurs = _divide(true, true.sum(axis=1, keepdims=True)), true > 0
    for kind in _KINDS:
        values = figures[kind]
        figures[f"macro_{kind}"] = _divide((values * occurs).sum(axis=1), occurs.sum(axis=1))
        figures[f"weighted_{kind}"] = (values * share).sum(axis=1)
    return figures | {"accuracy": figures["weighted_recall"]}


def _divide(above: npt.NDArray[np.generic], below: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Divide, 0 where the divisor is 0."""
    above, below = np.broadcast_arrays(above, below)
    result: npt.NDArray[np.float64] = np.divide(above, below, out=np.zeros(above.shape), where=below != 0)
    return result
