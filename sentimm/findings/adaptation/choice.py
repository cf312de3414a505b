"""Which correction is best: by the log loss of contents that it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sentimm.findings.adaptation.fitting import (
    RIDGES,
    Examples,
    fit_head,
    fit_prior,
    fit_vector,
)
from sentimm.findings.quality.contents import LabelledContents
from sentimm.findings.quality.figures import Figure, find_mean, measure_loss, resample
from sentimm.findings.statistics.estimators import Floats, Ints
from sentimm.runtime.correction import Correction

VECTOR_LABELS = 100  # labels from which a method is tried
HEAD_LABELS = 300

_FOLDS = 10
_INNER_FOLDS = 4
_SEED = 0

Fit = Callable[[Examples], Correction]


@dataclass(frozen=True)
class Candidate:
    """A method, and what it does to contents that it was not fitted to, each counted as the posts it stands for.

    Attributes:
        method: `prior`, `vector` or `head`.
        log_loss, accuracy: of the corrected answers.
        gain: how much less the log loss is than that of the model as it is.
    """

    method: str
    log_loss: float
    accuracy: float
    gain: Figure


@dataclass(frozen=True)
class Comparison:
    """How the methods did.

    Attributes:
        log_loss, accuracy: of the model as it is.
        candidates: the methods that so many labels allow.
    """

    log_loss: float
    accuracy: float
    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> Candidate:
        """The method with the lowest log loss."""
        return min(self.candidates, key=lambda each: each.log_loss)

    @property
    def is_gain(self) -> bool:
        """Whether the best method's gain is above 0, also at the lower end of its interval."""
        low = self.best.gain.low
        return low is not None and low > 0


def list_methods(labels: int, *, has_features: bool) -> dict[str, Fit]:
    """Return the methods that so many labels allow, by name."""
    methods: dict[str, Fit] = {"prior": fit_prior}
    if labels >= VECTOR_LABELS:
        methods["vector"] = fit_vector
    if labels >= HEAD_LABELS and has_features:
        methods["head"] = fit_best_head
    return methods


def compare_methods(contents: LabelledContents, examples: Examples) -> Comparison:
    """Compare the methods, each fitted to nine tenths of the contents and measured on the rest, ten times."""
    methods = list_methods(len(set(contents.ids)), has_features=examples.basis is not None)
    usual = measure_loss(examples.p, examples.y)
    candidates = []
    for method, fit in methods.items():
        p = cross_fit(fit, examples, number_folds(contents.ids, _FOLDS))
        gain = (usual - measure_loss(p, examples.y))[:, None]
        figure = find_mean(contents, float(contents.weight @ gain[:, 0]), resample(contents, gain)[:, 0])
        loss = _average(contents.weight, measure_loss(p, examples.y))
        candidates.append(Candidate(method, loss, _measure_accuracy(p, examples), figure))
    return Comparison(_average(contents.weight, usual), _measure_accuracy(examples.p, examples), tuple(candidates))


def number_folds(ids: Sequence[str], folds: int) -> Ints:
    """Return the fold of each row, int64 (rows,): rows of one content are in the same."""
    names = {name: number for number, name in enumerate(sorted(set(ids)))}
    fold = np.random.default_rng(_SEED).permutation(len(names)) % folds
    return np.array([fold[names[name]] for name in ids], dtype=np.int64)


def cross_fit(fit: Fit, examples: Examples, fold: Ints) -> Floats:
    """Return probabilities of each content by a correction that was fitted to other folds, (contents, labels)."""
    found = np.empty_like(examples.p)
    for rest, own in _split(fold):
        found[own] = examples.take(own).apply(fit(examples.take(rest)))
    return found


def fit_best_head(examples: Examples) -> Correction:
    """Return the head of the ridge that does best on contents it was not fitted to."""
    fold = np.random.default_rng(_SEED).permutation(len(examples.p)) % _INNER_FOLDS

    def measure(ridge: float) -> float:
        p = cross_fit(lambda some: fit_head(some, ridge), examples, fold)
        return _average(examples.weight, measure_loss(p, examples.y))

    return fit_head(examples, min(RIDGES, key=measure))


def _split(fold: Ints) -> Iterator[tuple[Ints, Ints]]:
    for number in np.unique(fold):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def _measure_accuracy(p: npt.NDArray[np.floating], examples: Examples) -> float:
    right = examples.y[np.arange(len(p)), p.argmax(axis=1)]
    return _average(examples.weight, right)


def _average(weight: Floats, values: Floats) -> float:
    return float(weight @ values / weight.sum())
