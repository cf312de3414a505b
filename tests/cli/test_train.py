from __future__ import annotations

import importlib.util
from pathlib import Path

import polars as pl
import pytest

from sentimm.cli import main
from sentimm.training.run import open_run
from tests.tiny_models import make_corpus, make_image_encoder, make_text_encoder


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


def encoders(folder: Path) -> list[object]:
    return [
        *(
            "--text-encoder",
            make_text_encoder(folder / "bert"),
            "--image-encoder",
            make_image_encoder(folder / "image"),
        ),
        *("--image-size", 32, "--width", 24, "--max-tokens", 48, "--epochs", 1, "--val-fraction", 0.25),
    ]


@pytest.mark.slow
def test_train_export_and_score_work_as_the_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_corpus(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert call("train", "posts.csv", "--images", "images/", *encoders(tmp_path)) == 0
    assert capsys.readouterr().out.splitlines() == ["Run: runs/ote-1", "Next: sentimm export runs/ote-1"]
    assert open_run(Path("runs/ote-1")).fusion.heads == ("text", "image")
    assert call("export", "--precision", "fp32") == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("Bundle: bundles/ote-1\nNext: sentimm score")
    assert "fp32" in printed.err
    assert call("score", "posts.csv", "--images", "images/", "--model", "bundles/ote-1", "-o", "scored.parquet") == 0
    scored = pl.read_parquet("scored.parquet")
    assert scored.height == 48
    assert scored["sentiment"].null_count() == 0


def test_train_alone_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("train") == 2
    error = capsys.readouterr().err
    assert "sentimm train posts.csv --images photos/" in error
    assert "column `label`" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.csv"], "gone.csv"),
        (["posts.csv", "--label-column", "mood"], "no column 'mood' to learn from"),
        (["posts.csv", "--fusion", "sum"], "--fusion 'sum' is not one of ote"),
        (["posts.csv", "--pooling", "max"], "--pooling 'max' is not one of mean, cls"),
        (["posts.csv", "--table-weights", "x"], "--table-weights 'x' is not a list of numbers"),
        (["posts.csv", "--resume", "runs/x"], "leave INPUT away"),
        (["posts.csv", "--labels", "one"], "--labels needs two or more"),
    ],
)
def test_mistakes_are_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "posts.csv").write_text("text,label\ngood,positive\n")
    monkeypatch.chdir(tmp_path)
    assert call("train", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_missing_extra_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("sentimm.cli.extras.find_spec", lambda name: None if name == "timm" else find(name))
    assert call("train", "posts.csv") == 2
    assert "needs timm, which scoring does without: pip install 'sentimm[train]'" in capsys.readouterr().err


def test_export_without_a_run_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("export") == 2
    assert "no training run in runs/" in capsys.readouterr().err
    assert call("export", "nowhere") == 2
    assert "nowhere is not a training run" in capsys.readouterr().err
