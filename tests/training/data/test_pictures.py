from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sentimm.images import decode_image
from sentimm.training.data.pictures import ImageNoise, Pictures, augment_image
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.data.tables import load_posts
from sentimm.training.options import TrainOptions
from tests.support.tiny.models import IMAGE_SIZE
from tests.support.tiny.training_runs import losses, same_weights, train

ROWS = np.arange(5, dtype=np.int64)


@pytest.fixture(scope="module")
def posts(options: TrainOptions) -> LabelledPosts:
    return load_posts(options.inputs, options, ("text", "image"), IMAGE_SIZE)


def test_without_augmentation_images_are_as_in_scoring(posts: LabelledPosts) -> None:
    pixels = Pictures(posts, IMAGE_SIZE).load(ROWS, epoch=3)
    assert pixels.dtype == np.uint8
    assert (pixels == np.stack([decode_image(posts.images[row], IMAGE_SIZE) for row in ROWS])).all()


def test_augmented_images_follow_from_seed_epoch_and_image_alone(posts: LabelledPosts) -> None:
    pictures = Pictures(posts, IMAGE_SIZE, augment_seed=1)
    first = pictures.load(ROWS, epoch=1)
    assert first.shape == (5, 3, IMAGE_SIZE, IMAGE_SIZE)
    assert (Pictures(posts, IMAGE_SIZE, augment_seed=1).load(ROWS[::-1], epoch=1)[::-1] == first).all()
    assert (pictures.load(ROWS, epoch=2) != first).any()
    assert (Pictures(posts, IMAGE_SIZE, augment_seed=2).load(ROWS, epoch=1) != first).any()


def test_augmentation_keeps_half_of_the_picture_and_mirrors_some() -> None:
    # Columns grow brighter to the right: a cut keeps their order, a mirrored one turns it round.
    ramp = np.broadcast_to(np.linspace(60, 180, 100).astype(np.uint8), (3, 100, 100))
    spans = []
    for seed in range(60):
        row = augment_image(ramp, 50, np.random.default_rng(seed))[0, 25].astype(int)
        assert (np.diff(row) >= 0).all() or (np.diff(row) <= 0).all()
        spans.append(row[-1] - row[0])
    assert 20 <= sum(span < 0 for span in spans) <= 40
    assert min(map(abs, spans)) > 30


@pytest.mark.parametrize("seed", [None, 4])
def test_a_share_of_the_images_loses_detail(posts: LabelledPosts, seed: int | None) -> None:
    rows = np.arange(40, dtype=np.int64)
    plain = Pictures(posts, IMAGE_SIZE, augment_seed=seed).load(rows, epoch=1)
    noise = ImageNoise(seed=3, share=0.5)
    noisy = Pictures(posts, IMAGE_SIZE, augment_seed=seed, noise=noise)
    first = noisy.load(rows, epoch=1)
    assert first.shape == plain.shape and first.dtype == np.uint8
    changed = (first != plain).any(axis=(1, 2, 3))
    assert 10 <= changed.sum() <= 30
    assert (noisy.load(rows[::-1], epoch=1)[::-1] == first).all()
    assert (noisy.load(rows, epoch=2) != first).any()
    # Noise is what these pictures are made of: it is what they lose.
    detail = [np.abs(np.diff(each[changed].astype(int), axis=3)).mean() for each in (first, plain)]
    assert detail[0] < 0.8 * detail[1]
    assert np.abs(first.mean(axis=(2, 3)) - plain.mean(axis=(2, 3))).max() < 8


def test_kept_thumbnails_give_the_same_images(posts: LabelledPosts, tmp_path: Path) -> None:
    for seed in (None, 4):
        told: list[int] = []
        kept = Pictures(
            posts, IMAGE_SIZE, augment_seed=seed, cache=tmp_path, tell=lambda done, _, told=told: told.append(done)
        )
        assert told == [len(posts.images)]
        assert (kept.load(ROWS, epoch=1) == Pictures(posts, IMAGE_SIZE, augment_seed=seed).load(ROWS, epoch=1)).all()
        again = Pictures(
            posts, IMAGE_SIZE, augment_seed=seed, cache=tmp_path, tell=lambda *_: pytest.fail("made again")
        )
        assert (again.load(ROWS, epoch=1) == kept.load(ROWS, epoch=1)).all()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
def test_a_run_with_kept_thumbnails_is_the_run_without(options: TrainOptions, tmp_path: Path) -> None:
    plain, _ = train(replace(options, augment=True), tmp_path / "plain")
    kept, _ = train(replace(options, augment=True, image_cache=tmp_path / "cache"), tmp_path / "kept")
    bare, _ = train(options, tmp_path / "bare")
    assert same_weights(plain, kept)
    assert losses(plain) != losses(bare)
