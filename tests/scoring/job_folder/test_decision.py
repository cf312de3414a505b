"""What a command does with what earlier ones left: every branch of `decide`."""

from __future__ import annotations

from typing import Any

import pytest

from sentimm.events import Counts
from sentimm.scoring.job_folder.decision import (
    Conflict,
    Decision,
    Done,
    GoOn,
    NothingToRetry,
    Remains,
    StartAnew,
    decide,
)
from sentimm.scoring.job_folder.finished_output import FinishedOutput
from sentimm.scoring.job_folder.job_file import JobFacts


def fingerprint(precision: str, **more: Any) -> dict[str, Any]:
    return {
        "inputs": [],
        "model": {"name": "tiny", "digest": "1"},
        "precision": precision,
        "options": {},
        **more,
    }


MINE, OTHER = fingerprint("fp32"), fingerprint("int8")
RETRIED = fingerprint("fp32", retry=["image_missing"])
RETRIED_OTHERWISE = fingerprint("fp32", retry=["image_unreadable"])

WAS_INT8 = "the precision was int8 and is fp32"
LACKS_PARTS = "some of its parts are missing"
RETRY_BEGINS = "--retry was not given and is image_missing"
RETRY_CHANGED = "--retry was image_unreadable and is image_missing"


def job(of: dict[str, Any], overwrite: bool = False) -> JobFacts:
    return JobFacts(of, 10, overwrite, "2026-01-01T00:00:00+00:00")


def output(of: dict[str, Any], complete: bool = True, missing: int = 0) -> FinishedOutput:
    return FinishedOutput(of, 10, Counts({}, {}, {"image_missing": missing, "image_unreadable": 0}), complete)


NOTHING = Remains()
MY_OUTPUT = Remains(finished=output(MINE, missing=3))

PLAIN: dict[str, tuple[Remains, Decision]] = {
    "nothing is there": (NOTHING, StartAnew(MINE)),
    "my output": (MY_OUTPUT, Done(output(MINE, missing=3))),
    "my output and what is left of its job": (
        Remains(job(MINE), has_parts=True, finished=output(MINE)),
        Done(output(MINE), has_leftovers=True),
    ),
    "my output and another job": (Remains(job(OTHER), has_parts=True, finished=output(MINE)), Done(output(MINE))),
    "my output, half of it removed": (Remains(finished=output(MINE, complete=False)), Conflict((LACKS_PARTS,))),
    "another output": (Remains(finished=output(OTHER)), Conflict((WAS_INT8,))),
    "another output, half of it removed": (
        Remains(finished=output(OTHER, complete=False)),
        Conflict((WAS_INT8, LACKS_PARTS)),
    ),
    "another output and my job": (Remains(job(MINE), finished=output(OTHER)), Conflict((WAS_INT8,))),
    "my job without parts": (Remains(job(MINE)), GoOn()),
    "my job with parts": (Remains(job(MINE), has_parts=True), GoOn()),
    "my job, complete": (Remains(job(MINE), has_parts=True, is_complete=True), GoOn()),
    "my job, on its way to the output": (
        Remains(job(MINE), has_parts=True, is_complete=True, finished=output(MINE, complete=False)),
        GoOn(),
    ),
    "my job and half an output that it does not replace": (
        Remains(job(MINE), has_parts=True, finished=output(MINE, complete=False)),
        Conflict((LACKS_PARTS,)),
    ),
    "another job without parts": (Remains(job(OTHER)), StartAnew(MINE, replaces_output=True)),
    "another job with parts": (Remains(job(OTHER), has_parts=True), Conflict((WAS_INT8,))),
    "a job that retries": (
        Remains(job(RETRIED), has_parts=True),
        Conflict(("--retry was image_missing and is not given",)),
    ),
}

OVERWRITE: dict[str, tuple[Remains, Decision]] = {
    "nothing is there": (NOTHING, StartAnew(MINE, replaces_output=True)),
    "my output": (MY_OUTPUT, StartAnew(MINE, replaces_output=True)),
    "another output": (Remains(finished=output(OTHER)), StartAnew(MINE, replaces_output=True)),
    "another job with parts": (Remains(job(OTHER), has_parts=True), StartAnew(MINE, replaces_output=True)),
    "my job of a command without --overwrite": (
        Remains(job(MINE), has_parts=True),
        StartAnew(MINE, replaces_output=True),
    ),
    "my job of this very command": (Remains(job(MINE, overwrite=True), has_parts=True), GoOn()),
    "the output of this very command, with what is left of its job": (
        Remains(job(MINE, overwrite=True), has_parts=True, finished=output(MINE)),
        Done(output(MINE), has_leftovers=True),
    ),
}

RETRY: dict[str, tuple[Remains, Decision]] = {
    "nothing is there": (NOTHING, NothingToRetry()),
    "a job without an output": (Remains(job(MINE), has_parts=True), NothingToRetry()),
    "my output": (MY_OUTPUT, StartAnew(RETRIED)),
    "my output without such posts": (Remains(finished=output(MINE)), Done(output(MINE))),
    "my output, half of it removed": (Remains(finished=output(MINE, complete=False)), Conflict((LACKS_PARTS,))),
    "another output": (Remains(finished=output(OTHER, missing=3)), Conflict((WAS_INT8,))),
    "my output and this very job": (Remains(job(RETRIED), has_parts=True, finished=output(MINE, missing=3)), GoOn()),
    "my output and a job that retries others": (
        Remains(job(RETRIED_OTHERWISE), has_parts=True, finished=output(MINE, missing=3)),
        Conflict((RETRY_CHANGED,)),
    ),
    "my output and what is left of its job": (
        Remains(job(MINE), has_parts=True, finished=output(MINE, missing=3)),
        Conflict((RETRY_BEGINS,)),
    ),
    "my output and another job without parts": (
        Remains(job(OTHER), finished=output(MINE, missing=3)),
        StartAnew(RETRIED),
    ),
    "this very job, complete": (
        Remains(job(RETRIED), has_parts=True, is_complete=True, finished=output(MINE, complete=False)),
        GoOn(),
    ),
    "this very job, complete, without job.json": (Remains(job(MINE), has_parts=True, is_complete=True), GoOn()),
    "a complete job that can't be read": (Remains(is_complete=True), GoOn()),
    "another job, complete": (Remains(job(OTHER), has_parts=True, is_complete=True), Conflict((WAS_INT8,))),
}


@pytest.mark.parametrize(("remains", "decision"), PLAIN.values(), ids=PLAIN)
def test_a_command(remains, decision):
    assert decide(remains, MINE) == decision


@pytest.mark.parametrize(("remains", "decision"), OVERWRITE.values(), ids=OVERWRITE)
def test_a_command_that_overwrites(remains, decision):
    assert decide(remains, MINE, overwrite=True) == decision


@pytest.mark.parametrize(("remains", "decision"), RETRY.values(), ids=RETRY)
def test_a_command_that_retries(remains, decision):
    assert decide(remains, MINE, retry=["image_missing"]) == decision
