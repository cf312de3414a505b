from __future__ import annotations

import numpy as np
import pytest

from sentimm.metrics.calibration import (
    apply_temperature,
    calibrate,
    expected_calibration_error,
    fit_temperature,
)


def make_scores(posts: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores, float32 (posts, 3), and labels drawn from softmax(scores / temperature), int64 (posts,)."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 3, (posts, 3)).astype(np.float32)
    chances = apply_temperature(scores, temperature).cumsum(axis=1)
    return scores, (rng.random((posts, 1)) > chances).sum(axis=1).clip(0, 2)


def test_the_error_is_the_gap_between_confidence_and_accuracy_by_bin() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]], dtype=np.float32)
    true = np.array([0, 1, 0, 1])
    # One bin holds 0.9 twice, half of it right; another one 0.6 twice, all of it right.
    assert expected_calibration_error(true, probabilities) == pytest.approx((2 * 0.4 + 2 * 0.4) / 4, abs=1e-6)
    # In one bin for all, mean confidence is 0.75 and accuracy too.
    assert expected_calibration_error(true, probabilities, bins=1) == pytest.approx(0, abs=1e-6)


def test_certain_answers_have_a_bin_too() -> None:
    certain = np.array([[1, 0], [0, 1]], dtype=np.float32)
    assert expected_calibration_error(np.array([0, 0]), certain) == pytest.approx(0.5)
    assert expected_calibration_error(np.zeros(0, np.int64), certain[:0]) == 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_the_labels_is_found_again(temperature: float) -> None:
    scores, true = make_scores(20_000, temperature)
    assert fit_temperature(scores, true) == pytest.approx(temperature, rel=0.05)
    logarithms = np.log(apply_temperature(scores, 1.0))
    assert fit_temperature(logarithms, true) == pytest.approx(temperature, rel=0.05)


def test_a_temperature_stays_in_its_range() -> None:
    scores = np.eye(3, dtype=np.float32)
    assert 0.1 <= fit_temperature(scores, np.array([0, 1, 2])) < 0.11
    assert 9 < fit_temperature(scores, np.array([1, 2, 0])) <= 10
    assert fit_temperature(scores[:0], np.zeros(0, np.int64)) == 1


def test_scores_of_any_size_become_probabilities() -> None:
    probabilities = apply_temperature(np.array([[1e4, 0, -1e4], [0, 0, 0]], dtype=np.float32), 2.0)
    assert probabilities.sum(axis=1) == pytest.approx([1, 1])
    assert probabilities[1] == pytest.approx([1 / 3] * 3)


def test_a_fitted_temperature_makes_the_error_smaller() -> None:
    scores, true = make_scores(4_000, 2.5)
    found = calibrate(scores, true)
    assert found.posts == 4_000
    assert found.before > 0.1
    assert found.after < 0.03
    assert found.after < found.cross_fitted + 0.02 < 0.06
    assert found == calibrate(scores, true)


def test_the_cross_fitted_error_is_measured_on_posts_that_the_temperature_did_not_see() -> None:
    scores, true = make_scores(12, 1.0)
    half = np.random.default_rng(5).permutation(12) % 2 == 0
    crossed = np.empty_like(scores)
    crossed[half] = apply_temperature(scores[half], fit_temperature(scores[~half], true[~half]))
    crossed[~half] = apply_temperature(scores[~half], fit_temperature(scores[half], true[half]))
    assert calibrate(scores, true, seed=5).cross_fitted == pytest.approx(expected_calibration_error(true, crossed))
