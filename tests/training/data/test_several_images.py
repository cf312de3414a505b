from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sentimm.training.data.batches import Batcher, tokenize_posts
from sentimm.training.data.pictures import Pictures
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.data.splits import split_posts
from sentimm.training.data.tables import load_posts
from sentimm.training.learning.processes import make_accelerator
from sentimm.training.learning.validation import score_posts
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import Run
from tests.support.tiny.models import IMAGE_SIZE
from tests.support.tiny.training_runs import train

LABELS = ("positive", "negative")
CELLS = ["0.png|1.png|2.png", "3.png", "", "bad.png|4.png|gone.png", "gone.png|bad.png", "1.png|5.png"]


@pytest.fixture
def table(options: TrainOptions, tmp_path: Path) -> TrainOptions:
    assert options.images is not None
    (options.images / "bad.png").write_bytes(b"no image")
    rows = [f"good day {row},{cell},{LABELS[row % 2]}" for row, cell in enumerate(CELLS)]
    (tmp_path / "posts.csv").write_text("text,image,label\n" + "\n".join(rows) + "\n")
    return replace(options, inputs=(str(tmp_path / "posts.csv"),))


@pytest.fixture
def posts(table: TrainOptions) -> LabelledPosts:
    return load_posts(table.inputs, table, ("text", "image"), IMAGE_SIZE)


def name_images(posts: LabelledPosts) -> list[list[str]]:
    names = [Path(str(image)).name for image in posts.images]
    return [[names[image] for image in images if image >= 0] for images in posts.all_images]


def test_the_readable_images_of_each_post_are_kept(posts: LabelledPosts) -> None:
    assert name_images(posts) == [["0.png", "1.png", "2.png"], ["3.png"], [], ["4.png"], [], ["1.png", "5.png"]]
    assert posts.skipped == {"images unreadable (trained on as text)": 2}
    assert posts.select(np.array([5])).all_images.shape == (1, 3)


def test_each_epoch_shows_one_of_the_images(posts: LabelledPosts) -> None:
    rows = np.arange(len(posts))
    drawn = np.array([posts.choose_images(rows, epoch) for epoch in range(40)])
    for row, images in enumerate(posts.all_images):
        assert set(drawn[:, row]) == set(images[images >= 0].tolist() or [-1])
    np.testing.assert_array_equal(posts.choose_images(rows, 7), posts.choose_images(rows, 7))
    np.testing.assert_array_equal(posts.choose_images(rows[::-1], 7), posts.choose_images(rows, 7)[::-1])


def test_validation_takes_the_mean_over_the_images(
    options: TrainOptions, posts: LabelledPosts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run, _ = train(replace(options, epochs=1), tmp_path_factory.mktemp("run") / "run")
    every, post_of = posts.pair_images()
    probabilities = np.exp(score(run, posts, options))
    alone = torch.from_numpy(score(run, every, options)).softmax(dim=1).numpy()
    for post in range(len(posts)):
        np.testing.assert_allclose(probabilities[post], alone[post_of == post].mean(axis=0), atol=1e-5)


def score(run: Run, posts: LabelledPosts, options: TrainOptions) -> np.ndarray:
    from sentimm.text import TextTokenizer

    model = run.build_model("best")
    tokens = tokenize_posts(posts, TextTokenizer(run.tokenizer, options.max_tokens))
    batcher = Batcher(posts, tokens, None, None, Pictures(posts, IMAGE_SIZE), 0, torch.device("cpu"))
    return score_posts(model, batcher, 4, make_accelerator(options))


def test_posts_that_share_any_image_stay_together(posts: LabelledPosts) -> None:
    for seed in range(10):
        training, _ = split_posts(posts, (0.4,), seed)
        assert ("0" in training.ids) == ("5" in training.ids)


def test_the_digest_of_posts_covers_all_images(posts: LabelledPosts) -> None:
    assert replace(posts, more_images=None).digest() != posts.digest()


@pytest.mark.slow
def test_a_model_is_trained_on_posts_with_several_images(table: TrainOptions, tmp_path: Path) -> None:
    _, events = train(replace(table, epochs=1, val_fraction=0.4, image_cache=tmp_path / "cache"), tmp_path / "run")
    assert events
