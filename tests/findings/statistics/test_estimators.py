from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentimm.findings.statistics.estimators import (
    LEAST_VARIANCE,
    Population,
    Sample,
    choose_coefficient,
    estimate_difference,
    estimate_shares,
    find_margins,
    student_quantile,
)


def make_population(p: np.ndarray, stratum: np.ndarray, domain: np.ndarray) -> Population:
    strata, domains = stratum.max() + 1, domain.max() + 1
    sizes = np.bincount(stratum, minlength=strata)
    means = np.stack([p[stratum == h].mean(axis=0) for h in range(strata)])

    def add(rows: np.ndarray) -> np.ndarray:
        return np.stack(
            [[rows[(stratum == h) & (domain == d)].sum(axis=0) for d in range(domains)] for h in range(strata)]
        )

    return Population(
        sizes, means, add(np.ones(len(p), int)), add(p), add(p**2), add(np.maximum(p * (1 - p), LEAST_VARIANCE))
    )


def make_corpus(posts: int, strata: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet((1, 1, 2), posts)
    y = np.eye(3)[(p.cumsum(axis=1) < rng.random((posts, 1))).sum(axis=1).clip(0, 2)]
    return p, y, rng.integers(0, strata, posts), rng.integers(0, 2, posts)


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(40, 200))
def test_shares_sum_to_one(seed: int, strata: int, labelled: int) -> None:
    p, y, stratum, domain = make_corpus(400, strata, seed)
    rows = np.random.default_rng(seed).choice(400, labelled, replace=False)
    if len(np.unique(stratum[rows])) < strata or len(np.unique(domain[rows])) < 2:
        return
    population, sample = make_population(p, stratum, domain), Sample(stratum[rows], domain[rows], p[rows], y[rows])
    found = estimate_shares(population, sample, choose_coefficient(population, sample))
    assert np.abs(found.share.sum(axis=1) - 1).max() < 1e-9
    assert (found.variance >= 0).all()


def test_all_posts_labelled_leave_no_doubt() -> None:
    p, y, stratum, domain = make_corpus(300, 3, 1)
    population, sample = make_population(p, stratum, domain), Sample(stratum, domain, p, y)
    found = estimate_shares(population, sample, choose_coefficient(population, sample))
    truth = np.stack([y[domain == d].mean(axis=0) for d in (0, 1)])
    assert found.share == pytest.approx(truth, abs=1e-12)
    assert find_margins(found.strata_variance, np.bincount(stratum)) == pytest.approx(np.zeros((2, 3)))
    difference, variance = estimate_difference(found, 0, 1)
    assert difference == pytest.approx(truth[0] - truth[1], abs=1e-12)
    assert variance == pytest.approx(np.zeros((3, 3)))


def test_without_the_model_it_is_the_stratified_mean_and_its_variance() -> None:
    p, y, stratum, _ = make_corpus(1000, 2, 2)
    rows = np.concatenate([np.flatnonzero(stratum == 0)[:60], np.flatnonzero(stratum == 1)[:90]])
    one = np.zeros(1000, int)
    # A model that is nearly sure of everything sets floors that no sample falls below.
    population, sample = make_population(p, stratum, one), Sample(stratum[rows], one[rows], p[rows], y[rows])
    found = estimate_shares(population, sample, 0.0)
    sizes, drawn = np.bincount(stratum), np.array([60, 90])
    own = [y[rows][stratum[rows] == h] for h in (0, 1)]
    expected = sum(sizes[h] / 1000 * own[h].mean(axis=0) for h in (0, 1))
    assert found.share[0] == pytest.approx(expected)
    z = [(each - expected) / 1000 for each in own]
    textbook = sum(sizes[h] ** 2 * (1 - drawn[h] / sizes[h]) * z[h].var(axis=0, ddof=1) / drawn[h] for h in (0, 1))
    assert (found.variance[0] >= textbook * (1 - 1e-9)).all()
    assert found.variance[0] == pytest.approx(textbook, rel=0.5)


def test_a_perfect_model_is_relied_on_and_a_useless_one_is_not() -> None:
    _, y, stratum, domain = make_corpus(600, 1, 3)
    rows = np.arange(200)
    useless = np.random.default_rng(0).dirichlet((5, 5, 5), 600)
    for p, low, high in ((y * 0.97 + 0.01, 0.95, 1.0), (useless, 0.0, 0.5)):
        population = make_population(p, stratum, domain)
        assert low <= choose_coefficient(population, Sample(stratum[rows], domain[rows], p[rows], y[rows])) <= high


def test_a_label_that_nobody_gave_still_has_an_interval() -> None:
    p, _, stratum, domain = make_corpus(500, 1, 4)
    y = np.tile([0.0, 0.0, 1.0], (500, 1))
    rows = np.arange(80)
    population = make_population(p, stratum, domain)
    found = estimate_shares(population, Sample(stratum[rows], domain[rows], p[rows], y[rows]), 0.0)
    assert (find_margins(found.strata_variance, np.array([80])) > 0.01).all()


def test_the_difference_of_two_domains_of_the_same_posts_knows_that_they_depend_on_each_other() -> None:
    p, y, stratum, domain = make_corpus(2000, 1, 5)
    rows = np.arange(300)
    population = make_population(p, stratum, domain)
    found = estimate_shares(population, Sample(stratum[rows], domain[rows], p[rows], y[rows]), 0.5)
    difference, variance = estimate_difference(found, 1, 0)
    assert difference == pytest.approx(found.share[1] - found.share[0])
    # Posts of one stratum lie in one domain or the other: the variances nearly add up.
    assert variance.sum(axis=0) == pytest.approx(found.variance.sum(axis=0), rel=0.1)


def test_intervals_that_hold_together_are_wider() -> None:
    variance, drawn = np.full((2, 1, 3), 1e-4), np.array([40, 40])
    assert (find_margins(variance, drawn, comparisons=6) > 1.2 * find_margins(variance, drawn)).all()


@pytest.mark.parametrize(("freedom", "expected"), [(5, 2.5706), (10, 2.2281), (30, 2.0423), (1e9, 1.95996)])
def test_quantiles_of_students_t(freedom: float, expected: float) -> None:
    assert float(student_quantile(0.975, freedom)) == pytest.approx(expected, rel=3e-4)
