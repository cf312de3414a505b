from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from sentimm.errors import ColumnError, InputError, OutputError, RunError, RunNotFoundError, UsageError
from sentimm.training.data.batches import Batcher
from sentimm.training.data.epochs import plan_draw
from sentimm.training.data.pictures import Pictures
from sentimm.training.data.stored_posts import read_posts
from sentimm.training.data.tables import _short_names, load_posts
from sentimm.training.events import EpochTrained, PostsLoaded
from sentimm.training.model import load_model
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import find_newest_run, open_run
from sentimm.training.train import start_run
from tests.support.tiny.models import IMAGE_SIZE
from tests.support.tiny.training_runs import losses, same_weights, train, weights

BOTH = ("text", "image")


def test_posts_are_read_with_their_labels_and_modalities(options: TrainOptions) -> None:
    posts = load_posts(options.inputs, options, BOTH, IMAGE_SIZE)
    assert len(posts) == 48
    assert [int((posts.label == label).sum()) for label in range(3)] == [16, 16, 16]
    assert (posts.text < 0).sum() == (posts.image < 0).sum() == 6
    assert 0 < (posts.text_label >= 0).sum() < 48


def test_a_broken_image_leaves_its_post_as_text(options: TrainOptions, tmp_path: Path) -> None:
    table = tmp_path / "posts.csv"
    table.write_text("text,image,label\ngood,broken.jpg,positive\nbad,gone.jpg,negative\n,broken.jpg,neutral\n")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    posts = load_posts([str(table)], replace(options, images=tmp_path), BOTH, IMAGE_SIZE)
    assert len(posts) == 2
    assert (posts.image < 0).all()
    assert posts.skipped["images unreadable (trained on as text)"] == 2
    assert posts.skipped["without text or image"] == 1


def test_images_that_are_nowhere_end_training_and_a_folder_that_is_not_named_is_asked_for(
    options: TrainOptions, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"finds its image in {tmp_path}: check that --images is the right folder"):
        load_posts(options.inputs, replace(options, images=tmp_path), BOTH, IMAGE_SIZE)
    posts = load_posts(options.inputs, replace(options, images=None), BOTH, IMAGE_SIZE)
    assert posts.skipped["named images not used: name their folder with --images"] == 42
    posts = load_posts(options.inputs, replace(options, images=None), ("text",), IMAGE_SIZE)
    assert set(posts.skipped) == {"without text"}


def test_tables_of_the_same_name_are_told_apart(options: TrainOptions) -> None:
    assert load_posts([options.inputs[0]], options, BOTH, IMAGE_SIZE).tables == ("posts.csv",)
    assert _short_names(["a/x/train.csv", "a/y/train.csv"]) == ("x/train.csv", "y/train.csv")
    assert len(set(_short_names(["train.csv", "train.csv"]))) == 2


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("text,mood\nx,positive\n", ColumnError, r"no column 'label' \(its columns: text, mood\)"),
        (
            "text,label\nx,joyful\n",
            ColumnError,
            r"row 0 \(from 0\): 'joyful' in column 'label' is not one of the labels",
        ),
        ("text,label\n,positive\n", InputError, r"No post of .* can be used for training \(1 without text\)"),
    ],
)
def test_tables_that_can_not_teach_are_refused(
    options: TrainOptions, tmp_path: Path, content: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "posts.csv").write_text(content)
    with pytest.raises(error, match=message):
        load_posts([str(tmp_path / "posts.csv")], replace(options, images=None), ("text",), IMAGE_SIZE)


@pytest.mark.slow
def test_a_run_learns_and_keeps_what_export_needs(options: TrainOptions, tmp_path: Path) -> None:
    run, events = train(replace(options, epochs=6, seed=1), tmp_path / "run")
    loaded = next(event for event in events if isinstance(event, PostsLoaded))
    assert loaded.training + loaded.validation == 48
    epochs = [event for event in events if isinstance(event, EpochTrained)]
    assert [event.epoch for event in epochs] == [1, 2, 3, 4, 5, 6]
    assert losses(run)[-1] < 0.7 * losses(run)[0]
    assert run.fusion.heads == BOTH
    again = open_run(run.path)
    assert again.fusion == run.fusion and again.labels == ("negative", "neutral", "positive")
    held_out = read_posts(run.path / "held-out.parquet", IMAGE_SIZE)
    calibration = read_posts(run.path / "calibration.parquet", IMAGE_SIZE)
    assert len(held_out.texts) == loaded.validation
    assert len(calibration.texts) == loaded.training
    assert (held_out.labels >= 0).all()
    assert any(image is not None for image in calibration.images)
    for name in ("curves.png", "confusion.png"):
        with Image.open(run.path / name) as picture:
            assert picture.format == "PNG" and min(picture.size) > 300
    best = max(run.read_metrics(), key=lambda record: record["score"])
    hits = sum(best["confusion"][label][label] for label in range(3))
    assert hits / loaded.validation == pytest.approx(best["tables"]["posts.csv"]["accuracy"])
    assert 0 <= best["waiting"] <= 1
    assert not list(run.path.glob("*.tmp"))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model(options: TrainOptions, tmp_path: Path) -> None:
    first, _ = train(options, tmp_path / "a")
    second, _ = train(options, tmp_path / "b")
    other, _ = train(replace(options, seed=5), tmp_path / "c")
    assert losses(first) == losses(second) != losses(other)
    assert same_weights(first, second)


@pytest.mark.slow
def test_frozen_encoders_stay_and_are_run_once(options: TrainOptions, tmp_path: Path) -> None:
    frozen = replace(options, freeze=BOTH, epochs=3, head_lr=1e-2, feature_cache=tmp_path / "cache")
    run, _ = train(frozen, tmp_path / "run")
    before = load_model(frozen, load_posts(frozen.inputs, frozen, BOTH, IMAGE_SIZE))[0].state_dict()
    after = weights(run)
    assert torch.equal(
        after["text.backbone.embeddings.word_embeddings.weight"],
        before["text.backbone.embeddings.word_embeddings.weight"],
    )
    assert all(
        torch.equal(tensor, before[name]) for name, tensor in after.items() if name.startswith("image.backbones")
    )
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2  # texts and images
    assert losses(run)[-1] < losses(run)[0]


@pytest.mark.slow
def test_an_encoder_is_taken_from_an_earlier_run(options: TrainOptions, tmp_path: Path) -> None:
    text_run, _ = train(replace(options, fusion="bert"), tmp_path / "text")
    posts = load_posts(options.inputs, options, BOTH, IMAGE_SIZE)
    model, tokenizer = load_model(replace(options, text_encoder=str(text_run.path)), posts)
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(model.text.backbone.state_dict()[name], weights(text_run, "best")[f"text.backbone.{name}"])
    assert tokenizer == text_run.tokenizer.read_bytes()


@pytest.mark.slow
def test_tables_with_and_without_images_train_together(options: TrainOptions, tmp_path: Path) -> None:
    tweets = tmp_path / "tweets.csv"
    pl.DataFrame(
        {"text": ["good love", "bad hate", "table train"] * 20, "label": list(options.labels)[::-1][:1] * 60}
    ).write_csv(tweets)
    mixed = replace(options, inputs=(*options.inputs, str(tweets)), table_weights=(1.0, 0.5), composed=0.5)
    run, events = train(mixed, tmp_path / "run")
    last = [event for event in events if isinstance(event, EpochTrained)][-1]
    assert set(last.metrics) == {"posts.csv", "tweets.csv"}
    assert run.fusion.heads == BOTH
    assert (run.fusion.composed, run.fusion.neutral) == (0.5, 1)
    assert losses(run)[-1] < losses(run)[0]


def test_an_epoch_sees_each_table_as_often_as_its_weight_says(options: TrainOptions) -> None:
    posts = load_posts([options.inputs[0], options.inputs[0]], options, BOTH, IMAGE_SIZE)
    tokens = [np.arange(3, dtype=np.int64)] * len(posts.texts)
    batcher = Batcher(posts, tokens, None, None, Pictures(posts, IMAGE_SIZE), 0, torch.device("cpu"))
    weighted = replace(options, inputs=options.inputs * 2, table_weights=(1.0, 0.25))
    rows = np.concatenate(batcher.plan_epoch(plan_draw(posts, weighted), 8, np.random.default_rng(0)))
    assert sorted(rows[posts.table[rows] == 0]) == list(range(48))
    assert (posts.table[rows] == 1).sum() == 12
    draw = plan_draw(posts, replace(weighted, table_weights=(2.0, 1.0)))
    doubled = np.concatenate(batcher.plan_epoch(draw, 8, np.random.default_rng(0)))
    assert (posts.table[doubled] == 0).sum() == 96


def test_devices_and_folders_that_can_not_be_used_are_named(options: TrainOptions, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for changes, path, error, message in (
        ({"fusion": "bert", "heads": ("text",)}, "run", UsageError, "--heads need a fusion of text and image"),
        ({"fusion": "bert", "freeze": ("image",)}, "run", UsageError, "--freeze image: bert has no image encoder"),
        ({"device": "mps"}, "run", UsageError, "--device 'mps' is not supported: use auto, cpu, cuda, or cuda:N"),
        ({"feature_cache": tmp_path / "file"}, "run", UsageError, "--feature-cache .*file is a file: name a folder"),
        ({"image_cache": tmp_path / "file"}, "run", UsageError, "--image-cache .*file is a file: name a folder"),
        ({}, "file", UsageError, "file is a file: name a folder with -o"),
        ({}, "file/run", OutputError, "file/run can't be written: Not a directory"),
    ):
        with pytest.raises(error, match=message):
            start_run(replace(options, **changes), tmp_path / path, lambda _: None)  # type: ignore[arg-type]


def test_weights_that_leave_no_post_are_refused(options: TrainOptions, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--table-weights leave no post in an epoch: use larger ones"):
        start_run(replace(options, fusion="bert", table_weights=(0.001,)), tmp_path / "run", lambda _: None)
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_not_written_to(options: TrainOptions, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UsageError, match="already exists: name another folder with -o"):
        start_run(options, tmp_path, lambda _: None)


def test_runs_that_are_not_there_or_damaged_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match="is not a training run"):
        open_run(tmp_path)
    with pytest.raises(RunNotFoundError, match="no training run in"):
        find_newest_run(tmp_path / "runs")
    (tmp_path / "config.json").write_text(json.dumps({"format": 1, "fusion": {}}))
    with pytest.raises(RunError, match="is damaged"):
        open_run(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"format": 99, "fusion": {}}))
    with pytest.raises(RunError, match="has format 99"):
        open_run(tmp_path)


def test_posts_that_a_model_can_not_learn_from_are_refused(options: TrainOptions, tmp_path: Path) -> None:
    def refuse(table: str, message: str, **changes: object) -> None:
        (tmp_path / "posts.csv").write_text(table)
        changed = replace(options, **{"inputs": (str(tmp_path / "posts.csv"),), "images": None} | changes)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=message):
            start_run(changed, tmp_path / "run", lambda _: None)
        assert not (tmp_path / "run").exists()

    good = "good,positive\nbad,negative\nso,neutral\n" * 8
    refuse(f"text,label\n{good}", "has an image that can be used, and native-cat learns from both: name their")
    refuse(f"text,label\n{good}", "ote learns from both: .* or choose bert, which reads texts alone", fusion="ote")
    (tmp_path / "val.csv").write_text("text,label,text_label\na,,positive\n")
    none = {"fusion": "bert", "val": str(tmp_path / "val.csv")}
    refuse("text,label,text_label\na,,positive\nb,,positive\n", "2 posts to train on has a label", **none)
    message = r"None of the 1 posts to validate with has a label in the column 'label'"
    refuse(f"text,label\n{good}", message, **none)
    refuse("text,label\na,positive\n", r"bert can be trained on 1 and validated with 0, which is", fusion="bert")
    headless = {"images": options.images, "heads": ("text", "image")}
    rows = "".join(f"post {number},{number}.png,positive\n" for number in range(6))
    refuse(f"text,image,label\n{rows}", "--heads text: none of the 4 posts to train on has a text_label", **headless)
    alike = "".join(f"good {number},positive\n" for number in range(8))
    refuse(f"text,label\n{alike}", "All posts to train on have the label 'positive'", fusion="bert")
    nothing = {"fusion": "resnet", "split_seed": 0}
    refuse(f"text,label\n{good}", "None of the 24 posts has an image, which resnet learns from", **nothing)


def test_an_unknown_fusion_names_those_that_there_are(options: TrainOptions, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--fusion 'sum' is not one of ote, cmac, hstec, native-cat, "):
        start_run(replace(options, fusion="sum"), tmp_path / "run", lambda _: None)


def test_what_can_not_be_composed_is_refused_before_encoders_are_loaded(options: TrainOptions, tmp_path: Path) -> None:
    for changes in ({"fusion": "bert"}, {"heads": ("text",)}):
        asked = replace(options, composed=0.5, text_encoder="nowhere/at-all", **changes)
        with pytest.raises(UsageError, match="--composed needs both heads"):
            start_run(asked, tmp_path / "run", lambda _: None)
