"""Which normalisation the texts of a run get, from the table to the export, and where runs of two meet."""

from __future__ import annotations

import typing
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sentimm_export.scales import read_scale_posts

from sentimm.option_fields import list_fields
from sentimm.text import NORMALIZATIONS
from sentimm.training.data.splits import split_posts
from sentimm.training.data.stored_posts import read_posts
from sentimm.training.data.tables import load_posts
from sentimm.training.learning.answers import compute_answers
from sentimm.training.learning.processes import make_accelerator
from sentimm.training.learning.teacher import RunTeacher
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import Run, open_run
from sentimm.training.train import resume_run
from tests.support.commands import fail
from tests.support.tiny.training_runs import train

TEXTS = ["GOOD &amp; cheap", "bad  day", "so so ", "good & cheap", "bad day"]
LABELS = ["positive", "negative", "neutral", "positive", "negative"]


@pytest.fixture(scope="module")
def as_written(options: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a table whose texts are not normalised."""
    folder = tmp_path_factory.mktemp("as-written")
    return train(make_options(options, folder, normalization="none"), folder / "run")[0]


def make_options(options: TrainOptions, folder: Path, suffix: str = "csv", **changes: object) -> TrainOptions:
    frame = pl.DataFrame({"text": TEXTS, "label": LABELS})
    table = folder / f"posts.{suffix}"
    frame.write_parquet(table) if suffix == "parquet" else frame.write_csv(table)
    named = {"inputs": (str(table),), "val": str(table), "images": None, "fusion": "bert", "epochs": 1}
    return replace(options, **(named | changes))


def test_the_option_offers_all_normalisations() -> None:
    kind = next(field.kind for field in list_fields(TrainOptions) if field.name == "normalization")
    assert typing.get_args(kind) == tuple(NORMALIZATIONS)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_texts_are_read_by_the_normalisation_that_is_named(options: TrainOptions, tmp_path: Path, suffix: str) -> None:
    table = make_options(options, tmp_path, suffix)
    for normalization, expected in ((None, {"GOOD & cheap", "good & cheap", "bad day", "so so"}), ("none", set(TEXTS))):
        named = replace(table, normalization=normalization)
        assert set(load_posts(named.inputs, named, ("text",), 0).texts) == expected


def test_a_run_stores_its_normalisation_and_normalised_posts(as_written: Run, tmp_path: Path) -> None:
    assert open_run(as_written.path).normalization == "none"
    assert set(read_posts(as_written.path / "calibration.parquet", None).texts) == set(TEXTS)
    (tmp_path / "other.csv").write_text("text\nRT @bob &amp;  x\n")
    assert read_scale_posts(as_written, tmp_path / "other.csv", None).texts == ("RT @bob &amp;  x",)


def test_a_run_that_is_resumed_keeps_its_normalisation(as_written: Run) -> None:
    fields = as_written.options | {"normalization": None, "epochs": 2}
    replace(as_written, options=fields).write_config()
    assert len(resume_run(as_written.path, lambda _: None).read_metrics()) == 2


@pytest.mark.parametrize("option", ["init", "text_encoder"])
def test_a_run_that_gives_its_text_encoder_gives_its_normalisation(
    options: TrainOptions, as_written: Run, tmp_path: Path, option: str
) -> None:
    source = as_written.path if option == "init" else str(as_written.path)
    changes = {"text_encoder": "", "init": None, option: source}
    fine = make_options(options, tmp_path, **changes)
    assert load_posts(fine.inputs, fine, ("text",), 0).normalization == "none"
    other = replace(fine, normalization="cardiff")
    assert load_posts(other.inputs, other, ("text",), 0).normalization == "cardiff"


def test_a_teacher_reads_texts_by_its_own_normalisation(options: TrainOptions, as_written: Run, tmp_path: Path) -> None:
    own = make_options(options, tmp_path, normalization="none")
    accelerator = make_accelerator(own)
    posts = load_posts(own.inputs, own, ("text",), 0)
    expected = compute_answers(RunTeacher(as_written), posts, tmp_path, accelerator, lambda _: None)
    student = replace(own, normalization="tweet-1")
    posts = load_posts(student.inputs, student, ("text",), 0)
    answers = compute_answers(RunTeacher(as_written), posts, tmp_path, accelerator, lambda _: None)
    # "bad  day" and "bad day" are one text of the student's, which the teacher is shown as it was first written.
    np.testing.assert_array_equal(answers, expected[[0, 1, 2, 3, 1]])
    assert posts.normalize_again("none").texts == ("GOOD &amp; cheap", "bad  day", "so so ", "good & cheap")
    assert posts.normalize_again("tweet-1") is posts


def test_posts_are_held_out_alike_whatever_the_normalisation(options: TrainOptions, tmp_path: Path) -> None:
    table = tmp_path / "posts.csv"
    lines = [f"@user{row} likes number {row // 2} of 50,{LABELS[row // 2 % 3]}" for row in range(100)]
    table.write_text("\n".join(["text,label", *lines]))
    splits = []
    for normalization in NORMALIZATIONS:
        named = replace(options, inputs=(str(table),), normalization=normalization, images=None)
        splits.append(split_posts(load_posts(named.inputs, named, ("text",), 0), (0.2,), seed=0)[1])
    assert len(splits[0]) == 20, "ten pairs, which differ in the user alone"
    assert all(split.ids == splits[0].ids for split in splits)


def test_an_unknown_normalisation_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    message = "--normalization is 'tweet-9', but it must be one of none, cardiff, tweet-1, tweet-2, tweet-2-names."
    assert fail(capsys, "train", "posts.csv", "--normalization", "tweet-9") == (2, message)
