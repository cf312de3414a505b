"""Figures of a model over a whole corpus, from labelled contents: each counts as the posts that it stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sentimm.findings.quality.contents import LabelledContents
from sentimm.findings.statistics.estimators import Floats, student_quantile
from sentimm.findings.statistics.resampling import find_interval, resample_sums
from sentimm.metrics.report import derive_figures
from sentimm.runtime.correction import take_logarithm

FEWEST = 10  # labels of a figure: below, its bootstrap says too little for an interval

_BINS = 15  # as in metrics.calibration
_AVERAGES = tuple(f"{average}_{kind}" for average in ("macro", "weighted") for kind in ("precision", "recall", "f1"))


@dataclass(frozen=True)
class Figure:
    """A figure and its 95% interval; None where labels are too few for one, or all agree."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class LabelQuality:
    """Figures of one label, which an estimated number of posts have, and `labelled` contents of the sheet."""

    label: str
    posts: float
    labelled: int
    precision: Figure
    recall: Figure
    f1: Figure


@dataclass(frozen=True)
class Quality:
    """Figures of a model over the posts of a corpus, named as those of `metrics.report.Report`.

    Attributes:
        posts: of the corpus.
        labels: figures of every label.
        confusion: estimated posts by true label (rows) and answer (columns).
        calibration_error: the expected one.
        confidence: mean probability of the answers.
        log_loss: mean of -log p of the true label.
        n_effective: labels drawn simply at random that would say as much of the accuracy; None: no interval.
    """

    posts: int
    accuracy: Figure
    macro_precision: Figure
    macro_recall: Figure
    macro_f1: Figure
    weighted_precision: Figure
    weighted_recall: Figure
    weighted_f1: Figure
    labels: tuple[LabelQuality, ...]
    confusion: tuple[tuple[float, ...], ...]
    calibration_error: float
    confidence: float
    log_loss: Figure
    n_effective: float | None


def measure_loss(p: Floats, y: Floats) -> Floats:
    """Return the log loss of each row, float64 (rows,), of probabilities and votes, float64 (rows, labels)."""
    return np.asarray(-(y * take_logarithm(p)).sum(axis=1))


def measure_quality(contents: LabelledContents, labels: tuple[str, ...]) -> Quality:
    """Return the figures of the model that gave the contents their probabilities."""
    kinds, y = len(labels), contents.y
    predicted, confidence = contents.p.argmax(axis=1), contents.p.max(axis=1)
    answers = np.eye(kinds)[predicted]
    cells = (y[:, :, None] * answers[:, None, :]).reshape(len(y), kinds * kinds)
    values = np.column_stack([cells, measure_loss(contents.p, y)])
    total, samples = contents.weight @ values, resample(contents, values)
    confusion = total[:-1].reshape(kinds, kinds)
    figures = derive_figures(confusion[None])
    resampled = derive_figures(samples[:, :-1].reshape(-1, kinds, kinds))
    freedom = count_freedom(contents)

    def find(name: str, label: int | None = None, labelled: float = np.inf) -> Figure:
        value, drawn = figures[name][0], resampled[name]
        if label is not None:
            value, drawn = value[label], drawn[:, label]
        found = find_interval(float(value), drawn, freedom) if min(labelled, len(y)) >= FEWEST else None
        return Figure(float(value), *(found or ()))

    accuracy, counts = find("accuracy"), y.sum(axis=0)
    variance = float(resampled["accuracy"].var()) if accuracy.low is not None else 0.0
    return Quality(
        posts=int(contents.sizes.sum()),
        accuracy=accuracy,
        **{name: find(name) for name in _AVERAGES},
        labels=tuple(
            LabelQuality(
                label,
                float(confusion[k].sum()),
                round(float(counts[k])),
                find("precision", k, answers[:, k].sum()),
                find("recall", k, counts[k]),
                find("f1", k, min(counts[k], answers[:, k].sum())),
            )
            for k, label in enumerate(labels)
        ),
        confusion=tuple(tuple(map(float, row)) for row in confusion),
        calibration_error=_measure_calibration(contents, confidence, y[np.arange(len(y)), predicted]),
        confidence=float(contents.weight @ confidence / contents.weight.sum()),
        log_loss=find_mean(contents, total[-1], samples[:, -1]),
        n_effective=accuracy.value * (1 - accuracy.value) / variance if variance > 0 else None,
    )


def resample(contents: LabelledContents, values: Floats) -> Floats:
    """Return weighted sums of values over samples of the contents, float64 (samples, columns)."""
    fraction = contents.drawn / np.maximum(contents.sizes, 1)
    return resample_sums(contents.weight, contents.stratum, fraction, values)


def count_freedom(contents: LabelledContents) -> int:
    """Return the degrees of freedom of the contents' bootstrap."""
    return len(contents.ids) - len(np.unique(contents.stratum))


def find_mean(contents: LabelledContents, total: float, samples: Floats) -> Figure:
    """Return the mean over the corpus of what has this weighted total and these totals of samples, (samples,)."""
    posts = float(contents.weight.sum())
    value, error = total / posts, float(samples.std()) / posts
    if len(contents.ids) < FEWEST or error == 0:
        return Figure(float(value))
    margin = float(student_quantile(0.975, float(max(count_freedom(contents), 1)))) * error
    return Figure(float(value), float(value - margin), float(value + margin))


def _measure_calibration(contents: LabelledContents, confidence: Floats, right: Floats) -> float:
    place = np.clip(np.ceil(confidence * _BINS).astype(np.int64) - 1, 0, _BINS - 1)
    gap = np.bincount(place, contents.weight * (right - confidence), _BINS)
    return float(np.abs(gap).sum() / contents.weight.sum())
