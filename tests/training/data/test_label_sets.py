from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from sentimm.errors import ColumnError
from sentimm.training.data.columns.label_sets import LabelSets
from sentimm.training.data.head_labels import choose_allowed
from sentimm.training.data.prepare import load_data, note_labels, store_posts
from sentimm.training.data.stored_posts import read_posts
from sentimm.training.data.tables import load_posts
from sentimm.training.events import PostsLoaded
from sentimm.training.learning.objective import Objective, compute_class_weights
from sentimm.training.learning.validation import measure_tables
from sentimm.training.model import load_model
from sentimm.training.options import TrainOptions
from tests.support.commands import fail
from tests.support.tiny.models import IMAGE_SIZE
from tests.support.tiny.training_runs import train

BOTH = ("text", "image")
WRITERS = {"csv": pl.DataFrame.write_csv, "parquet": pl.DataFrame.write_parquet, "ndjson": pl.DataFrame.write_ndjson}


def write_table(options: TrainOptions, path: Path, **more: list[str | None]) -> str:
    """Write the images of the tiny corpus that are not neutral as a table of `image_label` alone."""
    frame = pl.read_csv(options.inputs[0]).filter(pl.col("image").is_not_null() & (pl.col("label") != "neutral"))
    frame = (
        frame.select("id", "image", image_label="label")
        .head(20)
        .with_columns(**{k: pl.Series(v) for k, v in more.items()})
    )
    WRITERS[path.suffix[1:]](frame, path)  # type: ignore[operator]
    return str(path)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "ndjson"])
def test_images_that_have_a_label_of_their_own_alone_teach_the_head(
    options: TrainOptions, tmp_path: Path, suffix: str
) -> None:
    table = write_table(options, tmp_path / f"photos.{suffix}")
    posts = load_posts([options.inputs[0], table], options, BOTH, IMAGE_SIZE)
    added = posts.select(np.flatnonzero(posts.table == 1))
    assert len(added) == 20
    assert (added.label == -1).all() and (added.image_label >= 0).all()
    assert f"{table} has no column 'label': its posts are learnt from their image_label." in posts.notes
    images = load_posts([options.inputs[0], table], replace(options, fusion="resnet"), ("image",), IMAGE_SIZE)
    assert (images.label[images.table == 1] == images.image_label[images.table == 1]).all()
    assert (images.label[images.table == 0] == posts.label[(posts.table == 0) & (posts.image >= 0)]).all()
    with pytest.raises(ColumnError, match="has no column 'label'"):
        load_posts([table], options, BOTH, IMAGE_SIZE)
    assert len(load_posts([table], options, ("image",), IMAGE_SIZE)) == 20
    with pytest.raises(ColumnError, match="has no column 'label'"):
        load_posts([table], options, ("text",), IMAGE_SIZE)


def test_sets_are_tables_or_the_values_of_a_column(options: TrainOptions, tmp_path: Path) -> None:
    sources: list[str | None] = ["fi"] * 10 + ["oasis"] * 9 + [None]
    inputs = (options.inputs[0], write_table(options, tmp_path / "photos.csv", source=sources))
    by_table = load_posts(inputs, replace(options, labels_by="table"), BOTH, IMAGE_SIZE)
    assert by_table.label_sets is not None
    assert by_table.label_sets.names == ("posts.csv", "photos.csv")
    assert by_table.label_sets.labels[:, 2].tolist() == [[True, True, True], [True, False, True]]
    by_source = load_posts(inputs, replace(options, labels_by="source"), BOTH, IMAGE_SIZE)
    assert by_source.label_sets is not None
    assert by_source.label_sets.names == (
        "posts.csv", "photos.csv with source fi", "photos.csv with source oasis", "photos.csv"
    )  # fmt: skip
    assert by_source.digest() != by_table.digest()
    assert load_posts(inputs, options, BOTH, IMAGE_SIZE).label_sets is None
    with pytest.raises(ColumnError, match="--labels-by mood: no table has this column"):
        load_posts(inputs, replace(options, labels_by="mood"), BOTH, IMAGE_SIZE)


def test_notes_say_which_labels_a_set_is_learnt_among(options: TrainOptions, tmp_path: Path) -> None:
    table = write_table(options, tmp_path / "photos.csv")
    asked = replace(options, inputs=(*options.inputs, table), val=options.inputs[0])
    assert (
        "photos.csv has no neutral in image_label, which other tables have: if nobody looked for it there, use "
        "--labels-by table."
    ) in note_labels(load_data(asked), asked, BOTH)
    followed = replace(asked, labels_by="table")
    assert (
        "photos.csv has no neutral in image_label: its posts are learnt, and validated, among negative, positive."
    ) in note_labels(load_data(followed), followed, BOTH)
    one = tmp_path / "one.csv"
    one.write_text("text,label\ngood,positive\nlove,positive\n")
    single = replace(asked, inputs=(*options.inputs, str(one)))
    assert not [note for note in note_labels(load_data(single), single, BOTH) if "one.csv" in note]
    single = replace(single, labels_by="table")
    assert ("one.csv has positive alone, so that nothing can be learnt from it among its labels.") in note_labels(
        load_data(single), single, BOTH
    )


def test_posts_are_validated_among_the_labels_of_their_set(options: TrainOptions, tmp_path: Path) -> None:
    inputs = (options.inputs[0], write_table(options, tmp_path / "photos.csv"))
    posts = load_posts(inputs, replace(options, labels_by="table"), BOTH, IMAGE_SIZE)
    allowed = choose_allowed(posts, BOTH)
    assert allowed is not None
    assert (allowed[posts.table == 1] == [True, False, True]).all() and allowed[posts.table == 0].all()
    scores = np.tile(np.float32([0.0, 2.0, 1.0]), (len(posts), 1))
    figures = measure_tables(scores, posts, BOTH)
    positive = (posts.image_label[posts.table == 1] == 2).mean()
    assert figures["photos.csv"].accuracy == pytest.approx(positive)
    assert figures["posts.csv"].accuracy == pytest.approx(1 / 3)


def test_balanced_weights_expect_a_label_where_it_could_be() -> None:
    options = TrainOptions(inputs=("a",), class_weights="balanced")
    targets = np.asarray([0] * 6 + [2] * 2 + [0, 1, 1, 2], dtype=np.int64)
    sets = np.asarray([0] * 8 + [1] * 4, dtype=np.int64)
    weights = compute_class_weights(targets, np.ones(12), options, sets)
    # Expected of 8 posts of two labels, and 4 of three: 4 + 4/3, 4/3, 4 + 4/3; found are 7, 2 and 3.
    assert weights == pytest.approx([16 / 3 / 7, 4 / 3 / 2, 16 / 3 / 3])
    alone = compute_class_weights(targets, np.ones(12), options, np.zeros(12, dtype=np.int64))
    assert alone == pytest.approx(compute_class_weights(targets, np.ones(12), options))
    assert weights[targets].sum() == pytest.approx(12)


def test_a_loss_among_some_labels_leaves_the_others_alone(options: TrainOptions) -> None:
    taught = replace(options, fusion="resnet", label_smoothing=0.1)
    posts = load_posts(options.inputs, taught, ("image",), IMAGE_SIZE)
    objective = Objective(load_model(taught, posts)[0], taught, posts)
    torch.manual_seed(0)
    scores = torch.randn(2, 3, requires_grad=True)
    labels, counted, weights = torch.tensor([0, 2]), torch.tensor([True, True]), torch.tensor([1.5, 1.0, 0.5])
    allowed = torch.tensor([[True, False, True], [True, True, True]])
    shares = torch.tensor([0.4, 0.4])
    answers = torch.tensor([[0.2, 0.5, 0.3], [torch.nan] * 3])

    loss = objective._sum_losses(scores, labels, counted, weights, None, shares, allowed)
    two, three = scores[0, [0, 2]].log_softmax(dim=0), scores[1].log_softmax(dim=0)
    first = -(1.5 * 0.95 * two[0] + 0.5 * 0.05 * two[1])
    third = 0.1 / 3
    second = -(1.5 * third * three[0] + third * three[1] + 0.5 * (0.9 + third) * three[2])
    torch.testing.assert_close(loss, first + second)
    (gradient,) = torch.autograd.grad(loss, scores, retain_graph=True)
    assert gradient[0, 1] == 0 and (gradient[1] != 0).all()

    loss = objective._sum_losses(scores, labels, counted, weights, answers, shares, allowed)
    spoken = -(weights * (0.9 * answers[0] + third) * scores[0].log_softmax(dim=0)).sum()
    torch.testing.assert_close(loss, 0.6 * first + 0.4 * spoken + second)
    plain = objective._sum_losses(scores, labels, counted, weights, answers, shares, None)
    whole = objective._sum_losses(scores, labels, counted, weights, answers, shares, torch.ones_like(allowed))
    torch.testing.assert_close(whole, plain)


def test_labels_of_whole_posts_are_filled_in_for_sets_too() -> None:
    known = np.zeros((2, 3, 3), dtype=bool)
    known[1, 2] = [True, False, True]
    filled = LabelSets(("a", "b"), known).fill_labels(np.asarray([1]), 2)
    assert filled.labels[:, 0].tolist() == [[False] * 3, [True, False, True]]
    assert not known[1, 0].any()


@pytest.mark.slow
def test_a_run_learns_beside_a_table_without_neutral(options: TrainOptions, tmp_path: Path) -> None:
    table = write_table(options, tmp_path / "photos.csv")
    asked = replace(options, inputs=(*options.inputs, table), labels_by="table", label_smoothing=0.1)
    run, events = train(replace(asked, epochs=1, class_weights="balanced"), tmp_path / "run")
    (loaded,) = (event for event in events if isinstance(event, PostsLoaded))
    assert any("learnt, and validated, among negative, positive" in note for note in loaded.notes)
    assert 0 < run.read_metrics()[0]["loss"] < 100
    store_posts(run, load_data(asked), asked)
    held_out = read_posts(run.path / "held-out.parquet", IMAGE_SIZE)
    assert 0 < len(held_out.labels) < loaded.validation


def test_the_command_names_a_column_that_is_not_there(
    options: TrainOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, message = fail(
        capsys, "train", *options.inputs, "--images", options.images, "--fusion", "resnet", "--image-encoder",
        options.image_encoder, "--image-size", IMAGE_SIZE, "--labels-by", "mood", "-o", tmp_path / "run", "-q",
    )  # fmt: skip
    assert code == 2
    assert message == "--labels-by mood: no table has this column: name one that is there."
