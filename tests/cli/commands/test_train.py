from __future__ import annotations

import importlib.util
from dataclasses import fields
from inspect import signature
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from sentimm.cli.app import main
from sentimm.cli.commands.compare import compare
from sentimm.cli.commands.train import train
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import open_run
from tests.support.commands import run
from tests.support.tiny.classifiers import make_text_classifier, write_image_folder
from tests.support.tiny.models import make_corpus, make_image_encoder, make_text_encoder


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


@pytest.mark.slow
def test_published_classifiers_are_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import timm

    posts = make_corpus(tmp_path / "corpus")
    text = make_text_classifier(tmp_path / "roberta", "Roberta")
    state = timm.create_model("test_resnet", num_classes=7).state_dict()
    image = write_image_folder(tmp_path / "resnet", state, architecture="test_resnet")
    options = ("--image-size", 32, "--width", 24, "--max-tokens", 40, "--epochs", 1, "--val-fraction", 0.25)
    images = ("--images", tmp_path / "corpus/images")
    result = run(
        capsys, "train", posts, *images, "--init", text, "--image-encoder", image, *options, "-o", tmp_path / "run"
    )
    assert result.code == 0, result.err
    trained = open_run(tmp_path / "run")
    assert trained.text is not None and trained.text.backbone["model_type"] == "roberta"
    assert trained.image is not None and trained.image.backbones == ("timm:test_resnet",)
    assert trained.build_model("best").labels == 3


@pytest.mark.slow
def test_folders_named_like_labels_are_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("neg", "pos"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (40, 30), (number * 20, 90, 255 if name == "neg" else 0)).save(
                tmp_path / "data" / name / f"{number}.png"
            )
            (tmp_path / "data" / name / f"{number}.txt").write_text(f"{name} day number {number}")
    assert call("train", tmp_path / "data", *encoders(tmp_path), "-o", tmp_path / "run") == 0
    assert "The posts are labelled by the names of their folders: neg (12), pos (12)." in " ".join(
        capsys.readouterr().err.split()
    )


EMOTIONS = ("joy", "anger", "fear", "sadness", "surprise")


@pytest.mark.slow
def test_other_label_sets_train_export_and_score_just_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_corpus(tmp_path, posts=60)
    posts = pl.read_csv(tmp_path / "posts.csv")
    felt = pl.Series("label", [EMOTIONS[number % 5] for number in range(posts.height)])
    posts.select("id", "text", "image", felt).write_csv(tmp_path / "felt.csv")
    monkeypatch.chdir(tmp_path)
    given = ["--labels", ",".join(EMOTIONS), "--class-weights", "balanced", "--fusion", "native-cat"]
    assert call("train", "felt.csv", "--images", "images/", *given, *encoders(tmp_path)) == 0
    assert call("export", "--precision", "fp32", "--min-agreement", "0") == 0
    assert (
        call("score", "felt.csv", "--images", "images/", "--model", "bundles/native-cat-1", "-o", "scored.parquet") == 0
    )
    capsys.readouterr()
    scored = pl.read_parquet("scored.parquet")
    assert [name for name in scored.columns if name.startswith("p_")] == [f"p_{name}" for name in EMOTIONS]
    assert set(scored["sentiment"].unique()) <= set(EMOTIONS)
    total = scored.select(pl.sum_horizontal(pl.col("^p_.*$"))).to_series()
    assert total.to_list() == pytest.approx([1.0] * 60, abs=1e-5)


def test_every_option_of_a_run_is_an_option_of_the_commands() -> None:
    own = {field.name for field in fields(TrainOptions)}
    assert set(signature(train).parameters) - own == {"context", "output", "resume", "quiet"}
    comparison = {"folder", "models", "seeds", "without_seen", "quiet", "as_json"}
    assert set(signature(compare).parameters) - own == comparison
    assert own - set(signature(train).parameters) == {"split_seed", "folds", "fold", "label_values"}


def test_train_alone_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("train") == 2
    error = capsys.readouterr().err
    assert "sentimm train posts.csv --images photos/" in error
    assert "column `label`" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.csv"], "gone.csv"),
        (["posts.csv", "--label-column", "mood"], "has no column 'mood' (its columns: "),
        (["posts.csv", "--fusion", "sum"], "--fusion 'sum' is not one of ote"),
        (["posts.csv", "--pooling", "max"], "--pooling is 'max', but it must be one of mean, cls"),
        (["posts.csv", "--table-weights", "x"], "--table-weights: 'x' is not a list of numbers"),
        (["posts.csv", "--resume", "runs/x"], "remove INPUT"),
        (["posts.csv", "--labels", "one"], "--labels needs two or more"),
        (["posts.csv", "--augment", "--freeze", "image"], "give one of them"),
        (["posts.csv", "--class-weights", "some"], "--class-weights: 'some' is not a list of numbers"),
        (["posts.csv", "--mixed-precision", "fp8"], "--mixed-precision is 'fp8', but it must be one of no, bf16, fp16"),
        (["posts.csv", "--init", "gone", "--fusion", "bert"], "gone"),
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


@pytest.mark.parametrize("given", [["--epochs", "30"], ["-o", "runs/new"], ["--augment"]])
def test_resume_takes_no_other_options(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call("train", "--resume", "runs/x", "--quiet", *given) == 2
    name = given[0].replace("-o", "--output")
    assert f"remove {name}. To train it differently, start a new run with --init runs/x." in capsys.readouterr().err
    assert "runs/x is not a training run" in run(capsys, "train", "--resume", "runs/x", "--verbose", "--quiet").err


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
    make_text_encoder(tmp_path / "bert")
    assert call("export", "bert") == 2
    assert "bert is not a training run, but a model of transformers" in capsys.readouterr().err
