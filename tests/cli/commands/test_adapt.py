"""The whole way: score, sample, label, features, adapt, and score again with the adapted bundle."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sentimm.bundle.bundle import load_bundle
from sentimm.runtime.correction import load_correction
from tests.support.commands import fail, run
from tests.support.posts import corpora
from tests.support.tiny.bundles import LABELS, make_bundle

WORDS = ("good", "bad", "happy", "sad", "day", "movie", "rain", "sun", "love", "never", "cat", "city", "food", "game")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A working directory with posts.csv, images/, a bundle, and their scores; every third post has an image."""
    monkeypatch.chdir(tmp_path)
    chance = np.random.default_rng(0)
    corpora.make_images(Path("images"))
    texts = [" ".join(chance.choice(WORDS, 4)) + f" {number}" for number in range(900)]
    images = [f"{number % 2}.png" if number % 3 == 0 else None for number in range(900)]
    pl.DataFrame({"text": texts, "image": images}).write_csv("posts.csv")
    make_bundle(Path("bundle"), precisions=("int8", "fp32"))
    score(capsys, "bundle", "scored.parquet")
    return tmp_path


def score(capsys: pytest.CaptureFixture[str], bundle: str, output: str, *more: object) -> pl.DataFrame:
    command = ("score", "posts.csv", "--images", "images", "--model", bundle, "-o", output, "-q", *more)
    result = run(capsys, *command)
    assert result.code == 0, result.err
    return pl.read_parquet(output)


def draw(capsys: pytest.CaptureFixture[str], labels: int) -> None:
    command = ("sample", "scored.parquet", "--labels", labels, "--images", "images", "-o", "sheet.csv")
    assert run(capsys, *command).code == 0


def label(*, by_word: bool = False) -> None:
    """Fill in the sheet: nearly all is negative, or what a word in the text says."""
    with Path("sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["label"] = "negative" if number % 10 else "positive"
        if by_word:
            row["label"] = "positive" if "good" in row["text"] else "negative" if "bad" in row["text"] else "neutral"
    pl.DataFrame(rows).write_csv("sheet.csv")


def read_p(frame: pl.DataFrame) -> np.ndarray:
    return frame.select(f"p_{label}" for label in LABELS).to_numpy()


@pytest.mark.parametrize(("labels", "methods"), [(80, ["prior"]), (200, ["prior", "vector"])])
def test_the_adapted_bundle_scores_as_predicted(
    capsys: pytest.CaptureFixture[str], here: Path, labels: int, methods: list[str]
) -> None:
    draw(capsys, labels)
    label()
    result = run(capsys, "adapt", "sheet.csv", "--model", "bundle", "-o", "adapted", "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert [each["method"] for each in found["candidates"]] == methods
    assert found["is_gain"] and found["output"] == "adapted"
    correction = load_correction(load_bundle(Path("adapted")))
    assert correction is not None
    expected = correction.apply(read_p(pl.read_parquet("scored.parquet")), {})
    for precision in ("int8", "fp32"):
        adapted = score(capsys, "adapted", f"{precision}.parquet", "--precision", precision)
        assert read_p(adapted) == pytest.approx(expected, abs=1e-5)
    assert adapted["sentiment"].value_counts(sort=True)["sentiment"][0] == "negative"


@pytest.mark.slow
def test_a_head_learns_what_the_model_does_not_know(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    features = ("features", "posts.csv", "--images", "images", "--model", "bundle", "-q")
    assert run(capsys, *features).code == 0
    draw(capsys, 400)
    label(by_word=True)
    shown = run(capsys, "adapt", "sheet.csv", "--features", "features.parquet", "--model", "bundle", "-o", "adapted")
    assert shown.code == 0, shown.err
    assert "and a head on features" in shown.out and "Written to adapted" in shown.out
    bundle = load_bundle(Path("adapted"))
    assert bundle.adaptation is not None and bundle.adaptation.method == "head"
    before, after = pl.read_parquet("scored.parquet"), score(capsys, "adapted", "adapted.parquet")
    table = pl.read_parquet("features.parquet").sort("row")
    vectors = {
        name: (
            np.stack([np.zeros(8) if each is None else np.array(each) for each in table[f"{name}_features"]]),
            np.where(table[f"{name}_features"].is_null(), len(table), np.arange(len(table))),
        )
        for name in ("text", "image")
    }
    correction = load_correction(bundle)
    assert correction is not None
    assert read_p(after) == pytest.approx(correction.apply(read_p(before), vectors), abs=5e-3)  # type: ignore[arg-type]


def test_the_bundle_says_what_it_was_adapted_on(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    draw(capsys, 120)
    label()
    assert run(capsys, "adapt", "sheet.csv", "--model", "bundle", "-o", "adapted").code == 0
    shown = run(capsys, "info", "adapted").out
    assert "Adapted" in shown and "by 120 labels" in shown
    assert "Labelled posts that it was adapted on, cross-fitted, with 95% intervals" in shown
    card = Path("adapted/MODEL_CARD.md").read_text(encoding="utf-8")
    assert "with 120 labels" in card and "95% interval" in card
    as_json = json.loads(run(capsys, "info", "adapted", "--json").out)
    assert as_json["provenance"]["adaptation"]["bundle"] == "tiny"
    code, message = fail(capsys, "adapt", "sheet.csv", "--model", "adapted", "-o", "again")
    assert code == 2 and "adapted already" in message


def test_where_nothing_is_gained_no_bundle_is_written(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    draw(capsys, 90)
    # Each label as often as the model says.
    p = read_p(pl.read_parquet("scored.parquet")).mean(axis=0)
    with Path("sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = np.random.default_rng(1).choice(LABELS, len(rows), p=p / p.sum())
    pl.DataFrame([row | {"label": each} for row, each in zip(rows, chosen, strict=True)]).write_csv("sheet.csv")
    command = ("adapt", "sheet.csv", "--model", "bundle", "-o", "adapted")
    shown = run(capsys, *command)
    assert shown.code == 0 and "Nothing gained" in shown.out and "No bundle was written" in shown.out
    assert not Path("adapted").exists()
    assert run(capsys, *command, "--anyway").code == 0
    assert load_bundle(Path("adapted")).adaptation is not None
    code, message = fail(capsys, *command)
    assert (code, message) == (
        2,
        "adapted already exists: name another folder with -o, or replace it with --overwrite.",
    )
    assert run(capsys, *command, "--anyway", "--overwrite").code == 0


def test_what_does_not_fit_is_refused(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    draw(capsys, 60)
    label()
    make_bundle(Path("other"), seed=5)
    code, message = fail(capsys, "adapt", "sheet.csv", "--model", "other", "-o", "adapted")
    assert code == 2 and "has the answers of another model (tiny) than other" in message
    for bundle, images, reason in (("other", ["--images", "images"], "another model"), ("bundle", [], "lacks")):
        features = ("features", "posts.csv", *images, "--model", bundle, "--overwrite", "-q")
        assert run(capsys, *features).code == 0
        command = ("adapt", "sheet.csv", "--features", "features.parquet", "--model", "bundle", "-o", "adapted")
        code, message = fail(capsys, *command)
        assert code == 2 and reason in message
