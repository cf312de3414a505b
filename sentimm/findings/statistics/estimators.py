"""Shares of labels in a corpus, estimated from a stratified sample of labelled posts and the model's answers to all.

The estimator is the difference (GREG) estimator of survey statistics, with one coefficient for the model's
probabilities, as in prediction-powered inference (PPI++, Angelopoulos et al., arXiv 2311.01453) and design-based
supervised learning (Egami et al., arXiv 2306.04746). Variances are those of stratified sampling without replacement
(Cochran, Sampling Techniques, 1977, chapter 5), degrees of freedom Satterthwaite's.

Indices: h a stratum, d a domain (the group or period that a share is asked for), k a label, s a labelled post.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# What a label varies by at least, per post: the model's own p (1 - p) where that is more. It keeps the intervals of
# rare labels in small groups honest, where a sample may hold no post of the label at all.
LEAST_VARIANCE = 0.002


@dataclass(frozen=True)
class Population:
    """Sums over all posts of a corpus.

    Attributes:
        sizes: posts of each stratum, int64 (strata,), also of those that lie in no domain.
        means: mean probability of each label in each stratum, float64 (strata, labels).
        posts: int64 (strata, domains).
        p: sum of the probabilities, float64 (strata, domains, labels).
        p_squared: sum of their squares, likewise.
        variance: sum of max(p (1 - p), LEAST_VARIANCE), likewise.
    """

    sizes: Ints
    means: Floats
    posts: Ints
    p: Floats
    p_squared: Floats
    variance: Floats

    @property
    def whole(self) -> Population:
        """The same posts as one domain."""
        sums = (self.posts, self.p, self.p_squared, self.variance)
        return Population(self.sizes, self.means, *(each.sum(axis=1, keepdims=True) for each in sums))


@dataclass(frozen=True)
class Sample:
    """Labelled posts, drawn without replacement from each stratum alike.

    Attributes:
        stratum: int64 (posts,).
        domain: int64 (posts,); -1: in none.
        p: the model's probabilities, float64 (posts, labels).
        y: one-hot labels, or the annotators' votes as shares, float64 (posts, labels).
    """

    stratum: Ints
    domain: Ints
    p: Floats
    y: Floats

    @property
    def whole(self) -> Sample:
        """The same posts in one domain, but for those that lie in none."""
        return replace(self, domain=np.where(self.domain >= 0, 0, -1))

    def count_drawn(self, strata: int) -> Ints:
        """Return the labelled posts of each stratum, int64 (strata,)."""
        return np.bincount(self.stratum, minlength=strata).astype(np.int64)


@dataclass(frozen=True)
class Estimate:
    """Shares of each label in each domain, and all that their intervals and those of their differences follow from.

    Attributes:
        share: float64 (domains, labels); the labels of a domain sum to 1. NaN where a domain has no labelled post.
        strata_variance: the part of each stratum in a share's variance, float64 (strata, domains, labels).
        weighted: labelled posts times their weights, float64 (domains,).
        labels: labelled posts, int64 (domains,).
    """

    share: Floats
    strata_variance: Floats
    weighted: Floats
    labels: Ints
    _parts: _Parts

    @property
    def drawn(self) -> Ints:
        """Labelled posts of each stratum, int64 (strata,)."""
        return self._parts.drawn

    @property
    def variance(self) -> Floats:
        """Variance of each share, float64 (domains, labels)."""
        return np.asarray(self.strata_variance.sum(axis=0))


@dataclass(frozen=True)
class _Parts:
    """What differences of domains need: residuals of the labelled posts and the floors of the strata."""

    population: Population
    sample: Sample
    residuals: Floats  # (posts, labels): z of each post in its own domain
    floors: Floats  # (strata, domains, labels)
    drawn: Ints  # (strata,)


def choose_coefficient(population: Population, sample: Sample) -> float:
    """Return lambda, how far the model's probabilities are relied on: 0 (not at all) to 1.

    It is the weighted regression coefficient of the labels on the probabilities, one for all labels, so that shares sum
    to 1 (PPI++'s power tuning, clipped).
    """
    weights = _weigh(population, sample)
    if not len(weights):
        return 0.0
    weights = weights / weights.sum()
    p = sample.p - weights @ sample.p
    y = sample.y - weights @ sample.y
    spread = float(weights @ (p**2).sum(axis=1))
    if spread <= 0:
        return 0.0
    return float(np.clip(weights @ (p * y).sum(axis=1) / spread, 0.0, 1.0))


def estimate_shares(population: Population, sample: Sample, coefficient: float) -> Estimate:
    """Return the shares of all labels in all domains.

    Args:
        population: sums over all posts.
        sample: the labelled posts.
        coefficient: lambda, from `choose_coefficient`; 0: the labels alone.
    """
    strata, domains = population.posts.shape
    labels = population.means.shape[1]
    drawn = sample.count_drawn(strata)
    weights = _weigh(population, sample)
    overconfidence = _measure_overconfidence(sample, weights)
    inside = sample.domain >= 0
    domain = np.where(inside, sample.domain, 0)
    weighted = np.bincount(domain[inside], weights[inside], minlength=domains).astype(np.float64)
    counts = np.bincount(domain[inside], minlength=domains).astype(np.int64)
    difference = sample.y - coefficient * sample.p
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = _sum_rows(domain[inside], weights[inside, None] * difference[inside], domains) / weighted[:, None]
        share = coefficient * population.p.sum(axis=0) / population.posts.sum(axis=0)[:, None] + rest
        residuals = np.where(inside[:, None], (difference - rest[domain]) / weighted[domain, None], 0.0)
        floors = _find_floors(population, coefficient, overconfidence) / weighted[None, :, None] ** 2
    residuals = np.nan_to_num(residuals)
    # Every draw of a stratum enters, with 0 where it lies outside the domain: sums and sums of squares suffice.
    index = sample.stratum * domains + domain
    total = _sum_rows(index[inside], residuals[inside], strata * domains).reshape(strata, domains, labels)
    squares = _sum_rows(index[inside], residuals[inside] ** 2, strata * domains).reshape(strata, domains, labels)
    variance = _vary(population.sizes, drawn, total, squares, floors)
    parts = _Parts(population, sample, residuals, floors, drawn)
    return Estimate(share, variance, weighted, counts, parts)


def estimate_difference(estimate: Estimate, first: int, second: int) -> tuple[Floats, Floats]:
    """Return the share of each label in the domain `first` less that in `second`, and the strata's variances of it.

    Posts of the two domains that were drawn from one stratum depend on each other, and so does one text in both: that
    is accounted for.

    Returns:
        float64 (labels,) and float64 (strata, labels).
    """
    parts = estimate._parts
    sample, strata = parts.sample, len(parts.drawn)
    sign = (sample.domain == first).astype(np.float64) - (sample.domain == second)
    residuals = sign[:, None] * parts.residuals
    total = _sum_rows(sample.stratum, residuals, strata)
    squares = _sum_rows(sample.stratum, residuals**2, strata)
    floors = parts.floors[:, first] + parts.floors[:, second]
    variance = _vary(parts.population.sizes, parts.drawn, total[:, None], squares[:, None], floors[:, None])[:, 0]
    return estimate.share[first] - estimate.share[second], variance


def find_margins(strata_variance: Floats, drawn: Ints, level: float = 0.95, comparisons: int = 1) -> Floats:
    """Return half the widths of the intervals that belong to variances.

    Args:
        strata_variance: float64 (strata, ...), the strata's parts of each variance.
        drawn: labelled posts of each stratum, int64 (strata,).
        level: of the intervals.
        comparisons: intervals that are to hold together at that level (Bonferroni).

    Returns:
        float64 (...).
    """
    variance = strata_variance.sum(axis=0)
    spare = np.maximum(drawn - 1, 1).reshape(-1, *([1] * (strata_variance.ndim - 1)))
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = variance**2 / (strata_variance**2 / spare).sum(axis=0)
    freedom = np.where(np.isfinite(freedom), freedom, np.inf)
    tail = (1 - level) / (2 * comparisons)
    return np.asarray(student_quantile(1 - tail, freedom) * np.sqrt(variance))


def student_quantile(probability: float, freedom: Floats | float) -> Floats:
    """Return the quantile of Student's t by its expansion in the normal one (Abramowitz and Stegun, 26.7.5).

    From 5 degrees of freedom on it is within 0.02% of the true quantile at 0.975 and within 0.4% at 0.999; fewer than 3
    are taken as 3.
    """
    z = NormalDist().inv_cdf(probability)
    v = np.maximum(np.asarray(freedom, dtype=np.float64), 3.0)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return np.asarray(z + first / v + second / v**2 + third / v**3 + fourth / v**4)


def _weigh(population: Population, sample: Sample) -> Floats:
    """Return the posts of the corpus that each labelled post stands for, N_h / n_h."""
    drawn = sample.count_drawn(len(population.sizes))
    return np.asarray(population.sizes[sample.stratum] / drawn[sample.stratum])


def _measure_overconfidence(sample: Sample, weights: Floats) -> float:
    """Return how many times as large as the model says its squared errors are, at least 1.

    An overconfident model would set the floors too low: with it, intervals of rare labels covered 90 to 93%.
    """
    stated = float(weights @ np.maximum(sample.p * (1 - sample.p), LEAST_VARIANCE).sum(axis=1))
    observed = float(weights @ ((sample.y - sample.p) ** 2).sum(axis=1))
    return max(1.0, observed / stated) if stated > 0 else 1.0


def _find_floors(population: Population, coefficient: float, overconfidence: float) -> Floats:
    """Return W_d^2 q_hk: what the model itself says that a stratum varies by in a domain."""
    means = population.means[:, None, :]
    posts = population.posts[:, :, None]
    around = population.p_squared - 2 * means * population.p + posts * means**2
    spread = overconfidence * population.variance + (1 - coefficient) ** 2 * np.maximum(around, 0.0)
    return np.asarray(spread / np.maximum(population.sizes, 1)[:, None, None])


def _vary(sizes: Ints, drawn: Ints, total: Floats, squares: Floats, floors: Floats) -> Floats:
    """Return N_h^2 (1 - n_h / N_h) S^2 / n_h of each stratum, where S^2 is the sample's, or the floor if that is more.

    Sizes and drawn posts are int64 (strata,), sums of z and of z^2 and floors float64 (strata, domains, labels).
    """
    n = np.maximum(drawn, 1)[:, None, None]
    own = np.maximum(squares - total**2 / n, 0.0) / np.maximum(n - 1, 1)
    factor = sizes * np.maximum(sizes - drawn, 0) / np.maximum(drawn, 1)
    return np.asarray(factor[:, None, None] * np.maximum(own, floors))


def _sum_rows(index: Ints, rows: Floats, length: int) -> Floats:
    """Sum rows by index: float64 (length, columns)."""
    return np.stack([np.bincount(index, rows[:, k], minlength=length) for k in range(rows.shape[1])], axis=1)
