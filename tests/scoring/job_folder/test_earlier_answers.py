"""Scoring again only those posts of a finished output whose image was missing or unreadable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from sentimm.errors import JobConflictError, UsageError
from sentimm.events import PartCommitted
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job import run_job
from sentimm.scoring.job_folder.job_file import job_path
from sentimm.scoring.job_folder.progress import read_progress
from sentimm.scoring.output.problems import name_problems
from tests.support.failures.steps import Folder, copying_steps
from tests.support.posts import corpora

ROWS = 40
BOTH = ("image_missing", "image_unreadable")
OUTPUTS = ("scored.parquet", "scored")


@pytest.fixture
def images(tmp_path) -> Path:
    return corpora.make_images(tmp_path / "images")


@pytest.fixture(params=OUTPUTS)
def options(request, tiny_bundle, tmp_path, images) -> ScoreOptions:
    """A job of five parts, done."""
    corpora.make_posts(ROWS).write_csv(tmp_path / "posts.csv")
    options = ScoreOptions(
        inputs=(str(tmp_path / "posts.csv"),),
        corpus=CorpusOptions(images),
        output=tmp_path / "out" / request.param,
        model=tiny_bundle,
        chunk_rows=8,
    )
    run(options)
    return options


def run(options: ScoreOptions, tell=lambda event: None, **changes):
    return run_job(replace(options, **changes), tell)


def find_images(images: Path) -> None:
    """Now all images are there, and whole."""
    for name in ("gone.png", "broken.jpg"):
        (images / name).write_bytes((images / "2.png").read_bytes())


def score_anew(options: ScoreOptions, output: Path) -> pl.DataFrame:
    run(options, output=output)
    return pl.read_parquet(output)


def test_posts_whose_images_are_there_now_are_scored_again(options, images, tmp_path):
    before = pl.read_parquet(options.output)
    find_images(images)
    done = run(options, retry=BOTH)
    assert (done.rows, done.scored, done.already) == (ROWS, 15, False)
    after = pl.read_parquet(options.output)
    assert after.equals(score_anew(options, tmp_path / "anew.parquet"))
    kept = pl.Series([corpora.STATUSES[row % 8] not in BOTH for row in range(ROWS)])
    assert after.filter(kept).equals(before.filter(kept))
    assert done.problems is not None
    assert name_problems(options.output).read_bytes() == name_problems(tmp_path / "anew.parquet").read_bytes()
    assert not job_path(options.output).exists()


def test_only_the_statuses_that_are_named_are_tried(options, images):
    find_images(images)
    assert run(options, retry=("image_missing",)).scored == 10
    statuses = pl.read_parquet(options.output)["status"]
    assert statuses.to_list() == ["ok" if status == "image_missing" else status for status in (corpora.STATUSES * 5)]
    problems = pl.read_csv(name_problems(options.output))
    assert problems.filter(pl.col("status") == "image_unreadable")["reason"].unique().to_list() == [
        "could not be read when it was scored"
    ]


def test_what_is_not_answered_again_is_not_encoded(options, images, monkeypatch):
    from sentimm.runtime.engine import Engine

    find_images(images)
    texts, pictures = [], []
    monkeypatch.setattr(Engine, "encode_texts", watch(Engine.encode_texts, texts))
    monkeypatch.setattr(Engine, "encode_images", watch(Engine.encode_images, pictures))
    run(options, retry=BOTH)
    assert (sum(texts), sum(pictures)) == (2, 1)  # "so sad", "great movie"; one picture under two names


def watch(method, counts):
    def watched(self, rows):
        counts.append(len(rows))
        return method(self, rows)

    return watched


def test_images_that_are_still_missing_stay_so_and_it_may_be_tried_again(options, images):
    before = pl.read_parquet(options.output)
    assert run(options, retry=BOTH).scored == 15
    assert pl.read_parquet(options.output).equals(before)
    find_images(images)
    assert run(options, retry=BOTH).scored == 15
    again = run(options, retry=BOTH)
    assert (again.already, again.scored) == (True, 0)
    assert run(options).already


@pytest.mark.slow
def test_a_kill_at_any_step_is_made_good(options, images, tmp_path):
    before = pl.read_parquet(options.output)
    find_images(images)
    after = score_anew(options, tmp_path / "anew.parquet")
    folder = Folder(options.output.parent)
    with copying_steps(folder.copy) as states:
        run(options, retry=BOTH, chunk_rows=24)
    for step, state in enumerate(states, 1):
        folder.restore(state)
        if options.output.suffix:  # one file is always whole: the old one or the new one
            assert any(pl.read_parquet(options.output).equals(each) for each in (before, after))
        run(options, retry=BOTH, chunk_rows=24)
        assert pl.read_parquet(options.output).equals(after), f"killed at step {step}"
        assert not job_path(options.output).exists()
    assert len(states) > 30


def test_an_unfinished_retry_does_not_touch_the_output(options, images):
    before = pl.read_parquet(options.output)
    find_images(images)

    class Stop(BaseException):
        pass

    def stop(event) -> None:
        if isinstance(event, PartCommitted):
            raise Stop

    with pytest.raises(Stop):
        run(options, stop, retry=BOTH)
    assert pl.read_parquet(options.output).equals(before)
    assert run(options).already
    progress = read_progress(options.output)
    assert (progress.state, progress.scored, progress.rows) == ("stopped", 8, ROWS)
    with pytest.raises(JobConflictError, match=r"--retry was image_missing,image_unreadable and is image_missing"):
        run(options, retry=("image_missing",))
    assert run(options, retry=BOTH).scored == 12


def test_there_must_be_something_to_retry(options, tmp_path):
    with pytest.raises(UsageError, match=r"no finished output .*none(\.parquet)? to retry: leave out --retry"):
        run(options, output=tmp_path / "none.parquet", retry=BOTH)
    with pytest.raises(JobConflictError, match="--prefix was not given and is x_"):
        run(options, corpus=replace(options.corpus, prefix="x_"), retry=BOTH)
    with pytest.raises(UsageError, match="--retry takes the statuses image_missing and image_unreadable, not 'ok'"):
        replace(options, retry=("image_missing", "ok"))
    with pytest.raises(UsageError, match="--overwrite"):
        replace(options, retry=BOTH, overwrite=True)
