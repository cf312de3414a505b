"""Bundles as teachers: the models that `score` takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sentimm import Scorer
from sentimm.errors import InputError, RunNotFoundError, UsageError
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.data.tables import load_posts
from sentimm.training.events import TeacherScored
from sentimm.training.learning.answers import ask_teachers, compute_answers
from sentimm.training.learning.processes import make_accelerator
from sentimm.training.learning.teacher import BundleTeacher, Teacher, check_teachers, open_teachers
from sentimm.training.options import TrainOptions, parse_teachers
from tests.support.tiny.bundles import make_bundle
from tests.support.tiny.models import IMAGE_SIZE, make_options
from tests.support.tiny.training_runs import losses, train

BOTH = ("text", "image")


def open_bundle(bundle: Path | str, options: TrainOptions) -> Teacher:
    (teacher,) = open_teachers(replace(options, teacher=(str(bundle),))).values()
    assert isinstance(teacher, BundleTeacher)
    return teacher


def ask(
    teacher: Teacher, posts: LabelledPosts, options: TrainOptions, cache: Path
) -> tuple[np.ndarray, list[TeacherScored]]:
    events: list[TeacherScored] = []
    answers = compute_answers(teacher, posts, cache, make_accelerator(options), events.append)  # type: ignore[arg-type]
    return answers, events


def score(bundle: Path, posts: LabelledPosts, modalities: tuple[str, ...]) -> np.ndarray:
    """Return what `score` answers to posts with these modalities alone: float32 (posts, 3), NaN where there is none."""
    texts = [posts.raw_texts[row] if row >= 0 and "text" in modalities else None for row in posts.text]
    images = [
        [posts.images[row].name for row in rows if row >= 0] if "image" in modalities else []
        for rows in posts.all_images
    ]
    columns = {"text": pl.Series(texts, dtype=pl.String), "image": pl.Series(images, dtype=pl.List(pl.String))}
    with Scorer(bundle, device="cpu") as scorer:
        frame = scorer.score(pl.DataFrame(columns), images=posts.images[0].parent, allow_missing=True)
    return frame.select("p_negative", "p_neutral", "p_positive").cast(pl.Float32).to_numpy()


def test_a_bundle_answers_as_score_does_and_is_asked_once(
    options: TrainOptions, tiny_bundle: Path, tmp_path: Path
) -> None:
    posts = load_posts(options.inputs, options, BOTH, IMAGE_SIZE)
    teacher = open_bundle(tiny_bundle, options)
    answers, events = ask(teacher, posts, options, tmp_path)
    for place, modalities in enumerate((BOTH, ("text",), ("image",))):
        np.testing.assert_allclose(answers[:, place], score(tiny_bundle, posts, modalities), atol=1e-6)
    assert 0 < np.isnan(answers).mean() < 0.5
    assert events[-1].done == events[-1].total > len(posts)
    again, events = ask(teacher, posts, options, tmp_path)
    np.testing.assert_array_equal(again, answers)
    assert not events
    other = ask(open_bundle(make_bundle(tmp_path / "other", seed=1), options), posts, options, tmp_path)[0]
    assert np.nanmax(np.abs(other - answers)) > 0.01, "each bundle has a cache of its own"


def test_posts_with_several_images_get_the_mean(options: TrainOptions, tiny_bundle: Path, tmp_path: Path) -> None:
    posts = load_posts(options.inputs, options, BOTH, IMAGE_SIZE)
    second = np.where(posts.image >= 0, np.roll(posts.image, 1), -1)[:, None]
    posts = replace(posts, more_images=second)
    answers = ask(open_bundle(tiny_bundle, options), posts, options, tmp_path)[0]
    for place, modalities in enumerate((BOTH, ("text",), ("image",))):
        np.testing.assert_allclose(answers[:, place], score(tiny_bundle, posts, modalities), atol=1e-6)


def test_a_bundle_of_texts_answers_no_image(options: TrainOptions, tmp_path: Path) -> None:
    posts = load_posts(options.inputs, options, BOTH, IMAGE_SIZE)
    teacher = open_bundle(make_bundle(tmp_path / "words", modalities=("text",)), options)
    present = ~np.isnan(ask(teacher, posts, options, tmp_path)[0]).any(axis=2)
    np.testing.assert_array_equal(present[:, 0], (posts.text >= 0) & (posts.image < 0))
    np.testing.assert_array_equal(present[:, 1], posts.text >= 0)
    assert not present[:, 2].any()


def test_a_model_that_ships_teaches_by_its_name(options: TrainOptions) -> None:
    named = replace(options, teacher=("default",))
    assert open_bundle("default", options).labels == options.labels
    assert TrainOptions.from_plain(named.to_plain()).teacher == ("default",)


def test_the_path_of_a_bundle_is_stored_in_full(
    options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").mkdir()
    assert replace(options, teacher=("default",)).to_plain()["teacher"] == ("default",)
    (tmp_path / "default/config.json").write_text('{"fusion": {}}')
    with pytest.raises(
        UsageError, match=r"default is a model that ships .*, and a training run here: write \./default"
    ):
        open_bundle("default", options)
    bundle = make_bundle(tmp_path / "bundle")
    assert replace(options, teacher=("bundle",)).to_plain()["teacher"] == (str(bundle),)


def test_a_bundle_that_cannot_teach_is_refused(options: TrainOptions, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has the labels bad, good, not negative, neutral, positive"):
        open_bundle(make_bundle(tmp_path / "two", labels=("bad", "good")), options)
    with pytest.raises(UsageError, match="and resnet have no modality in common"):
        open_bundle(make_bundle(tmp_path / "words", modalities=("text",)), replace(options, fusion="resnet"))
    with pytest.raises(
        RunNotFoundError, match=r"nothing is neither a training run nor a bundle: .* \(default, world\)"
    ):
        open_bundle("nothing", options)
    for empty in ("", "default,", " ,default"):
        with pytest.raises(UsageError, match="A name of --teacher is empty: is it a shell variable"):
            parse_teachers(empty)
    assert parse_teachers("a b, default") == ("a b", "default")


def test_teachers_in_the_wrong_order_are_refused(options: TrainOptions, tmp_path: Path) -> None:
    """A teacher of texts for posts with images alone would teach nothing."""
    words = str(make_bundle(tmp_path / "words", modalities=("text",)))
    whole = str(make_bundle(tmp_path / "whole"))
    posts = load_posts(options.inputs * 2, replace(options, inputs=options.inputs * 2), BOTH, IMAGE_SIZE)
    posts = replace(posts, text=np.where(posts.table == 0, -1, posts.text))
    posts = posts.select(np.flatnonzero((posts.text >= 0) | (posts.image >= 0)))
    for names in ((words, whole), (whole, words)):
        named = replace(options, inputs=options.inputs * 2, teacher=names)
        if names[0] == whole:
            check_teachers(open_teachers(named), posts, named, BOTH)
            continue
        with pytest.raises(
            InputError, match=r"words \(.*\) reads texts alone, and none of the \d+ posts that it is to"
        ):
            check_teachers(open_teachers(named), posts, named, BOTH)


def test_each_table_has_its_own_teacher(options: TrainOptions, tiny_bundle: Path, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "other", seed=1)
    names = (str(tiny_bundle), str(other), str(tiny_bundle))
    several = replace(options, inputs=options.inputs * 3, teacher=names, teacher_weight=(0.5, 0.5, 0.0))
    posts = load_posts(several.inputs, several, BOTH, IMAGE_SIZE)
    accelerator = make_accelerator(several)
    answers = ask_teachers(open_teachers(several), posts, several, tmp_path, accelerator, lambda _: None)
    for table, bundle in enumerate(names[:2]):
        own = posts.select(np.flatnonzero(posts.table == table))
        np.testing.assert_array_equal(
            answers[posts.table == table], ask(open_bundle(bundle, options), own, options, tmp_path)[0]
        )
    assert np.isnan(answers[posts.table == 2]).all() and not np.isnan(answers[posts.table < 2, 0]).any()


@pytest.mark.slow
def test_a_run_learns_from_a_bundle(tmp_path: Path) -> None:
    options = make_options(tmp_path / "posts", fusion="bert")
    bundle = make_bundle(tmp_path / "bundle")
    runs = [
        train(replace(options, teacher=teacher), tmp_path / name)[0]
        for name, teacher in (("alone", ()), ("taught", (str(bundle),)))
    ]
    assert np.isfinite(losses(runs[1])).all() and losses(runs[0]) != losses(runs[1])
