from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from tokenizers import Tokenizer
from torch.nn import functional as F

from sentimm.corpus.labels import LABEL_COLUMNS, NO_LABEL
from sentimm.errors import ColumnError, InputError, RunError, RunNotFoundError, UsageError
from sentimm.training.data.batches import Batch
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.data.prepare import load_data
from sentimm.training.data.tables import load_posts
from sentimm.training.events import TeacherScored
from sentimm.training.learning.answers import ask_teachers, compute_answers
from sentimm.training.learning.objective import Objective, encode_batch
from sentimm.training.learning.processes import make_accelerator
from sentimm.training.learning.teacher import RunTeacher, open_teachers
from sentimm.training.model import load_model
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import Run
from sentimm.training.train import resume_run, start_run
from tests.support.tiny.models import IMAGE_SIZE
from tests.support.tiny.training_runs import losses, same_weights, train

BOTH = ("text", "image")


@pytest.fixture(scope="module")
def teacher(options: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that reads texts alone."""
    return train(replace(options, fusion="bert", epochs=2), tmp_path_factory.mktemp("teacher") / "words")[0]


@pytest.fixture(scope="module")
def posts(options: TrainOptions) -> LabelledPosts:
    return load_posts(options.inputs, options, BOTH, IMAGE_SIZE)


def ask(run: Run, posts: LabelledPosts, options: TrainOptions, cache: Path) -> tuple[np.ndarray, list[TeacherScored]]:
    events: list[TeacherScored] = []
    answers = compute_answers(RunTeacher(run), posts, cache, make_accelerator(options), events.append)  # type: ignore[arg-type]
    return answers, events


def answer_text(run: Run, text: str) -> np.ndarray:
    model = run.build_model("best")
    assert model.text is not None
    ids = torch.tensor([Tokenizer.from_file(str(run.tokenizer)).encode(text).ids])
    with torch.inference_mode():
        encoded = model.text(ids, torch.ones_like(ids))
        scores = model.fuse(encoded, None, torch.tensor([0]), torch.tensor([0])).scores
    return scores.softmax(dim=1).numpy()[0]


def test_a_teacher_of_texts_answers_every_text_and_whole_posts_without_image_and_is_asked_once(
    options: TrainOptions, teacher: Run, posts: LabelledPosts, tmp_path: Path
) -> None:
    answers, events = ask(teacher, posts, options, tmp_path)
    known = ~np.isnan(answers).any(axis=2)
    assert answers.shape == (len(posts), 3, 3)
    np.testing.assert_array_equal(known[:, 0], (posts.text >= 0) & (posts.image < 0))
    np.testing.assert_array_equal(known[:, 1], posts.text >= 0)
    assert not known[:, 2].any()
    np.testing.assert_array_equal(answers[known[:, 0], 0], answers[known[:, 0], 1])
    for row in np.flatnonzero(known[:, 1])[::9]:
        expected = answer_text(teacher, posts.texts[posts.text[row]])
        np.testing.assert_allclose(answers[row, 1], expected, atol=1e-6)
    assert events[-1].done == events[-1].total == len(set(posts.text[posts.text >= 0]))
    again, events = ask(teacher, posts, options, tmp_path)
    np.testing.assert_array_equal(again, answers)
    assert not events
    turned = np.arange(len(posts))[::-1]
    again, events = ask(teacher, posts.select(turned), options, tmp_path)
    np.testing.assert_array_equal(again, answers[turned])
    assert not events, "the same texts in another order are not asked again"


def test_only_texts_that_were_not_asked_before_are_asked(
    options: TrainOptions, teacher: Run, posts: LabelledPosts, tmp_path: Path
) -> None:
    some = posts.select(np.arange(20))
    ask(teacher, some, options, tmp_path / "twice")
    answers, events = ask(teacher, posts, options, tmp_path / "twice")
    texts = set(posts.text[posts.text >= 0])
    assert events[-1].total == len(texts - set(some.text))
    np.testing.assert_allclose(answers, ask(teacher, posts, options, tmp_path / "once")[0], atol=1e-6)


def test_tables_without_weight_are_not_asked(options: TrainOptions, teacher: Run, tmp_path: Path) -> None:
    both = replace(
        options, inputs=(*options.inputs, *options.inputs), teacher=(str(teacher.path),), teacher_weight=(0.0, 0.6)
    )
    posts = load_posts(both.inputs, both, BOTH, IMAGE_SIZE)
    answers = ask_teachers(open_teachers(both), posts, both, tmp_path, make_accelerator(both), lambda _: None)
    np.testing.assert_array_equal(~np.isnan(answers[:, 1]).any(axis=1), (posts.table == 1) & (posts.text >= 0))


def test_a_teacher_of_both_modalities_answers_as_its_run_was_validated(
    options: TrainOptions, posts: LabelledPosts, tmp_path: Path
) -> None:
    run = train(replace(options, epochs=1, val=options.inputs[0]), tmp_path / "both")[0]
    answers = ask(run, posts, options, tmp_path)[0]
    known = ~np.isnan(answers).any(axis=2)
    np.testing.assert_array_equal(known[:, 0], True)
    np.testing.assert_array_equal(known[:, 1], posts.text >= 0)
    np.testing.assert_array_equal(known[:, 2], posts.image >= 0)
    validated = torch.from_numpy(run.read_scores("best")).softmax(dim=1).numpy()
    np.testing.assert_allclose(answers[:, 0], validated, atol=1e-6)
    assert np.abs(answers[posts.is_complete, 0] - answers[posts.is_complete, 1]).max() > 1e-3


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_what_is_learnt_is_the_mean_of_label_and_answer(
    options: TrainOptions, posts: LabelledPosts, weight: float
) -> None:
    taught = replace(options, inputs=options.inputs * 2, teacher=("any",), teacher_weight=(weight, weight / 2))
    taught = replace(taught, label_smoothing=0.1, class_weights=(1.5, 1.0, 0.5))
    model = load_model(taught, posts)[0].eval()
    torch.manual_seed(0)
    # Two complete posts, without an image_label, and unknown to the teacher as a whole; a text and an image alone.
    batch = Batch(
        ids=torch.randint(5, 20, (3, 6)),
        mask=torch.ones(3, 6, dtype=torch.int64),
        frozen_text=None,
        pixels=torch.randint(0, 256, (3, 3, IMAGE_SIZE, IMAGE_SIZE), dtype=torch.uint8),
        frozen_image=None,
        text_index=torch.tensor([0, 1, 2, 3]),
        image_index=torch.tensor([0, 1, 3, 2]),
        label=torch.tensor([0, 1, 2, 0]),
        text_label=torch.tensor([1, 2, -1, -1]),
        image_label=torch.tensor([-1, 0, -1, 1]),
        table=torch.tensor([0, 0, 1, 0]),
        label_set=torch.tensor([0, 0, 1, 0]),
        teacher_answers=torch.randn(4, 3, 3).softmax(dim=2),
    )
    assert batch.teacher_answers is not None
    batch.teacher_answers[1, 0] = batch.teacher_answers[1, 2] = torch.nan
    fused = model.fuse(*encode_batch(model, batch), batch.text_index, batch.image_index)
    assert fused.text_scores is not None and fused.image_scores is not None
    classes = torch.tensor([1.5, 1.0, 0.5])

    def cross_entropy(
        scores: torch.Tensor, label: int, answer: torch.Tensor | None, weight: float = weight
    ) -> torch.Tensor:
        target = F.one_hot(torch.tensor(label), 3).float()
        if answer is not None:
            target = (1 - weight) * target + weight * answer
        return -(classes * (0.9 * target + 0.1 / 3) * scores.log_softmax(dim=0)).sum()

    answer = batch.teacher_answers
    by_teacher_alone = cross_entropy(fused.image_scores[0], 0, answer[0, 2], weight=1.0) if weight else 0.0
    expected = (
        cross_entropy(fused.fused[0], 0, answer[0, 0])
        + cross_entropy(fused.fused[1], 1, None)
        + options.head_weight
        * (
            cross_entropy(fused.text_scores[0], 1, answer[0, 1])
            + cross_entropy(fused.text_scores[1], 2, answer[1, 1])
            + cross_entropy(fused.text_scores[2], 2, answer[2, 1], weight / 2)
            + by_teacher_alone
            + cross_entropy(fused.image_scores[1], 0, None)
            + cross_entropy(fused.image_scores[3], 1, answer[3, 2])
        )
    )
    torch.testing.assert_close(Objective(model, replace(taught, modality_dropout=0.0), posts)(batch), expected)


@pytest.mark.slow
def test_a_model_learns_what_its_teacher_says_and_not_what_the_labels_say(
    options: TrainOptions, teacher: Run, tmp_path: Path
) -> None:
    table = tmp_path / "posts.csv"
    pl.read_csv(options.inputs[0]).with_columns(label=pl.lit("negative")).write_csv(table)
    student = replace(options, inputs=(str(table),), val=options.inputs[0], fusion="bert", head_lr=0.03)
    student = replace(student, epochs=4, teacher=(str(teacher.path),))
    said = ask(teacher, load_data(student).validation, student, tmp_path)[0][:, 0]

    def miss(weight: float) -> float:
        run = train(replace(student, teacher_weight=(weight,)), tmp_path / f"weight-{weight}")[0]
        answers = torch.from_numpy(run.read_scores("last")).softmax(dim=1).numpy()
        return float(np.abs(answers - said).mean())

    taught, misled = miss(1.0), miss(0.0)
    assert taught < 0.05
    assert misled > 0.3


@pytest.mark.slow
def test_a_table_without_labels_is_learnt_from_the_teacher_alone(
    options: TrainOptions, teacher: Run, tmp_path: Path
) -> None:
    table = tmp_path / "unlabelled.csv"
    columns = pl.read_csv(options.inputs[0], infer_schema=False).drop(LABEL_COLUMNS, strict=False)
    columns.with_columns(text=pl.lit("another ") + pl.col("text")).write_csv(table)
    both = replace(options, inputs=(*options.inputs, str(table)), fusion="bert", val=options.inputs[0])
    with pytest.raises(ColumnError, match=r"unlabelled\.csv has no column 'label'"):
        load_data(both)
    taught = replace(both, teacher=(str(teacher.path),), teacher_weight=(0.0, 0.5))
    posts = load_data(taught).training
    assert (posts.label[posts.table == 1] == NO_LABEL).all() and (posts.table == 1).sum() > 10
    assert f"{table} has no column 'label': its posts are learnt from the teacher's answers." in posts.notes
    assert f"{len(columns):,} posts have no label: they are learnt from the teacher's answers alone." in posts.notes
    with pytest.raises(ColumnError, match=r"unlabelled\.csv has no column 'label'"):
        load_data(replace(taught, teacher_weight=(0.5, 0.0)))
    with pytest.raises(ColumnError, match=r"unlabelled\.csv has no column 'label'"):
        load_data(replace(taught, val=str(table)))
    alone = replace(options, fusion="bert", val=options.inputs[0])
    runs = [train(each, tmp_path / name)[0] for each, name in ((taught, "taught"), (alone, "alone"))]
    assert np.isfinite(losses(runs[0])).all() and losses(runs[0]) != losses(runs[1])


@pytest.mark.slow
def test_a_taught_run_resumes_to_the_same_weights(options: TrainOptions, teacher: Run, tmp_path: Path) -> None:
    taught = replace(options, teacher=(str(teacher.path),))
    whole = train(taught, tmp_path / "whole")[0]
    assert losses(whole) != losses(train(options, tmp_path / "untaught")[0])
    steps = iter(range(100))
    with pytest.raises(Exception, match="stopped"):
        start_run(taught, tmp_path / "stopped", lambda event: None, lambda: next(steps) >= 6)
    resumed = resume_run(tmp_path / "stopped", lambda event: None)
    assert losses(resumed) == losses(whole)
    assert same_weights(resumed, whole)


def test_a_teacher_that_cannot_teach_is_refused_before_anything_is_trained(
    options: TrainOptions, teacher: Run, tmp_path: Path
) -> None:
    assert open_teachers(options) == {}
    with pytest.raises(RunNotFoundError, match="is neither a training run nor a bundle"):
        open_teachers(replace(options, teacher=(str(tmp_path),)))
    with pytest.raises(UsageError, match="has the labels negative, neutral, positive, not bad, good"):
        open_teachers(replace(options, teacher=(str(teacher.path),), labels=("bad", "good")))
    with pytest.raises(UsageError, match=r"\(bert\) and resnet have no modality in common"):
        start_run(
            replace(options, inputs=("gone.csv",), fusion="resnet", teacher=(str(teacher.path),)),
            tmp_path / "run",
            lambda event: None,
        )
    complete = pl.read_csv(options.inputs[0], infer_schema=False).drop_nulls(["text", "image"])
    complete.write_csv(tmp_path / "complete.csv")
    with pytest.raises(
        InputError, match=r"\(bert\) reads texts alone, and none of the 27 posts that it is to teach is one"
    ):
        start_run(
            replace(options, inputs=(str(tmp_path / "complete.csv"),), heads=("image",), teacher=(str(teacher.path),)),
            tmp_path / "run",
            lambda event: None,
        )
    unfinished = shutil.copytree(teacher.path, tmp_path / "unfinished")
    (unfinished / "best.safetensors").unlink()
    with pytest.raises(RunError, match="has no finished epoch yet"):
        start_run(replace(options, teacher=(str(unfinished),)), tmp_path / "run", lambda event: None)
    assert not (tmp_path / "run").exists()
