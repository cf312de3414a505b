from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sentimm_export.held_out import describe_results, list_unfitted, measure_held_out
from sentimm_export.parity import score_posts

from sentimm.bundle.bundle import load_bundle
from sentimm.runtime.engine import Engine
from sentimm.training.data.stored_posts import StoredPosts, read_posts, write_posts
from tests.support.tiny_bundles import IMAGE_SIZE, make_bundle

POSTS = 3000
TEMPERATURES = {"text+image": 2.0, "text": 0.5, "image": 3.0}
WORDS = ["good", "bad", "happy", "sad", "rain", "sun", "coffee", "city", "never", "love", "hate", "train"]


def make_posts(posts: int = POSTS) -> StoredPosts:
    """Posts with text and image, then some of one alone; no labels."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 6))) for _ in range(posts)]
    images: list[np.ndarray | None] = [
        np.kron(rng.integers(0, 256, (3, 4, 4), dtype=np.uint8), np.ones((1, 8, 8), np.uint8)) for _ in range(posts)
    ]
    for row in range(posts // 2, posts):
        if row % 2:
            texts[row] = ""
        else:
            images[row] = None
    none = np.full(posts, -1, dtype=np.int64)
    return StoredPosts(tuple(texts), tuple(images), none, none, none)


def draw_labels(probabilities: np.ndarray, temperature: float, seed: int) -> np.ndarray:
    """Labels as they come when the truth is softmax(log(probabilities) / temperature): int64 (posts,)."""
    chances = probabilities.astype(np.float64) ** (1 / temperature)
    chances = (chances / chances.sum(axis=1, keepdims=True)).cumsum(axis=1)
    draws = np.random.default_rng(seed).random((len(chances), 1))
    return (draws > chances).sum(axis=1).clip(0, 2).astype(np.int64)


def label_posts(bundle: Path) -> StoredPosts:
    """Posts whose labels make TEMPERATURES right, if a complete post's sides are held against their own labels."""
    engine = Engine(load_bundle(bundle), device="cpu", precision="fp32")
    posts = make_posts()
    none = (None,) * POSTS
    text = draw_labels(score_posts(engine, replace(posts, images=none)), TEMPERATURES["text"], 1)
    image = draw_labels(score_posts(engine, replace(posts, texts=("",) * POSTS)), TEMPERATURES["image"], 2)
    whole = draw_labels(score_posts(engine, posts), TEMPERATURES["text+image"], 3)
    half, place = POSTS // 2, np.arange(POSTS)
    complete, has_text = place < half, (place < half) | (place % 2 == 0)
    return replace(
        posts,
        labels=np.where(complete, whole, np.where(has_text, text, image)),
        text_labels=np.where(complete, text, -1),
        image_labels=np.where(complete, image, -1),
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def posts(bundle: Path) -> StoredPosts:
    return label_posts(bundle)


def test_each_kind_of_post_gets_the_temperature_of_its_labels(bundle: Path, posts: StoredPosts) -> None:
    found = measure_held_out(load_bundle(bundle), posts)
    assert set(found) == set(TEMPERATURES)
    for kind, each in found.items():
        assert each.calibration is not None
        assert each.calibration.temperature == pytest.approx(TEMPERATURES[kind], rel=0.15), kind
        assert each.calibration.cross_fitted < each.calibration.before
        assert each.calibration.posts == each.report.posts
    assert found["text+image"].report.posts == POSTS // 2
    assert found["text"].report.posts == found["image"].report.posts == POSTS * 3 // 4


def test_a_model_without_heads_is_held_against_the_labels_of_posts(tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path / "bundle", heads=()))
    engine = Engine(bundle, device="cpu", precision="fp32")
    posts = make_posts()
    alone = draw_labels(score_posts(engine, replace(posts, images=(None,) * POSTS)), 2.0, 1)
    posts = replace(posts, labels=alone, text_labels=(alone + 1) % 3)
    calibration = measure_held_out(bundle, posts)["text"].calibration
    assert calibration is not None and calibration.temperature == pytest.approx(2.0, rel=0.15)


def test_few_posts_leave_the_temperature_as_it_is(bundle: Path, posts: StoredPosts) -> None:
    few = replace(posts, labels=np.where(np.arange(POSTS) < 49, posts.labels, -1))
    found = measure_held_out(load_bundle(bundle), few)
    assert found["text+image"].report.posts == 49
    assert found["text+image"].calibration is None
    notes = list_unfitted(load_bundle(bundle), found)
    assert notes[0].startswith("the temperature of text+image posts stays 1: the run has fewer than 50 labelled")


def test_the_manifest_names_the_precision_and_the_errors(tmp_path: Path, posts: StoredPosts) -> None:
    bundle = load_bundle(make_bundle(tmp_path / "bundle", precisions=("int8", "fp16")))
    found = measure_held_out(bundle, posts)
    fields = describe_results(found, bundle)
    assert fields["held_out"]["precision"] == "fp16"
    calibration, figures = found["text"].calibration, fields["held_out"]["text"]
    assert calibration is not None
    assert fields["calibration"]["text"]["cross_fitted"] == round(calibration.cross_fitted, 4)
    assert figures["accuracy_95"][0] < figures["accuracy"] < figures["accuracy_95"][1]
    json.dumps(fields, allow_nan=False)


def test_labels_of_one_side_are_kept_in_a_run_and_old_runs_have_none(tmp_path: Path, posts: StoredPosts) -> None:
    few = StoredPosts(posts.texts[:4], posts.images[:4], *(np.arange(4) + start for start in range(3)))
    write_posts(few, tmp_path / "new.parquet")
    again = read_posts(tmp_path / "new.parquet", IMAGE_SIZE)
    assert again.texts == few.texts
    assert again.text_labels.tolist() == [1, 2, 3, 4]
    assert again.image_labels.tolist() == [2, 3, 4, 5]
    pl.read_parquet(tmp_path / "new.parquet").drop("text_label", "image_label").write_parquet(tmp_path / "old.parquet")
    old = read_posts(tmp_path / "old.parquet", IMAGE_SIZE)
    assert old.labels.tolist() == few.labels.tolist()
    assert old.text_labels.tolist() == old.image_labels.tolist() == [-1] * 4
