"""Calibration: how far probabilities are what they say, and the temperature that makes them so.

Both are of C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger: On Calibration of Modern Neural Networks, ICML 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_BINS = 15
_RANGE = (0.1, 10.0)  # of temperatures


@dataclass(frozen=True)
class Calibration:
    """A temperature, and the expected calibration error over the `posts` that it was fitted on.

    `cross_fitted` is the one to report: each half of the posts at the temperature that was fitted on the other half.
    """

    posts: int
    temperature: float
    before: float
    after: float
    cross_fitted: float


def expected_calibration_error(true: Ints, probabilities: Floats, bins: int = _BINS) -> float:
    """Average the gap between confidence and accuracy over equal-width bins of confidence, weighted by their posts.

    Equation 3 of Guo et al.; a bin holds its upper bound. 0 where there are no posts.

    Args:
        true: int64 (posts,), label indices.
        probabilities: float32 (posts, labels).
        bins: how many between 0 and 1.
    """
    if not len(true):
        return 0.0
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == true
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(place, right, bins) - np.bincount(place, confidence, bins)
    return float(np.abs(gap).sum() / len(true))


def apply_temperature(scores: Floats, temperature: float) -> Floats:
    """Turn scores, float32 (posts, labels), into probabilities of the same shape: softmax(scores / temperature)."""
    scaled = scores.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities: Floats = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


def fit_temperature(scores: Floats, true: Ints) -> float:
    """Find the temperature in [0.1, 10] that makes the true labels most likely; 1 where there are no posts.

    Args:
        scores: float32 (posts, labels), before the softmax; logarithms of probabilities do as well.
        true: int64 (posts,), label indices.
    """
    from scipy.optimize import minimize_scalar

    if not len(true):
        return 1.0
    centred = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
    own = centred[np.arange(len(true)), true]

    def measure_loss(sharpness: float) -> float:
        return float((np.log(np.exp(centred * sharpness).sum(axis=1)) - own * sharpness).mean())

    # Convex in the inverse of the temperature.
    found = minimize_scalar(measure_loss, bounds=(1 / _RANGE[1], 1 / _RANGE[0]), method="bounded")
    return 1 / float(found.x)


def calibrate(scores: Floats, true: Ints, seed: int = 0) -> Calibration:
    """Fit a temperature and measure what it brings; arguments as `fit_temperature`, `seed` decides the halves."""
    temperature = fit_temperature(scores, true)
    half = np.random.default_rng(seed).permutation(len(true)) % 2 == 0
    crossed = np.empty_like(scores, dtype=np.float32)
    for fitted, measured in ((half, ~half), (~half, half)):
        crossed[measured] = apply_temperature(scores[measured], fit_temperature(scores[fitted], true[fitted]))
    return Calibration(
        posts=len(true),
        temperature=temperature,
        before=expected_calibration_error(true, apply_temperature(scores, 1.0)),
        after=expected_calibration_error(true, apply_temperature(scores, temperature)),
        cross_fitted=expected_calibration_error(true, crossed),
    )
