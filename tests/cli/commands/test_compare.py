from __future__ import annotations

import json
from pathlib import Path

import pytest

from sentimm.console.comparison import ComparisonConsole
from sentimm.training.events import ComparedRun, ImagesHashed
from sentimm.training.run_folder import TrainingStopped
from tests.support.commands import run
from tests.support.tiny_models import make_corpus, make_image_encoder, make_text_encoder


@pytest.mark.slow
def test_compare_prints_tables_and_goes_on_where_all_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_corpus(tmp_path)
    command = [
        *("compare", tmp_path / "posts.csv", "--images", tmp_path / "images", "-o", tmp_path / "out"),
        *("--text-encoder", make_text_encoder(tmp_path / "bert")),
        *("--image-encoder", make_image_encoder(tmp_path / "image")),
        *("--image-size", 32, "--width", 24, "--max-tokens", 48, "--epochs", 1, "--val-fraction", 0.25),
        *("--models", "bert,native-combine", "--without-seen"),
    ]
    first = run(capsys, *command)
    assert first.code == 0
    lines = first.out.splitlines()
    assert "Run 2/2, native-combine-seed1" in first.err and "epoch 1/1: loss" in first.err
    assert "Best epoch" in lines and "Last epoch, without posts seen in training" in lines
    header, bert, combine = lines[lines.index("Best epoch") + 1 :][:3]
    assert header.split()[:4] == ["model", "accuracy", "paper", "precision"]
    assert bert.split()[0] == "bert" and bert.split()[2] == "70.5"
    assert combine.split()[0] == "native-combine" and combine.split()[2] == "71.5"
    assert lines[-1] == f"Written to {tmp_path / 'out'}: table.md, results.json, comparison.png"
    again = run(capsys, *command, "--json")
    assert again.code == 0
    assert "bert-seed1: already done" in again.err and "epoch 1/1" not in again.err
    found = json.loads(again.out)
    assert found == json.loads((tmp_path / "out" / "results.json").read_text())
    assert [model["model"] for model in found["models"]] == ["bert", "native-combine"]
    assert bert.split()[1] == f"{100 * found['models'][0]['runs'][0]['best']['accuracy']:.1f}"
    other = run(capsys, *command, "--epochs", 2)
    assert other.code == 2
    assert "holds a comparison with other options (epochs was 1 and is 2): name another with -o" in other.err


def test_a_stop_is_said_also_where_progress_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    console = ComparisonConsole(quiet=True)
    console.tell(ImagesHashed(1, 1))
    console.tell(ComparedRun(2, 7, "ote-seed1", "interrupted"))
    console.stop(TrainingStopped(Path("out/runs/ote-seed1"), epoch=3, step=7))
    words = " ".join(capsys.readouterr().err.split())
    assert words == "Stopped in ote-seed1, epoch 3, after step 7. To resume, run the same command again."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "sum"], "--models: sum is not one of ote"),
        (["--models", ","], "--models needs one or more different models"),
        (["--seeds", "0"], "--seeds is 0, but it must be at least 1"),
        (["--folds", "1"], "--folds is 1, but it must be at least 2"),
        (["--folds", "3", "--val", "val.csv"], "give one of them"),
        (["--metric", "f1"], "--metric is 'f1', but it must be one of accuracy"),
        ([], "gone.csv"),
    ],
)
def test_mistakes_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    result = run(capsys, "compare", tmp_path / "gone.csv", "-o", tmp_path / "out", *arguments)
    assert result.code == 2
    assert message in result.err and "Traceback" not in result.err
    assert not (tmp_path / "out").exists()
