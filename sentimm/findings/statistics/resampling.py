"""The bootstrap of a stratified sample: contents are drawn again within each stratum, and their weights rescaled.

J. N. K. Rao, C. F. J. Wu: Resampling inference with complex survey data, JASA 83, 1988. Of n contents of a stratum,
n - 1 are drawn with replacement, which makes the variance that of the sample without bias; the rescaling accounts for
a stratum of which a good part was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sentimm.findings.statistics.estimators import Floats, Ints, student_quantile

SAMPLES = 2000
_SEED = 0
_AT_ONCE = 100  # samples in memory: 8 MB for 10,000 contents


def resample_sums(weight: Floats, stratum: Ints, fraction: Floats, values: Floats) -> Floats:
    """Return weighted sums of values over samples of the contents, float64 (SAMPLES, columns); the same every time.

    Args:
        weight: posts that each content stands for, float64 (rows,).
        stratum: int64 (rows,).
        fraction: the share of each stratum's posts that are in the sample, float64 (strata,).
        values: float64 (rows, columns).
    """
    return np.concatenate([weights @ values for weights in _resample_weights(weight, stratum, fraction)])


def find_interval(value: float, samples: Floats, freedom: int) -> tuple[float, float] | None:
    """Return the 95% interval of a figure between 0 and 1, on the scale of log odds; None where samples all agree.

    Percentiles of the samples would end at 1 where a figure is near it: with 2 errors in 100 labels they hold too
    rarely.

    Args:
        value: the figure.
        samples: of it, float64 (SAMPLES,).
        freedom: degrees of freedom, contents less strata.
    """
    error = float(samples.std())
    if error < 1e-9 or not 0 < value < 1:
        return None
    odds = np.log(value / (1 - value))
    margin = float(student_quantile(0.975, float(max(freedom, 1)))) * error / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-(odds + np.array([-margin, margin]))))
    return float(low), float(high)


def _resample_weights(weight: Floats, stratum: Ints, fraction: Floats) -> Iterator[Floats]:
    """Yield weights of contents, float64 (samples, rows); those of a stratum always have the same sum."""
    rng = np.random.default_rng(_SEED)
    rows = [np.flatnonzero(stratum == number) for number in range(len(fraction))]
    for _ in range(0, SAMPLES, _AT_ONCE):
        drawn = np.tile(weight, (_AT_ONCE, 1))
        for own, share in zip(rows, fraction, strict=True):
            contents = len(own)
            if contents < 2 or share >= 1:
                continue
            counts = rng.multinomial(contents - 1, np.full(contents, 1 / contents), size=_AT_ONCE)
            scale = np.sqrt(1 - share)
            again = weight[own] * (1 - scale + scale * contents / (contents - 1) * counts)
            drawn[:, own] = again * (weight[own].sum() / again.sum(axis=1, keepdims=True))
        yield drawn
