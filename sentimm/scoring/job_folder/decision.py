"""What a command does, given what earlier commands left at its output and in its job folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sentimm.scoring.job_folder.fingerprint import Fingerprint, describe_changes
from sentimm.scoring.job_folder.finished_output import FinishedOutput
from sentimm.scoring.job_folder.job_file import JobFacts


@dataclass(frozen=True)
class Remains:
    """What earlier commands left.

    Attributes:
        job: what job.json says; None where there is no job in the folder.
        has_parts: the job has finished parts.
        is_complete: the job's folder is a whole output, but for its name.
        finished: what the output says of itself; None where there is none.
    """

    job: JobFacts | None = None
    has_parts: bool = False
    is_complete: bool = False
    finished: FinishedOutput | None = None


@dataclass(frozen=True)
class Done:
    """The output is complete already; `has_leftovers`: the folder still holds files of the job that wrote it."""

    finished: FinishedOutput
    has_leftovers: bool = False


@dataclass(frozen=True)
class GoOn:
    """The job in the folder is resumed."""


@dataclass(frozen=True)
class StartAnew:
    """A new job starts, of this fingerprint; `replaces_output`: what is at the output is removed first."""

    fingerprint: Fingerprint
    replaces_output: bool = False


@dataclass(frozen=True)
class Conflict:
    """Output or folder belong to another job: how it differs, in clauses."""

    changes: tuple[str, ...]


@dataclass(frozen=True)
class NothingToRetry:
    """There is no finished output of which posts could be scored again."""


Decision = Done | GoOn | StartAnew | Conflict | NothingToRetry


def decide(
    remains: Remains, fingerprint: Fingerprint, *, overwrite: bool = False, retry: Sequence[str] = ()
) -> Decision:
    """Decide what a command does.

    Args:
        remains: what earlier commands left.
        fingerprint: of the command's job.
        overwrite: it may replace the output of another job.
        retry: it scores posts with these statuses of a finished output again.
    """
    if retry:
        return _decide_retry(remains, fingerprint, retry)
    job, finished = remains.job, remains.finished
    changes = () if job is None else tuple(describe_changes(job.fingerprint, fingerprint))
    is_same_job = job is not None and not changes
    # The same command resumes its job, also where --overwrite is part of it.
    if overwrite and not (job is not None and is_same_job and job.overwrite):
        return StartAnew(fingerprint, replaces_output=True)
    is_being_moved = is_same_job and remains.is_complete and finished is not None and not finished.complete
    if finished is not None and not is_being_moved:
        differences = _compare(finished, fingerprint)
        return Conflict(differences) if differences else Done(finished, has_leftovers=is_same_job)
    if job is None:
        return StartAnew(fingerprint)
    if is_same_job:
        return GoOn()
    return Conflict(changes) if remains.has_parts else StartAnew(fingerprint, replaces_output=True)


def _decide_retry(remains: Remains, fingerprint: Fingerprint, retry: Sequence[str]) -> Decision:
    job, finished = remains.job, remains.finished
    if remains.is_complete:  # the earlier output may be gone, or half of it
        before = {} if job is None else {name: value for name, value in job.fingerprint.items() if name != "retry"}
        changes = describe_changes(before, fingerprint) if before else ()
        return Conflict(tuple(changes)) if changes else GoOn()
    if finished is None:
        return NothingToRetry()
    if differences := _compare(finished, fingerprint):
        return Conflict(differences)
    own = {**fingerprint, "retry": sorted(retry)}
    if job is None:
        has_any = any(finished.counts.statuses[status] for status in retry)
        return StartAnew(own) if has_any else Done(finished)
    if not (changes := describe_changes(job.fingerprint, own)):
        return GoOn()
    return Conflict(tuple(changes)) if remains.has_parts else StartAnew(own)


def _compare(finished: FinishedOutput, fingerprint: Fingerprint) -> tuple[str, ...]:
    changes = describe_changes(finished.fingerprint, fingerprint)
    return (*changes, *(() if finished.complete else ("some of its parts are missing",)))
