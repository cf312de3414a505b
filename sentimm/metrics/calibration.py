"""Calibration: the error of probabilities, and the temperature that corrects them.

Both follow C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger: On Calibration of Modern Neural Networks, ICML 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]

_BINS = 15
_RANGE = (0.1, 10.0)  # of temperatures


@dataclass(frozen=True)
class Calibration:
    """A temperature, and the expected calibration error on the `posts` that it was fitted on, before and after.

    `cross_fitted` is the error to report: each half of the posts at the temperature fitted on the other half.
    """

    posts: int
    temperature: float
    before: float
    after: float
    cross_fitted: float


def expected_calibration_error(true: Int64Array, probabilities: Float32Array, bins: int = _BINS) -> float:
    """Return the gap between confidence and accuracy, averaged over equal-width bins weighted by their posts.

    Equation 3 of Guo et al.; a bin includes its upper bound. 0 without posts.

    Args:
        true: int64 (posts,), label indices.
        probabilities: float32 (posts, labels).
        bins: number of bins between 0 and 1.
    """
    if not len(true):
        return 0.0
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == true
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(place, right, bins) - np.bincount(place, confidence, bins)
    return float(np.abs(gap).sum() / len(true))


def apply_temperature(scores: Float32Array, temperature: float) -> Float32Array:
    """Return softmax(scores / temperature), float32 (posts, labels) as `scores`."""
    scaled = scores.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities: Float32Array = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


def fit_temperature(scores: Float32Array, true: Int64Array) -> float:
    """Return the temperature in [0.1, 10] that makes the true labels most likely; 1 without posts.

    It minimises the negative log likelihood, section 4.2 of Guo et al.

    Args:
        scores: float32 (posts, labels), before the softmax; logarithms of probabilities work too.
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


def calibrate(scores: Float32Array, true: Int64Array, seed: int = 0) -> Calibration:
    """Fit a temperature and measure the error before and after it.

    Args:
        scores: as for `fit_temperature`.
        true: as for `fit_temperature`.
        seed: decides the halves of the cross-fitted error.
    """
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
