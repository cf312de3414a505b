from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sentimm.findings.statistics.strata import (
    FEWEST_LABELS,
    GRID,
    allocate,
    cut_cells,
    cut_strata,
    find_steps,
)


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 1)), min_size=1, max_size=12), st.integers(1, 3000))
def test_every_stratum_gets_its_least_and_no_more_than_it_has(strata: list[tuple[int, float]], wanted: int) -> None:
    sizes, unsure = np.array([size for size, _ in strata]), np.array([u for _, u in strata])
    drawn = allocate(sizes, unsure, wanted)
    assert (drawn <= sizes).all()
    assert (drawn >= np.minimum(sizes, FEWEST_LABELS)).all()
    least = int(np.minimum(sizes, FEWEST_LABELS).sum())
    assert drawn.sum() <= max(wanted, least) + len(sizes)
    if least <= wanted <= sizes.sum() and unsure.min() > 0.01:
        assert drawn.sum() >= wanted - len(sizes)


def test_more_are_drawn_where_the_model_is_unsure() -> None:
    drawn = allocate([10_000, 10_000], np.array([0.1, 0.9]), 400)
    assert drawn[1] > drawn[0]
    assert drawn.sum() == 400


def test_bins_hold_about_equally_many_posts_of_each_label() -> None:
    p = np.random.default_rng(0).dirichlet((1, 1, 1), 30_000)
    label, steps = p.argmax(axis=1), find_steps(p)
    histogram = np.bincount(label * GRID + steps, minlength=3 * GRID).reshape(3, GRID)
    strata = cut_strata(histogram, 400)
    sizes = np.bincount(strata.place(label, steps), minlength=len(strata))
    assert len(strata) == 9
    assert sizes.min() > 0.9 * 30_000 / 9
    assert len(cut_strata(histogram, 100)) == 3


def test_a_label_that_is_never_predicted_has_an_empty_stratum() -> None:
    histogram = np.zeros((3, GRID), int)
    histogram[1, 100] = 50
    strata = cut_strata(histogram, 400)
    assert len(strata) == 3
    assert allocate(np.array([0, 50, 0]), np.zeros(3), 400).tolist() == [0, 50, 0]


def test_small_cells_are_one_stratum() -> None:
    histograms = np.ones((2, 3, GRID), int)
    strata = cut_cells(histograms, [("a", None), ("b", None)], [200, 40])
    assert strata.firsts == [0, 6]
    assert len(strata) == 7
    assert strata.place(np.array([0, 0]), np.array([0, 0]), np.array([0, 1])).tolist() == [0, 6]
