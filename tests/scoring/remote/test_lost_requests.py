"""Jobs in object storage that are killed, disturbed or taken over: no row is lost."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys

import pytest

from sentimm.errors import (
    JobConflictError,
)
from sentimm.events import PartCommitted
from sentimm.scoring.job import run_job
from sentimm.scoring.job_folder import lock
from sentimm.scoring.job_folder.progress import read_progress
from sentimm.storage import to_path
from tests.support.failures.faults import Faults
from tests.support.failures.steps import Killed, copying_steps
from tests.support.failures.stored_jobs import OUTPUTS, ROWS, make_options, read, score_stored, stored_options

# The command, which waits as little between its attempts as the fixture `impatient` lets this process wait.
IMPATIENT = """
import sys
import botocore.retryhandler
from sentimm.cli.app import main
from sentimm.storage import retrying
botocore.retryhandler.delay_exponential = lambda *_, **__: 0.01
retrying.FIRST_WAIT_S, retrying.LONGEST_WAIT_S = 0.01, 0.05
main(sys.argv[1:])
"""

pytestmark = pytest.mark.usefixtures("impatient")
CI = pytest.mark.ci


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=CI) for seed in (1, 2, 3))])
def test_no_row_is_lost_where_requests_fail_at_random(stored, expected, seed):
    output = OUTPUTS[seed % 2]
    with stored.failing(Faults.evenly(0.25, seed=seed)):
        score_stored(output)
        assert stored.faults.total() > 10
    assert read(stored, output).equals(expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("store", "stride", "output"),
    [
        ("memory", 1, OUTPUTS[0]),
        ("s3", 7, OUTPUTS[1]),
        pytest.param("memory", 1, OUTPUTS[1], marks=CI),
        pytest.param("s3", 7, OUTPUTS[0], marks=CI),
    ],
)
def test_a_job_in_object_storage_that_is_killed_at_any_step_resumes_to_the_same_rows(
    request, corpus, tiny_bundle, expected, monkeypatch, store, stride, output
):
    store = request.getfixturevalue(store)
    options = make_options(
        corpus / "posts.csv", f"{store.url}/{output}", tiny_bundle, corpus / "images", chunk_rows=ROWS // 2
    )
    with copying_steps(store.copy, stride) as states:
        run_job(options, lambda _event: None)
    for step, state in zip(itertools.count(1, stride), states, strict=False):
        store.restore(state)
        run_job(options, lambda _event: None)
        assert read(store, output).equals(expected), f"killed at step {step}"
        left = [key for key in store.list_keys() if ".job/" in key]
        # Where all was done already, the lock of the killed process stays: it locks nobody out.
        assert left in ([], [f"{store.url}/{output}.job/lock"]), f"killed at step {step}"
    assert step > 30


@pytest.mark.slow
def test_a_process_that_is_killed_while_requests_fail_resumes_to_the_same_rows(stored, expected):
    command = [
        *(sys.executable, "-c", IMPATIENT, "score", "s3://posts/posts.csv", "--images", "s3://posts/images"),
        *("--model", "s3://posts/bundle", "-o", "s3://posts/scored", "--chunk-rows", "10", "--quiet"),
    ]
    with stored.failing(Faults.evenly(0.1, seed=7)):
        for step in (11, 30):
            killed = subprocess.run(
                command, env={**os.environ, "SENTIMM_FAILPOINT": str(step)}, capture_output=True, text=True, timeout=120
            )
            assert (killed.returncode, killed.stderr) == (86, "")
        assert read_progress(to_path("s3://posts/scored")).scored > 0
        subprocess.run(command, check=True, timeout=120)
    assert read(stored, "scored").equals(expected)


@pytest.mark.slow
def test_a_part_without_its_line_does_not_count(stored, expected, tiny_bundle):
    stop_after(2, "scored.parquet")
    job = "s3://posts/scored.parquet.job"
    assert f"{job}/part-000000000010.json" in stored.list_keys(job)
    stored.remove(f"{job}/part-000000000010.json")
    line = json.loads(stored.read(f"{job}/part-000000000000.json"))
    assert line["rows"] == 10 and line["bytes"] == len(stored.read(f"{job}/part-000000000000.parquet"))
    progress = read_progress(to_path("s3://posts/scored.parquet"))
    assert (progress.state, progress.scored, progress.rows) == ("stopped", 10, ROWS)
    score_stored("scored.parquet")
    assert read(stored, "scored.parquet").equals(expected)


def stop_after(parts: int, output: str) -> None:
    """Score so many parts, and stop as if killed."""
    left = parts

    def stop(event: object) -> None:
        nonlocal left
        left -= isinstance(event, PartCommitted)
        if not left:
            raise Killed

    with pytest.raises(Killed):
        run_job(stored_options(output), stop)


@pytest.mark.slow
def test_the_last_of_two_processes_has_the_job(stored, expected):
    taken_over = []

    def take_over(event: object) -> None:
        if isinstance(event, PartCommitted) and not taken_over:
            taken_over.append(lock.RemoteLock(to_path("s3://posts/scored.parquet.job")))
            taken_over[0].take()

    with pytest.raises(JobConflictError, match=r"took over the job in s3://posts/scored\.parquet\.job"):
        run_job(stored_options("scored.parquet"), take_over)
    assert read_progress(to_path("s3://posts/scored.parquet")).state == "running"
    taken_over[0].release()
    assert read_progress(to_path("s3://posts/scored.parquet")).state == "stopped"
    score_stored("scored.parquet")
    assert read(stored, "scored.parquet").equals(expected)


@pytest.mark.slow
def test_a_command_that_comes_too_late_removes_nothing(stored, expected):
    """It began while another one put the finished folder in its place."""
    late = []

    def come_late(event: object) -> None:
        if isinstance(event, PartCommitted) and not late:
            late.append("now")
            score_stored("scored")  # takes the job over, and finishes it

    with pytest.raises(JobConflictError, match="another command finished or replaced this job"):
        run_job(stored_options("scored", chunk_rows=24), come_late)
    assert read(stored, "scored").equals(expected)
    assert "s3://posts/scored/_SUCCESS" in stored.list_keys()


@pytest.mark.slow
def test_a_refused_command_leaves_a_running_one_alone(stored, expected):
    refused = []

    def refuse(event: object) -> None:
        if isinstance(event, PartCommitted) and not refused:
            with pytest.raises(JobConflictError):
                score_stored("scored", views=True)
            refused.append(True)

    run_job(stored_options("scored"), refuse)
    assert refused and read(stored, "scored").equals(expected)
