from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from sentimm.training.comparison.plot import draw_comparison
from sentimm.training.comparison.results import (
    Comparison,
    RunFigures,
    list_notes,
    list_tables,
    measure_epoch,
    render_markdown,
    summarize_model,
)


def make_run(model: str, seed: int, right: int, epoch: int = 2) -> RunFigures:
    """A run that is right about `right` of 20 posts at best, and of one post less in the end."""
    best, last = (
        measure_epoch(number, np.array([[hits, 10 - hits], [10 - hits, hits]]))
        for number, hits in ((epoch, right // 2), (5, right // 2 - 1))
    )
    return RunFigures(model, seed, None, f"runs/{model}-seed{seed}", best, last)


@pytest.fixture
def found() -> Comparison:
    return Comparison(
        inputs=("train.csv",),
        val="val.csv",
        training=100,
        validation=20,
        seen=None,
        folds=None,
        seeds=2,
        done=3,
        planned=4,
        options={"epochs": 5},
        models=(
            summarize_model("ote", [make_run("ote", 1, 16), make_run("ote", 2, 18, 3)]),
            summarize_model("mine", [make_run("mine", 1, 14)]),
        ),
    )


def test_an_epoch_s_figures_are_those_of_scikit_learn() -> None:
    confusion = np.array([[9, 2, 1], [0, 3, 4], [5, 0, 6]])
    true, answers = (np.repeat(axis.ravel(), confusion.ravel()) for axis in np.indices(confusion.shape))
    figures = measure_epoch(4, confusion)
    weighted = precision_recall_fscore_support(true, answers, average="weighted")[:3]
    assert (figures.epoch, figures.posts) == (4, 30)
    assert figures.accuracy == pytest.approx(accuracy_score(true, answers))
    assert (figures.weighted_precision, figures.weighted_recall, figures.weighted_f1) == pytest.approx(weighted)
    assert figures.macro_f1 == pytest.approx(f1_score(true, answers, average="macro"))


def test_mean_and_sample_standard_deviation_are_over_the_runs(found: Comparison) -> None:
    several, single = (model.summary["best"]["accuracy"] for model in found.models)
    assert several.mean == pytest.approx(0.85)
    assert several.sd == pytest.approx(np.std([0.8, 0.9], ddof=1))
    assert (single.mean, single.sd) == (pytest.approx(0.7), None)


def test_tables_have_the_paper_s_accuracy_beside_ours_at_the_best_epoch(found: Comparison) -> None:
    (title, (header, ote, mine)), (last_title, (last_header, last_ote, _)) = list_tables(found)
    assert (title, last_title) == ("Best epoch", "Last epoch")
    assert header == ["model", "accuracy", "paper", "precision", "recall", "F1", "macro F1", "epoch", "runs"]
    assert ote[:3] == ["ote", "85.0 ± 7.1", "74.5"] and ote[-2:] == ["2.5 ± 0.7", "2"]
    assert mine[:3] == ["mine", "70.0", ""] and mine[-2:] == ["2", "1"]
    assert "paper" not in last_header and last_ote[1] == "75.0 ± 7.1"


def test_figures_without_seen_posts_have_tables_of_their_own(found: Comparison) -> None:
    run = make_run("ote", 1, 16)
    without = summarize_model("ote", [replace(run, best_unseen=run.last), make_run("ote", 2, 10)])
    titles = dict(list_tables(replace(found, models=(without,), seen=7)))
    assert list(titles) == ["Best epoch", "Last epoch", "Best epoch, without posts seen in training"]
    assert titles["Best epoch, without posts seen in training"][1][1] == "70.0"
    assert "7 validation posts share a text" in " ".join(list_notes(replace(found, seen=7)))


def test_markdown_says_what_was_compared_and_is_a_table(found: Comparison) -> None:
    page = render_markdown(found)
    assert "Trained on train.csv, validated with val.csv: 100 posts to train on, 20 to validate with." in page
    assert "3 of 4 runs are done" in page and "arXiv 2412.03625" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert rows[2].startswith("| ote | 85.0 ± 7.1 | 74.5 |")
    assert {row.count("|") for row in rows[:4]} == {10}
    folded = list_notes(replace(found, val=None, folds=5, models=found.models[1:], done=4))
    assert "validated with each of 5 folds of train.csv in turn" in folded[0]
    assert not any("paper:" in note or "±" in note or "runs are done" in note for note in folded)


def test_a_picture_has_bars_for_every_model(found: Comparison, tmp_path: Path) -> None:
    draw_comparison(found, tmp_path / "comparison.png")
    with Image.open(tmp_path / "comparison.png") as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    for color in ((31, 119, 180), (255, 127, 14)):  # matplotlib's first two: best and last epoch
        assert 0.02 < (pixels == color).all(axis=1).mean() < 0.5
