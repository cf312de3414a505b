from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentimm.errors import JobConflictError
from sentimm.events import JobStarted, PostsScored
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job import run_job
from sentimm.scoring.job_folder.folder import open_job_folder
from sentimm.scoring.job_folder.progress import read_progress
from sentimm.scoring.output.problems import name_problems
from tests.support.failures.local_jobs import OUTPUTS, ROWS, Stop, job_folder, read, remove, run, run_partly
from tests.support.failures.steps import Folder, Killed, copying_steps, killed_at
from tests.support.posts import corpora
from tests.support.tiny.bundles import make_bundle


def test_the_same_command_goes_on_where_it_stopped(options):
    run_partly(options, 2)
    assert not options.output.exists()
    events = []
    done = run_job(options, events.append)
    assert [event.done for event in events if isinstance(event, JobStarted)] == [16]
    assert (done.rows, done.scored) == (ROWS, 4)
    assert sum(done.counts.statuses.values()) == ROWS
    assert not job_folder(options).exists()


def test_a_stop_in_the_middle_of_a_part_drops_that_part(options):
    def tell(event):
        if isinstance(event, PostsScored) and event.rows > 8:
            raise Stop

    with pytest.raises(Stop):
        run_job(options, tell)
    assert read_progress(options.output).scored == 8
    run(options)
    assert len(read(options.output)) == ROWS


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_command_given_again_is_already_done(options, tmp_path, name):
    first = run(options, output=tmp_path / name)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*scored*")}
    assert first.problems == name_problems(tmp_path / name)
    again = run(options, output=tmp_path / name)
    assert (again.already, again.scored, again.rows, again.counts) == (True, 0, ROWS, first.counts)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*scored*")} == before


def test_what_may_change_between_resumes_does(options):
    run_partly(options)
    run(options, chunk_rows=3, threads=1, batch_size=2, device="cpu", precision="fp32")
    assert read(options.output)["id"].to_list() == corpora.make_posts(ROWS)["id"].to_list()


@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"prefix": "x_"}, "--prefix was not given and is x_"),
        ({"limit": 15}, "--limit was not given and is 15"),
        ({"columns": ("id",)}, "--columns was not given and is id"),
        ({"only": "text"}, "--only was not given and is text"),
        ({"infer_types": False}, "--no-infer-types was not given and is given"),
        ({"images": None}, "--images was .*images and is not given"),
        ({"text_column": "text"}, "--text-column was not given and is text"),
    ],
)
def test_another_job_is_told_what_changed(options, is_finished, changes, named):
    if is_finished:
        run(options)
    else:
        run_partly(options)
    other = replace(options, corpus=replace(options.corpus, **changes))
    with pytest.raises(JobConflictError, match=rf"belongs to another job: {named}\. .*--overwrite"):
        run(other)
    assert run(options).rows == ROWS
    assert run(other, overwrite=True).rows == changes.get("limit", ROWS)


def test_a_changed_input_or_model_is_another_job(options, tmp_path):
    run(options)
    with pytest.raises(JobConflictError, match="the model was tiny and is other"):
        run(options, model=make_bundle(tmp_path / "other", name="other"))
    with pytest.raises(JobConflictError, match="the model tiny changed"):
        run(options, model=make_bundle(tmp_path / "retrained", seed=7))
    corpora.make_posts(ROWS + 1).write_csv(tmp_path / "posts.csv")
    with pytest.raises(JobConflictError, match=r"posts\.csv changed"):
        run(options)
    corpora.make_posts(ROWS).write_csv(tmp_path / "more.csv")
    with pytest.raises(JobConflictError, match="the number of inputs was 1 and is 2"):
        run(options, inputs=(str(tmp_path / "posts.csv"), str(tmp_path / "more.csv")))


def test_overwrite_scores_again_and_goes_on_when_it_was_stopped(options):
    run(options)
    run_partly(options, overwrite=True)
    assert not options.output.exists()
    done = run(options, overwrite=True)
    assert (done.rows, done.scored) == (ROWS, ROWS - 8)
    assert run(options, overwrite=True).scored == ROWS


def test_overwrite_begins_anew_where_the_job_was_begun_without_it(options):
    run_partly(options)
    assert run(options, overwrite=True).scored == ROWS


def cut(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-9])


def flip_bit(part: Path) -> None:
    content = bytearray(part.read_bytes())
    content[len(content) // 8] ^= 1
    part.write_bytes(content)


def empty(part: Path) -> None:
    part.write_bytes(b"")


def write_nulls(part: Path) -> None:
    """As a power failure may leave a file."""
    part.write_bytes(bytes(part.stat().st_size))


@pytest.mark.slow
@pytest.mark.parametrize("damage", [cut, flip_bit, empty, write_nulls, Path.unlink])
@pytest.mark.parametrize("name", ["part-000000000000.parquet", "part-000000000000.problems.parquet"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_part_that_is_damaged_is_scored_again_and_the_others_are_kept(options, tmp_path, damage, name, output):
    run(options, output=tmp_path / "undisturbed.parquet")
    options = replace(options, output=tmp_path / output)
    run_partly(options, 2)
    damage(job_folder(options) / name)
    events = []
    done = run_job(options, events.append)
    assert [event.damaged for event in events if isinstance(event, JobStarted)] == [
        int(damage is not Path.unlink or "problems" in name)
    ]
    assert (done.scored, done.rows) == (ROWS - 8, ROWS)
    assert read(options.output).equals(read(tmp_path / "undisturbed.parquet"))
    problems = [name_problems(tmp_path / each).read_text() for each in (output, "undisturbed.parquet")]
    assert problems[0] == problems[1]


def test_two_processes_cannot_write_one_job(options):
    with open_job_folder(options.output), pytest.raises(JobConflictError, match="Another process is working on"):
        run(options)
    assert not job_folder(options).exists()
    assert run(options).scored == ROWS


def test_standard_input_is_kept_for_the_next_attempt(options, monkeypatch):
    def pipe(content: str):
        class Stdin:
            buffer = __import__("io").BytesIO(content.encode())

        monkeypatch.setattr(sys, "stdin", Stdin)

    lines = "".join(json.dumps({"text": text}) + "\n" for text in ["good", "bad", "so so"])
    options = replace(options, inputs=("-",), corpus=CorpusOptions(), chunk_rows=1)
    pipe(lines)
    run_partly(options)
    assert len(list(job_folder(options).glob("stdin-*.ndjson"))) == 1
    pipe("{}\n" + lines)
    with pytest.raises(JobConflictError, match="standard input changed"):
        run(options)
    pipe(lines)
    assert run(options).scored == 2
    pipe(lines)
    assert run(options).already
    assert read(options.output)["text"].to_list() == ["good", "bad", "so so"]
    assert not job_folder(options).exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "overwrite"),
    [
        (OUTPUTS[0], False),
        (OUTPUTS[1], True),
        pytest.param(OUTPUTS[0], True, marks=pytest.mark.ci),
        pytest.param(OUTPUTS[1], False, marks=pytest.mark.ci),
    ],
)
def test_a_kill_at_any_step_is_made_good(options, tmp_path, name, overwrite):
    options = replace(options, output=tmp_path / "out" / name, chunk_rows=12)
    run(options)
    expected = read(options.output)
    if not overwrite:
        remove(options.output)
    folder = Folder(options.output.parent)
    with copying_steps(folder.copy) as states:
        run(options, overwrite=overwrite)
    for step, state in enumerate(states, 1):
        folder.restore(state)
        assert overwrite or not options.output.exists() or read_progress(options.output).state == "done"
        run(options, overwrite=overwrite)
        assert read(options.output).equals(expected), f"killed at step {step}"
        assert not job_folder(options).exists()
    assert len(states) > 25


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(0, 30), kills=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12)), max_size=4))
def test_any_kills_and_part_sizes_give_every_row_once(options, tmp_path, rows, kills):
    remove(options.output)
    corpora.make_posts(rows).write_csv(tmp_path / "posts.csv")
    options = replace(options, corpus=replace(options.corpus, allow_missing=True))
    for step, chunk_rows in kills:
        with killed_at(step), suppress(Killed):
            run(options, chunk_rows=chunk_rows)
    run(options)
    scored = read(options.output)
    assert scored["id"].cast(pl.String).to_list() == corpora.make_posts(rows)["id"].to_list()
    assert scored["status"].to_list() == [corpora.STATUSES[row % corpora.KINDS] for row in range(rows)]


def command_line(options: ScoreOptions) -> list[str]:
    return [
        *(sys.executable, "-m", "sentimm", "score", *options.inputs, "--images", str(options.corpus.images)),
        *("-o", str(options.output), "--model", str(options.model), "--chunk-rows", str(options.chunk_rows), "--quiet"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_process_killed_between_two_steps_resumes_to_the_same_rows(options, tmp_path, name):
    options = replace(options, output=tmp_path / name, chunk_rows=12)
    run(options, output=tmp_path / "undisturbed.parquet")
    expected = read(tmp_path / "undisturbed.parquet")
    for step in (2, 14, 25):  # every one: `test_a_kill_at_any_step_is_made_good`
        remove(options.output)
        killed = subprocess.run(
            command_line(options), env={**os.environ, "SENTIMM_FAILPOINT": str(step)}, capture_output=True, text=True
        )
        assert (killed.returncode, killed.stderr) == (86, "")
        run(options)
        assert read(options.output).equals(expected), f"killed at step {step}"
        assert not job_folder(options).exists()
