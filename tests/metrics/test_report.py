from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from sentimm.metrics.intervals import Interval
from sentimm.metrics.report import derive_figures, measure_answers, measure_probabilities

LABELS = ("negative", "neutral", "positive")


def make_answers(posts: int, accuracy: float = 0.7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """True labels, int64 (posts,), and probabilities, float32 (posts, 3), that are right in this share."""
    rng = np.random.default_rng(seed)
    true = rng.choice(3, posts, p=(0.5, 0.1, 0.4))
    answers = np.where(rng.random(posts) < accuracy, true, rng.integers(0, 3, posts))
    probabilities = rng.dirichlet((1, 1, 1), posts)
    best = probabilities.argmax(axis=1)
    rows = np.arange(posts)
    probabilities[rows, best], probabilities[rows, answers] = (
        probabilities[rows, answers],
        probabilities[rows, best],
    )
    return true, probabilities.astype(np.float32)


def test_figures_are_what_their_names_say() -> None:
    true = np.array([0, 0, 0, 1, 2, 2])
    answers = np.array([0, 0, 1, 1, 2, 0])
    report = measure_answers(true, answers, LABELS)
    assert report.posts == 6
    assert report.confusion == ((2, 1, 0), (0, 1, 0), (1, 0, 1))
    assert report.accuracy.value == pytest.approx(4 / 6)
    assert [each.posts for each in report.labels] == [3, 1, 2]
    assert [each.precision.value for each in report.labels] == pytest.approx([2 / 3, 1 / 2, 1])
    assert [each.recall.value for each in report.labels] == pytest.approx([2 / 3, 1, 1 / 2])
    assert [each.f1.value for each in report.labels] == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    assert report.macro_recall.value == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    assert report.weighted_precision.value == pytest.approx((3 * 2 / 3 + 1 / 2 + 2 * 1) / 6)
    assert report.weighted_recall.value == report.accuracy.value
    assert report.calibration_error is None
    assert report.confidence is None


def test_the_resampled_figures_are_those_of_scikit_learn() -> None:
    true, probabilities = make_answers(200)
    answers = probabilities.argmax(axis=1)
    figures = derive_figures(np.array([measure_answers(true, answers, LABELS).confusion]))
    for average in ("macro", "weighted"):
        for kind, measure in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
            assert figures[f"{average}_{kind}"][0] == pytest.approx(measure(true, answers, average=average))
    assert figures["accuracy"][0] == pytest.approx((true == answers).mean())
    assert figures["f1"][0] == pytest.approx(f1_score(true, answers, average=None))


def test_an_interval_is_as_wide_as_the_sample_is_small() -> None:
    small, large = (measure_probabilities(*make_answers(posts), LABELS).accuracy for posts in (400, 10_000))
    for found, posts in ((small, 400), (large, 10_000)):
        assert found.low < found.value < found.high
        error = np.sqrt(found.value * (1 - found.value) / posts)
        assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_averages_are_over_the_labels_that_occur() -> None:
    report = measure_answers(np.array([0, 0, 2, 2]), np.array([0, 1, 2, 2]), LABELS)
    assert report.macro_recall.value == pytest.approx(0.75)
    assert report.labels[1].posts == 0
    assert report.labels[1].recall == Interval(0.0, 0.0, 0.0)


def test_the_same_posts_give_the_same_report() -> None:
    true, probabilities = make_answers(50)
    assert measure_probabilities(true, probabilities, LABELS) == measure_probabilities(true, probabilities, LABELS)


def test_ten_thousand_posts_take_less_than_a_second() -> None:
    true, probabilities = make_answers(10_000)
    measure_probabilities(true[:10], probabilities[:10], LABELS)  # imports
    began = time.process_time()
    measure_probabilities(true, probabilities, LABELS)
    assert time.process_time() - began < 1


def test_no_posts_can_not_be_measured() -> None:
    with pytest.raises(ValueError, match="no posts"):
        measure_probabilities(np.zeros(0, np.int64), np.zeros((0, 3), np.float32), LABELS)
    with pytest.raises(ValueError, match="no posts"):
        measure_answers(np.zeros(0, np.int64), np.zeros(0, np.int64), LABELS)
