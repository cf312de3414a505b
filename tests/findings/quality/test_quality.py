from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sentimm.findings import sample
from sentimm.findings.quality.contents import LabelledContents, weigh_contents
from sentimm.findings.quality.figures import Quality, measure_quality
from sentimm.findings.sheets.labels import number_judgements
from sentimm.findings.sheets.spreadsheets import read_rows
from sentimm.findings.statistics.resampling import SAMPLES, find_interval, resample_sums
from sentimm.metrics.report import measure_probabilities
from tests.findings.corpora import LABELS, label_sheet, make_scored


def label_contents(scored: pl.DataFrame, labels: int, seed: int = 1) -> LabelledContents:
    sheet, design = sample(scored, labels=labels, seed=seed)
    labelled = label_sheet(sheet, scored)
    rows = read_rows(labelled.to_dicts(), labelled.columns, Path("sheet"))
    return weigh_contents(design, number_judgements([(Path("sheet"), row) for row in rows], design))


def measure_all(scored: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.array([LABELS.index(label) for label in scored["truth"]]),
        scored.select(f"p_{label}" for label in LABELS).to_numpy(),
    )


def test_a_sheet_of_all_posts_has_the_figures_of_the_corpus() -> None:
    scored = make_scored(400)
    found, true = (
        measure_quality(label_contents(scored, 400), LABELS),
        measure_probabilities(*measure_all(scored), LABELS),
    )
    for name in ("accuracy", "macro_f1", "macro_recall", "weighted_precision"):
        assert getattr(found, name).value == pytest.approx(getattr(true, name).value)
        assert getattr(found, name).low is None  # nothing is left to chance
    assert found.calibration_error == pytest.approx(true.calibration_error, abs=1e-6)
    assert np.array(found.confusion) == pytest.approx(np.array(true.confusion))
    assert [each.f1.value for each in found.labels] == pytest.approx([each.f1.value for each in true.labels])


@pytest.mark.slow
def test_intervals_hold_the_figures_of_the_corpus() -> None:
    scored = make_scored(1500, seed=7)
    true = measure_probabilities(*measure_all(scored), LABELS)
    hits = []
    for seed in range(60):
        found = measure_quality(label_contents(scored, 150, seed), LABELS)
        pairs = [(found.accuracy, true.accuracy), (found.macro_f1, true.macro_f1)]
        pairs += [(one.recall, other.recall) for one, other in zip(found.labels, true.labels, strict=True)]
        hits += [one.low is not None and one.low <= other.value <= one.high for one, other in pairs]  # type: ignore[operator]
    assert np.mean(hits) >= 0.91


def test_rows_count_as_the_posts_that_they_stand_for() -> None:
    # Two strata of 900 and 100 posts, 10 labels each: right in the first, wrong in the second.
    p = np.tile([0.8, 0.2], (20, 1))
    y = np.repeat([[1.0, 0.0], [0.0, 1.0]], 10, axis=0)
    stratum = np.repeat([0, 1], 10)
    sizes = np.array([900, 100])
    ids = tuple(map(str, range(20)))
    contents = LabelledContents(ids, stratum, sizes[stratum] / 10, p, y, sizes, np.array([10, 10]))
    found = measure_quality(contents, ("no", "yes"))
    assert found.accuracy.value == pytest.approx(0.9)
    assert found.confusion == ((900.0, 0.0), (100.0, 0.0))
    assert found.log_loss.value == pytest.approx(-0.9 * np.log(0.8) - 0.1 * np.log(0.2))


def test_resampling_has_the_variance_of_the_sample() -> None:
    rng = np.random.default_rng(0)
    values, stratum = rng.normal(size=(80, 1)), np.repeat([0, 1], 40)
    weight, fraction = np.repeat([10.0, 2.0], 40), np.array([0.1, 0.5])
    samples = resample_sums(weight, stratum, fraction, values)
    assert samples.shape == (SAMPLES, 1)
    expected = sum(
        (weight[own][0] * 40) ** 2 * (1 - share) * values[own].var(ddof=1) / 40
        for own, share in ((stratum == 0, 0.1), (stratum == 1, 0.5))
    )
    assert samples.var() == pytest.approx(expected, rel=0.1)


def test_intervals_stay_between_0_and_1() -> None:
    rng = np.random.default_rng(0)
    found = find_interval(0.98, rng.normal(0.98, 0.03, 2000), 50)
    assert found is not None and 0 < found[0] < 0.98 < found[1] < 1
    assert find_interval(1.0, np.ones(2000), 50) is None


def test_figures_without_enough_labels_have_no_interval() -> None:
    found: Quality = measure_quality(label_contents(make_scored(300), 30), LABELS)
    few = [each for each in found.labels if each.labelled < 10]
    assert all(each.recall.low is None for each in few)
    assert found.accuracy.low is not None
