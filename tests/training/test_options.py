from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sentimm.errors import UsageError
from sentimm.training.options import TrainOptions


def test_options_outlive_json() -> None:
    options = TrainOptions(
        inputs=("/a.csv", "/b.csv"),
        images=Path("/images"),
        table_weights=(1.0, 0.5),
        class_weights="balanced",
        heads=("text",),
        init=Path("/run"),
    )
    assert TrainOptions.from_plain(json.loads(json.dumps(options.to_plain()))) == options


@pytest.mark.parametrize(("kind", "fusion"), [("text", "bert"), ("image", "resnet")])
def test_a_published_network_of_init_is_an_encoder(tmp_path: Path, kind: str, fusion: str) -> None:
    fields = {"vocab_size": 60} if kind == "text" else {"num_channels": 3}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "any", **fields}))
    options = TrainOptions(inputs=("posts.csv",), init=tmp_path)
    given = TrainOptions(inputs=("posts.csv",), **{f"{kind}_encoder": str(tmp_path)})  # type: ignore[arg-type]
    assert options == given and options.init is None
    with pytest.raises(UsageError, match=f"network for {kind}s, and --{kind}-encoder names another"):
        TrainOptions(inputs=("posts.csv",), init=tmp_path, **{f"{kind}_encoder": "mine"})  # type: ignore[arg-type]
    other = {"bert": "resnet", "resnet": "bert"}[fusion]
    with pytest.raises(UsageError, match=f"network for {kind}s, and {other} reads none"):
        TrainOptions(inputs=("posts.csv",), init=tmp_path, fusion=other)


def test_tables_are_kept_by_their_full_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain = TrainOptions(inputs=("part-*.csv", "s3://posts/a.csv"), val="val.csv").to_plain()
    assert plain["inputs"] == (f"{tmp_path}/part-*.csv", "s3://posts/a.csv")
    assert plain["val"] == f"{tmp_path}/val.csv"


def test_the_options_of_earlier_runs_have_one_number_to_hold_out() -> None:
    assert TrainOptions.from_plain({"inputs": ["a.csv"], "val_fraction": 0.2}).val_fraction == (0.2,)
    assert TrainOptions.from_plain({"inputs": ["a.csv"], "teacher": "/runs/large"}).teacher == ("/runs/large",)
    assert TrainOptions.from_plain({"inputs": ["a.csv"], "teacher": None}).teacher == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table_weights": (1.0, 2.0)}, "--table-weights names 2 weights for 1 tables"),
        ({"labels": ("a",)}, "--labels needs two or more"),
        ({"val_fraction": 1.5}, "--val-fraction contains 1.5, but each must be greater than 0 and less than 1"),
        ({"val_fraction": (0.1, 0.2)}, "--val-fraction names 2 fractions for 1 tables: give one, or one for each."),
        ({"freeze": ("text:0",)}, "--freeze takes text, image, or some of their layers"),
        ({"layer_decay": 0.0}, "--layer-decay is 0, but it must be at most 1 and greater than 0."),
        ({"freeze": ("sound",)}, "--freeze takes text, image, or some of their layers"),
        (
            {"teacher": ("t",), "teacher_weight": (1.2,)},
            "--teacher-weight contains 1.2, but each must be between 0 and 1",
        ),
        (
            {"teacher": ("t",), "teacher_weight": (0.5, 1.0)},
            "--teacher-weight names 2 weights for 1 tables: give one",
        ),
        (
            {"teacher": ("t", "u")},
            "--teacher names 2 teachers for 1 tables: give one",
        ),
        (
            {"teacher_weight": (0.8,)},
            "--teacher-weight is a share of a teacher's answers: name the teacher with --teacher",
        ),
        ({"epochs": 0}, "--epochs is 0, but it must be at least 1"),
        ({"accumulate": 0}, "--accumulate is 0, but it must be at least 1"),
        ({"patience": 0}, "--patience is 0, but it must be at least 1"),
        ({"augment": True, "freeze": ("image",)}, "--augment changes the pictures"),
        ({"image_noise": 0.5, "freeze": ("image",)}, "--image-noise changes the pictures"),
        ({"image_noise": 1.5}, "--image-noise is 1.5, but it must be between 0 and 1"),
        ({"image_lr": 0.0}, "--image-lr is 0, but it must be greater than 0"),
        ({"learning_rate": float("inf")}, "--learning-rate is inf, but it must be a finite number"),
        ({"labels": ("good", "Good")}, "--labels needs two or more different labels"),
        ({"composed": 1.0}, "--composed is 1, but it must be at least 0 and less than 1"),
        ({"ema": 1.0}, "--ema is 1, but it must be greater than 0 and less than 1"),
        ({"class_weights": (1.0, 2.0)}, "--class-weights names 2 weights for 3 labels"),
        ({"class_weights": (1.0, 0.0, 1.0)}, "--class-weights contains 0, but each must be greater than 0"),
        ({"save_every_s": -1.0}, "--save-every is -1, but it must be at least 0"),
        ({"image_size": 0}, "--image-size is 0, but it must be at least 1"),
        ({"max_tokens": 2}, "--max-tokens is 2, but it must be at least 3"),
        ({"seed": -1}, "--seed is -1, but it must be at least 0"),
        (
            {"seed": 1 << 63},
            "--seed is 9223372036854775808, but it must be at least 0 and less than 9223372036854775808",
        ),
        ({"dropout": 1.5}, "--dropout is 1.5, but it must be between 0 and 1"),
        ({"label_smoothing": 2.0}, "--label-smoothing is 2, but it must be between 0 and 1"),
        ({"warmup": float("nan")}, "--warmup is nan, but it must be a finite number"),
        ({"weight_decay": -1.0}, "--weight-decay is -1, but it must be at least 0"),
        ({"clip_norm": 0.0}, "--clip-norm is 0, but it must be greater than 0"),
        ({"table_weights": (float("nan"),)}, "--table-weights contains nan, but each must be a finite number"),
    ],
)
def test_options_are_checked(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(TrainOptions(inputs=("posts.csv",)), **changes)  # type: ignore[arg-type]
