"""Labels in spellings of a data set's own, with the commands."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import polars as pl
import pytest

from sentimm.training.run_folder import open_run
from tests.support.commands import run
from tests.support.tiny.models import make_text_encoder

_TEXTS = {"0": "bad hate day", "2": "table train", "4": "good love day"}


def write_posts(path: Path, labels: str) -> Path:
    """Write a table in the shape of Sentiment140, one post for each character of `labels`."""
    posts = pl.DataFrame(
        {
            "column_1": list(labels),
            "id": range(len(labels)),
            "text": [f"{_TEXTS[each]} {len(labels)}" for each in labels],
        }
    ).with_columns(pl.col("text") + pl.int_range(pl.len()).cast(pl.String))
    if path.suffix == ".parquet":
        posts.with_columns(pl.col("column_1").cast(pl.Int64)).write_parquet(path)
    else:
        posts.write_csv(path, include_header=False, quote_style="always")
    return path


def train(folder: Path, *more: object) -> list[object]:
    encoder = make_text_encoder(folder / "bert")
    return [
        *(
            "train",
            "--fusion",
            "bert",
            "--text-encoder",
            encoder,
            "--width",
            24,
            "--max-tokens",
            48,
            "--epochs",
            1,
            "--quiet",
        ),
        *("--label-column", "column_1", "--device", "cpu", *more),
    ]


@pytest.mark.slow
def test_sentiment140_is_refused_with_an_option_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    posts = write_posts(tmp_path / "training.csv", "04" * 20)
    command = train(tmp_path, posts, "--no-header", "--text-column", "column_3", "-o", "run")
    refused = run(capsys, *command)
    assert refused.code == 2
    hint = re.search(r"such as (--labels \S+)\.$", refused.err.strip())
    assert hint is not None and hint[1] == "--labels 0=negative,4=positive"
    done = run(capsys, *command, *shlex.split(hint[1]))
    assert done.code == 0, done.err
    trained = open_run(Path("run"))
    assert trained.labels == ("negative", "positive")
    assert trained.options["label_values"] == ["0=negative", "4=positive"]
    assert run(capsys, "train", "--resume", "run").code == 0
    assert run(capsys, "export", "run", "--precision", "fp32", "--min-agreement", "0").code == 0
    card = Path("bundles/run/MODEL_CARD.md").read_text()
    assert "with the labels negative, positive (in the tables `0` is negative, `4` is positive)." in card
    test = write_posts(tmp_path / "test.parquet", "0404")
    evaluated = ["evaluate", test, "--label-column", "column_1", "--model", "bundles/run", "--json"]
    assert "--labels 0=negative,4=positive." in run(capsys, *evaluated).err
    found = json.loads(run(capsys, *evaluated, "--labels", "4=positive,0=negative").out)
    assert found["label_values"] == {"4": "positive", "0": "negative"}
    assert found["posts"] == 4 and [each["posts"] for each in found["report"]["labels"]] == [2, 2]


@pytest.mark.slow
def test_a_label_that_no_post_has_is_warned_of_on_either_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    posts, other = write_posts(tmp_path / "a.parquet", "04" * 10), write_posts(tmp_path / "b.parquet", "0222")
    command = train(tmp_path, "--labels", "0=negative,2=neutral,4=positive")
    command.remove("--quiet")
    said = run(capsys, *command, posts, "--val", other, "-o", "run").err
    assert "Note: No post to train on has the label 'neutral'." in said
    assert "Note: No post to validate with has the label 'positive'." in said
    said = run(capsys, *train(tmp_path), "--labels", "0=negative,4=positive", posts, "--val", other).err
    assert "b.parquet has labels in the column 'column_1' that --labels does not name: '2' (3 posts)." in said


def test_evaluate_warns_of_a_label_that_no_post_has(
    tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posts = write_posts(tmp_path / "posts.parquet", "0444")
    command = ["evaluate", posts, "--label-column", "column_1", "--model", tiny_bundle]
    said = run(capsys, *command, "--labels", "0=negative,4=positive").out
    assert "Note: No post with a label and an answer has the label 'neutral'." in said
    refused = run(capsys, *command, "--labels", "0=negative,4=calm")
    assert refused.code == 2
    assert "--labels names calm, but the model's labels are negative, neutral, positive" in refused.err
