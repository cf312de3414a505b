from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sentimm.errors import InputError, UsageError
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.data.prepare import load_data, split_for_model
from sentimm.training.data.splits import split_fold, split_posts
from sentimm.training.data.tables import load_posts
from sentimm.training.options import TrainOptions
from tests.support.tiny.models import IMAGE_SIZE

MODELS = ("ote", "bert", "resnet")


@pytest.fixture
def repeating(options: TrainOptions, tmp_path: Path) -> LabelledPosts:
    """Two tables of 30 posts, of which three after one another share a text."""
    tables = []
    for name in ("one", "two"):
        rows = [f"{name} {number // 3},{('positive', 'negative')[number % 2]}" for number in range(30)]
        tables.append(tmp_path / f"{name}.csv")
        tables[-1].write_text("text,label\n" + "\n".join(rows) + "\n")
    inputs = tuple(map(str, tables))
    return load_posts(inputs, replace(options, inputs=inputs, images=None), ("text",), IMAGE_SIZE)


def test_repeats_stay_on_one_side_of_a_split(repeating: LabelledPosts) -> None:
    training, validation = split_posts(repeating, (0.25,), seed=3)
    assert len(training) + len(validation) == 60
    assert 10 <= len(validation) <= 20
    assert not set(training.text.tolist()) & set(validation.text.tolist())


def test_a_picture_that_most_posts_share_stays_in_training(options: TrainOptions, tmp_path: Path) -> None:
    rows = [f"post {number},{'0.png' if number < 60 else ''},positive" for number in range(100)]
    (tmp_path / "posts.csv").write_text("text,image,label\n" + "\n".join(rows) + "\n")
    posts = load_posts([str(tmp_path / "posts.csv")], options, ("text", "image"), IMAGE_SIZE)
    for seed in range(20):
        training, validation = split_posts(posts, (0.1,), seed)
        assert len(validation) == 10 and (validation.image < 0).all()
        assert (training.image >= 0).sum() == 60
    tables = posts.table.copy()
    tables[30:60] = 1  # the picture is most of another table's, and a part of this one's
    both = replace(posts, table=tables, tables=("one", "two"))
    assert all((split_posts(both, (0.3,), seed)[1].image < 0).all() for seed in range(20))
    two = posts.select(np.array([*np.flatnonzero(posts.image >= 0)[:5], 99]))
    assert len(split_posts(two, (0.1,), 0)[1]) == 1


def test_tables_have_fractions_of_their_own(repeating: LabelledPosts) -> None:
    _, validation = split_posts(repeating, (0.1, 0.5), seed=3)
    assert np.bincount(validation.table).tolist() == [3, 15]
    _, smaller = split_posts(repeating, (0.1,), seed=3)
    assert set(smaller.ids) < set(validation.ids)


def test_a_table_is_split_the_same_beside_another(repeating: LabelledPosts) -> None:
    alone = repeating.select(np.flatnonzero(repeating.table == 1))
    _, validation = split_posts(repeating, (0.25,), seed=3)
    _, of_one = split_posts(alone, (0.25,), seed=3)
    assert {post for post, table in zip(validation.ids, validation.table, strict=True) if table == 1} == set(of_one.ids)
    _, other_seed = split_posts(alone, (0.25,), seed=4)
    assert set(other_seed.ids) != set(of_one.ids)


def test_folds_share_no_text_and_hold_every_post_once(repeating: LabelledPosts) -> None:
    held_out: list[str] = []
    for fold in range(4):
        training, validation = split_fold(repeating, 4, fold, seed=3)
        assert not set(training.text.tolist()) & set(validation.text.tolist())
        assert len(training) + len(validation) == 60
        assert 12 <= len(validation) <= 18
        assert (np.bincount(validation.table) >= 6).all()
        held_out += [f"{table} {post}" for table, post in zip(validation.table, validation.ids, strict=True)]
    assert len(held_out) == 60 == len(set(held_out))


def test_folds_share_no_image(options: TrainOptions, tmp_path: Path) -> None:
    images = options.images
    assert images is not None
    names = sorted(path.name for path in images.iterdir())[:12]
    copies = tmp_path / "images"
    copies.mkdir()
    rows = []
    for number, name in enumerate([*names, *names]):  # the same pictures under other names
        (copies / f"{number}.png").write_bytes((images / name).read_bytes())
        rows.append(f"text {number},{number}.png,positive")
    table = tmp_path / "posts.csv"
    table.write_text("text,image,label\n" + "\n".join(rows) + "\n")
    posts = load_posts([str(table)], replace(options, images=copies), ("text", "image"), IMAGE_SIZE)
    for fold in range(3):
        sides = split_fold(posts, 3, fold, seed=0)
        digests = [{side.image_digests[image] for image in side.image} for side in sides]
        assert digests[0] and digests[1] and not digests[0] & digests[1]


def test_too_many_folds_are_refused(repeating: LabelledPosts) -> None:
    with pytest.raises(InputError, match=r"60 usable posts in 20 groups .* are too few for 21 folds"):
        split_fold(repeating, 21, 0, seed=0)


@pytest.mark.parametrize("changes", [{"split_seed": 4}, {"split_seed": 4, "folds": 3, "fold": 1}])
def test_every_model_and_seed_has_the_same_split(options: TrainOptions, changes: dict[str, int]) -> None:
    check_split([replace(options, seed=seed, fusion=model, **changes) for seed, model in enumerate(MODELS)])


def test_runs_with_one_seed_hold_out_the_same_posts_whatever_they_read(options: TrainOptions) -> None:
    check_split([replace(options, seed=3, val_fraction=(0.3,), fusion=model) for model in MODELS])


@pytest.mark.parametrize("has_images", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_posts_with_nothing_to_read_are_left_out_before_the_split(
    options: TrainOptions, tmp_path: Path, model: str, has_images: bool
) -> None:
    assert options.images is not None
    names = sorted(path.name for path in options.images.iterdir())[:12]
    rows = [f"post {number},{name},positive" for number, name in enumerate(names)]
    rows += [",,negative", ",gone.png,negative", f",{names[0]},negative"]
    (tmp_path / "posts.csv").write_text("text,image,label\n" + "\n".join(rows) + "\n")
    images = options.images if has_images else None
    asked = replace(options, inputs=(str(tmp_path / "posts.csv"),), images=images, fusion=model, val_fraction=(0.3,))
    if model == "resnet" and not has_images:
        with pytest.raises(InputError, match="None of the 12 posts has an image"):
            load_data(asked)
        return
    data = load_data(asked)
    assert len(data.training) + len(data.validation) == 12 + (has_images and model != "bert")


def check_split(models: list[TrainOptions]) -> None:
    held_out = []
    for model in models:
        data = load_data(model)
        assert not set(data.training.ids) & set(data.validation.ids)
        held_out.append(set(data.validation.ids))
    whole, texts, images = held_out
    assert texts < whole and images < whole  # some posts lack a modality
    assert texts | images == whole


def test_a_table_for_validation_is_not_split(options: TrainOptions) -> None:
    named = replace(options, val=options.inputs[0], split_seed=4)
    posts = load_posts(options.inputs, options, ("text", "image"), IMAGE_SIZE)
    data = split_for_model(named, posts, posts)
    assert len(data.training) == len(data.validation) == len(posts)
    with pytest.raises(UsageError, match="--folds validates with parts of INPUT in turn, and --val names a table"):
        replace(named, folds=3)
