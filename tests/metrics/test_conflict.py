from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sentimm.metrics.conflict import conflict_auc, measure_conflict
from sentimm.metrics.intervals import resample_auc


def test_conflict_is_half_the_distance_of_the_two_sides() -> None:
    text = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]], dtype=np.float32)
    image = np.array([[0, 0, 1], [0.5, 0, 0.5], [0.2, 0.3, 0.5]], dtype=np.float32)
    assert measure_conflict(text, image) == pytest.approx([1, 0.5, 0])


def test_the_area_is_the_chance_that_a_differing_post_has_more_conflict() -> None:
    conflict = np.array([0.9, 0.8, 0.3, 0.1], dtype=np.float32)
    found = conflict_auc(conflict, np.array([0, 1, 2, 1]), np.array([2, 1, 0, 1]))
    assert found is not None
    assert found.value == pytest.approx(3 / 4)
    assert found.low <= found.value <= found.high


def test_there_is_no_area_where_all_posts_are_alike() -> None:
    conflict, labels = np.array([0.1, 0.2], dtype=np.float32), np.array([0, 1])
    assert conflict_auc(conflict, labels, labels) is None
    assert conflict_auc(conflict, labels, 1 - labels) is None


def test_resampled_areas_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    scores, positive = rng.integers(0, 9, 300) / 9, rng.random(300) < 0.3
    found = resample_auc(scores, positive)
    rng = np.random.default_rng(0)
    drawn = rng.integers(300, size=(100, 300))
    order = np.argsort(scores, kind="stable")
    expected = [roc_auc_score(positive[order][rows], scores[order][rows]) for rows in drawn]
    assert found[:100] == pytest.approx(expected)
    assert len(found) == 2000


def test_areas_of_ten_thousand_posts_take_about_a_second() -> None:
    rng = np.random.default_rng(0)
    began = time.process_time()
    resample_auc(rng.random(10_000), rng.random(10_000) < 0.3)
    assert time.process_time() - began < 2
