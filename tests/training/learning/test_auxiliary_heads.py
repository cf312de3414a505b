from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch.nn import functional as F

from sentimm.errors import ColumnError, InputError, UsageError
from sentimm.training.comparison.plan import adapt_options
from sentimm.training.data.columns.auxiliary import AuxiliaryCells
from sentimm.training.data.posts import keep_modalities
from sentimm.training.data.prepare import load_data
from sentimm.training.data.tables import load_posts
from sentimm.training.events import PostsLoaded
from sentimm.training.learning.auxiliary_heads import make_auxiliary_heads
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import TrainingStopped
from sentimm.training.train import resume_run, start_run
from tests.support.commands import fail
from tests.support.tiny.models import IMAGE_SIZE
from tests.support.tiny.training_runs import losses, same_weights, train, weights

BOTH = ("text", "image")
WRITERS = {"csv": pl.DataFrame.write_csv, "parquet": pl.DataFrame.write_parquet}


def make_table(options: TrainOptions, path: Path) -> str:
    """Write the tiny corpus with an emotion of each third post and a valence of each second one."""
    frame = pl.read_csv(options.inputs[0])
    emotions = [("awe", "fear")[row // 3 % 2] if row % 3 == 0 else None for row in range(len(frame))]
    valences = [row % 7 + 0.5 if row % 2 else None for row in range(len(frame))]
    WRITERS[path.suffix[1:]](frame.with_columns(emotion=pl.Series(emotions), valence=pl.Series(valences)), path)  # type: ignore[operator]
    return str(path)


@pytest.fixture
def asked(options: TrainOptions, tmp_path: Path) -> TrainOptions:
    inputs = (make_table(options, tmp_path / "felt.csv"),)
    return replace(options, inputs=inputs, auxiliary=("image:emotion", "text:valence"), auxiliary_weight=(0.5, 2.0))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_names_and_numbers_are_read(options: TrainOptions, asked: TrainOptions, tmp_path: Path, suffix: str) -> None:
    inputs = (make_table(options, tmp_path / f"felt.{suffix}"), options.inputs[0])
    posts = load_posts(inputs, replace(asked, inputs=inputs), BOTH, IMAGE_SIZE)
    assert [each.names for each in posts.auxiliary_columns] == [("awe", "fear"), ()]
    assert posts.auxiliary is not None
    assert np.isnan(posts.auxiliary[posts.table == 1]).all()
    emotions, valences = posts.auxiliary[posts.table == 0].T
    assert np.nanmax(emotions) == 1 and int((~np.isnan(emotions)).sum()) == 16
    assert sorted(set(valences[~np.isnan(valences)])) == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5]
    assert load_posts(inputs, options, BOTH, IMAGE_SIZE).digest() != posts.digest()
    alone = keep_modalities(posts, ("text",))
    assert [each.column for each in alone.auxiliary_columns] == ["valence"]
    assert alone.auxiliary is not None and alone.auxiliary.shape == (len(alone), 1)


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["1", "2.0", " 1.0 ", None], ("1", "2")),
        (["1", "2.5"], ()),
        (list(map(str, range(60))), ()),
        (["1", "n/a"], ("1", "n/a")),
        ([None, ""], ()),
    ],
)
def test_numbers_are_told_from_names(cells: list[str | None], names: tuple[str, ...]) -> None:
    auxiliary = AuxiliaryCells(["mood"], ("image",))
    for row in auxiliary.read_rows(pl.DataFrame({"mood": pl.Series(cells, dtype=pl.String)})):
        auxiliary.add(row)
    ((column,), _) = auxiliary.to_columns()
    assert column.names == names


def test_posts_with_an_auxiliary_value_alone_are_used(options: TrainOptions, tmp_path: Path) -> None:
    table = tmp_path / "posts.csv"
    table.write_text("text,label,mood\ngood,positive,a\nbad,,b\nso,,\n")
    asked = replace(options, images=None, fusion="bert", auxiliary=("mood",))
    posts = load_posts([str(table)], asked, ("text",), IMAGE_SIZE)
    assert len(posts) == 2 and posts.skipped["without a label"] == 1
    assert len(load_posts([str(table)], replace(asked, auxiliary=()), ("text",), IMAGE_SIZE)) == 1


def test_the_loss_is_over_the_posts_that_have_a_value(asked: TrainOptions) -> None:
    posts = load_posts(asked.inputs, replace(asked, label_smoothing=0.1), BOTH, IMAGE_SIZE)
    heads = make_auxiliary_heads(posts, 4, replace(asked, label_smoothing=0.1))
    assert heads is not None and posts.auxiliary is not None
    features = {"text": torch.randn(4, 4), "image": torch.randn(4, 4)}
    present = {"text": torch.tensor([True, True, False, True]), "image": torch.tensor([True, False, True, True])}
    nan = torch.nan
    values = torch.tensor([[1.0, 2.5], [0.0, nan], [nan, 1.5], [0.0, nan]])
    emotions, valences = heads.heads[0](features["image"]), heads.heads[1](features["text"])
    own = posts.auxiliary[:, 1]
    own = own[~np.isnan(own)]
    expected = (
        0.5 * F.cross_entropy(emotions[[0, 3]], torch.tensor([1, 0]), reduction="sum", label_smoothing=0.1)
        + 2.0 * (valences[0, 0] - (2.5 - own.mean()) / own.std()) ** 2
    )
    torch.testing.assert_close(heads(features, present, values), expected.float())
    torch.manual_seed(9)
    again = make_auxiliary_heads(posts, 4, asked)
    assert again is not None and torch.equal(again.heads[0].weight, heads.heads[0].weight)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_run_learns_them_and_resumes_and_keeps_the_model_as_it_was(asked: TrainOptions, tmp_path: Path) -> None:
    whole, events = train(asked, tmp_path / "whole")
    plain, _ = train(replace(asked, auxiliary=(), auxiliary_weight=(0.5,)), tmp_path / "plain")
    assert set(weights(whole)) == set(weights(plain))
    assert losses(whole) != losses(plain)
    (loaded,) = (event for event in events if isinstance(event, PostsLoaded))
    notes = [note for note in loaded.notes if note.startswith("--auxiliary")]
    assert [note.rpartition(": ")[2] for note in notes] == ["2 names.", "numbers from 1.5 to 6.5."]
    steps = iter([False, True])
    with pytest.raises(TrainingStopped):
        start_run(asked, tmp_path / "stopped", lambda _: None, lambda: next(steps))
    resumed = resume_run(tmp_path / "stopped", lambda _: None)
    assert losses(resumed) == losses(whole)
    assert same_weights(resumed, whole)


def test_a_comparison_gives_each_model_what_it_can_learn(asked: TrainOptions) -> None:
    for model, columns, given in (
        ("bert", ("text:valence",), (2.0,)),
        ("resnet", ("image:emotion",), (0.5,)),
        ("ote", asked.auxiliary, asked.auxiliary_weight),
    ):
        adapted = adapt_options(asked, model)
        assert (adapted.auxiliary, adapted.auxiliary_weight) == (columns, given)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"auxiliary": ("mood",)}, UsageError, "--auxiliary mood: the model reads texts and images: .*image:mood"),
        ({"auxiliary": ("image:mood",)}, ColumnError, "--auxiliary mood: no table has this column"),
        ({"auxiliary": ("image:id",)}, None, ""),
        ({"auxiliary": ("text:label",), "fusion": "resnet"}, UsageError, "the model has no text encoder"),
        ({"auxiliary": ("image:same",)}, InputError, "--auxiliary image:same: .* fewer than two different values"),
    ],
)
def test_columns_that_can_not_be_learnt_are_refused(
    asked: TrainOptions, tmp_path: Path, changes: dict[str, Any], error: type[Exception] | None, message: str
) -> None:
    table = tmp_path / "same.csv"
    pl.read_csv(asked.inputs[0]).with_columns(same=pl.lit("x")).write_csv(table)
    changed = replace(asked, inputs=(str(table),), auxiliary_weight=(0.5,), **changes)
    if error is None:
        load_data(changed)
        return
    with pytest.raises(error, match=message):
        start_run(changed, tmp_path / "run", lambda _: None)


def test_the_command_counts_the_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, message = fail(capsys, "train", "posts.csv", "--auxiliary", "image:a", "--auxiliary-weight", "1,2")
    assert code == 2
    assert message == "--auxiliary-weight names 2 weights for 1 columns: give one, or one for each."
