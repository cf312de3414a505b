"""The survey's line that another model which ships would suit the texts better."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from tests.support.commands import Result, run
from tests.support.tiny.bundles import make_bundle

SPANISH = "no me puedo creer que hoy ya no haya entradas para el concierto"
ENGLISH = "i can't believe how good this was, going back with my friends"
NOTE = "of the texts are not in English, which the default model is for: --model world reads other languages too."


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the models that ship, `default` and `world`; another working directory."""
    folder = tmp_path / "bundles"
    for name in ("default", "world"):
        make_bundle(folder / name, name=name)
    monkeypatch.setattr("sentimm.bundle.bundle.default_bundle_path", lambda: folder / "default")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_posts(3)
    return folder


def write_posts(spanish: int) -> None:
    texts = [SPANISH] * spanish + [ENGLISH] * (10 - spanish)
    labels = ["positive", "negative"] * 5
    pl.DataFrame({"text": texts, "label": labels}).write_csv("posts.csv")


def score(capsys: pytest.CaptureFixture[str], *options: object) -> Result:
    result = run(capsys, "score", "posts.csv", "-o", "out.parquet", *options)
    assert result.code == 0, result.err
    return result


def test_texts_in_other_languages_are_said_to_suit_world_and_the_model_is_not_switched(
    bundles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"About 30% {NOTE}" in " ".join(score(capsys, "--dry-run").out.split())
    found = json.loads(score(capsys, "--dry-run", "--json").out)
    assert found["languages"] == {"texts": 10, "english": 0.7, "other": 0.3}
    assert found["notes"] == [f"About 30% {NOTE}"]
    assert json.loads(score(capsys, "--json").out)["rows"] == 10
    by_default = pl.read_parquet("out.parquet")
    score(capsys, "--model", "default", "--overwrite")
    assert pl.read_parquet("out.parquet").equals(by_default)
    assert f"About 30% {NOTE}" in " ".join(run(capsys, "evaluate", "posts.csv").out.split())


def test_following_the_advice_ends_it(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not json.loads(score(capsys, "--dry-run", "--json", "--model", "world").out)["notes"]


def test_it_is_not_said_where_world_does_not_ship_or_few_texts_need_it(
    bundles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundles / "world").rename(bundles / "other")
    assert not json.loads(score(capsys, "--dry-run", "--json").out)["notes"]
    (bundles / "other").rename(bundles / "world")
    write_posts(1)
    assert not json.loads(score(capsys, "--dry-run", "--json").out)["notes"]


def test_a_job_is_resumed_whatever_ships(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundles / "world").rename(bundles / "other")
    score(capsys)
    (bundles / "other").rename(bundles / "world")
    result = score(capsys)
    assert NOTE in result.err and "Already done" in result.out
