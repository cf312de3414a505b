"""The job folder, `<output>.job/`: its lock, its finished parts, and how they become the output.

    tweets.scored.parquet.job/
        job.json                     what the job is: fingerprint, posts, when it began
        lock                         held (flock) by the process that works on it
        stdin-<hash>.ndjson          what came from standard input
        part-000000000000.parquet    the posts from 0 on, scored; the next part is named after its first post
        part-000000000000.problems.parquet  those of them that have a problem, where there are any; written first
        staged-000000000000.parquet  the posts of a part, for the workers of a cluster
        part-000000000000.json       in object storage, the line without which the part does not count; written last
        *.tmp                        being written; worthless after a crash

What is not in a part is to be scored, also where a damaged part has left a gap. Every change is made of the steps of
`commit`, so that a kill between any two of them loses at most the part that was being scored.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from sentimm.errors import JobConflictError, OutputError, UsageError
from sentimm.events import Counts
from sentimm.scoring.job_folder.fingerprint import Fingerprint, describe_changes
from sentimm.scoring.job_folder.finished_output import (
    PART,
    SUCCESS,
    FinishedOutput,
    is_single_file,
    list_parts,
    read_output,
    remove_output,
)
from sentimm.scoring.job_folder.job_file import JOB, JobFacts, job_path, read_job, read_own
from sentimm.scoring.job_folder.lock import LOCK, JobLock
from sentimm.scoring.job_folder.parts import FinishedParts, Part, PartWriter, part_path
from sentimm.scoring.output.columns import OutputColumns
from sentimm.scoring.output.parquet_files import FileFacts, read_facts, regroup_parts, write_file
from sentimm.scoring.output.problems import publish_problems
from sentimm.storage import exists, is_folder, is_remote, list_folder, map_remote
from sentimm.storage.atomic import (
    commit_file,
    commit_folder,
    remove_file,
    remove_folder,
    rename_folder,
    writing,
)

_FINAL = "final.tmp"  # the single file while it is put together
_STAGED = re.compile(r"staged-\d{12}\.parquet")
_PROBLEMS = re.compile(r"part-\d{12}\.problems\.parquet")
_LINE = re.compile(r"part-\d{12}\.json")
_STDIN = re.compile(r"stdin-\w+\.ndjson(\.tmp)?")
_OURS = re.compile(
    rf"{re.escape(JOB)}|{LOCK}|{SUCCESS}|{_STDIN.pattern}|{PART.pattern}|{_PROBLEMS.pattern}|{_STAGED.pattern}"
    rf"|{_LINE.pattern}|({re.escape(JOB)}|{SUCCESS}|{PART.pattern}|{_PROBLEMS.pattern}|{_STAGED.pattern})(\.\d+)?\.tmp|{re.escape(_FINAL)}"
)

_log = logging.getLogger(__name__)


class JobFolder:
    """The folder of the job that writes `output`; while the context is entered, it exists and is locked.

    A folder in which no job was begun is gone again when the context is left.

    Attributes:
        output: as given.
        path: the folder.
        stdin: what this command put into it from standard input, for its survey.
        parts: those that are finished, from `begin` on.

    Raises:
        JobConflictError: another process works on it, or the folder holds what sentimm did not write.
        OutputError: it can't be written.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = job_path(output)
        self.stdin: Path | None = None
        self._is_complete = False

    def __enter__(self) -> JobFolder:
        with writing(self.path):
            if not is_folder(self.path):
                commit_folder(self.path)
            names = [entry.name for entry in list_folder(self.path)]
        for name in names:
            if not _OURS.fullmatch(name):
                raise JobConflictError(
                    f"{self.path} holds {name}, which sentimm did not write: choose another name with -o, or move "
                    "it away."
                )
        self._lock = JobLock(self.path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with suppress(OutputError), writing(self.path):  # what is left behind does no harm
                if is_folder(self.path) and read_job(self.path) is None:
                    self._remove_unbegun()
        finally:
            with suppress(OutputError):
                self._lock.release()

    def begin(
        self,
        fingerprint: Fingerprint,
        rows: int,
        columns: OutputColumns,
        metadata: Mapping[str, Any],
        *,
        overwrite: bool,
        retry: Sequence[str] = (),
    ) -> FinishedOutput | None:
        """Begin the job, or go on with it where it stopped: `parts` are then those that are finished.

        Args:
            fingerprint: what decides the output.
            rows: posts of the whole job.
            columns: the output's columns.
            metadata: what the output's files say of themselves, the fingerprint among it.
            overwrite: take away what another job left.
            retry: the job scores posts with these statuses of a finished output again, which it replaces in the end.

        Returns:
            What is in the output, where it is complete already; None where there is something to do.

        Raises:
            JobConflictError: the output or the folder belongs to another job and is not to be overwritten, or sentimm
                did not write it.
            OutputError: the folder can't be written.
            UsageError: there is nothing to retry.
        """
        self._columns = columns
        self._metadata = metadata
        self._schema = columns.arrow_schema
        self._writer = PartWriter(self.path, columns, self._metadata)
        self.parts = FinishedParts(self.path, fingerprint, columns)
        if retry:
            return self._begin_retry(fingerprint, rows, retry)
        job, finished = read_job(self.path), read_output(self.output)
        goes_on = job is not None and not describe_changes(job.fingerprint, fingerprint)
        # The same command goes on, also where --overwrite is part of it.
        anew = overwrite and not (goes_on and job is not None and job.overwrite)
        self._is_complete = read_own(self.path / SUCCESS) is not None
        is_being_copied = goes_on and self._is_complete and finished is not None and not finished.complete
        if not anew and finished is not None and not is_being_copied:
            self._check_same(finished.fingerprint, fingerprint, finished.complete)
            if goes_on:
                self._remove_files(keep_stdin=False)
            return finished
        if not anew and not goes_on and job is not None:
            if list_parts(self.path):
                self._check_same(job.fingerprint, fingerprint)
            anew = True  # of the other job nothing was kept
        self._lock.take()
        with writing(self.output):
            is_empty = finished is None and is_folder(self.output)
        if anew or is_empty:
            remove_output(self.output)
        if anew or job is None:
            self._start(fingerprint, rows, overwrite=overwrite)
        self.parts.find(is_complete=self._is_complete)
        return None

    def _begin_retry(self, fingerprint: Fingerprint, rows: int, retry: Sequence[str]) -> FinishedOutput | None:
        own = {**fingerprint, "retry": sorted(retry)}
        # Of a complete job the earlier output may be gone, or half of it.
        self._is_complete = read_own(self.path / SUCCESS) is not None
        job, finished = read_job(self.path), read_output(self.output)
        if not self._is_complete:
            if finished is None:
                raise UsageError(
                    f"There is no finished output {self.output} to retry: give the command without --retry."
                )
            self._check_same(finished.fingerprint, fingerprint, finished.complete)
            if job is None and not any(finished.counts.statuses[status] for status in retry):
                return finished
            if job is not None and list_parts(self.path):
                self._check_same(job.fingerprint, own)
            self._lock.take()
            if job is None or describe_changes(job.fingerprint, own):
                self._start(own, rows, overwrite=False)
        self._lock.take()
        self.parts.find(is_complete=self._is_complete)
        return None

    def _start(self, fingerprint: Fingerprint, rows: int, *, overwrite: bool) -> None:
        self._remove_files(keep_stdin=True)
        self._is_complete = False
        self._write_job(JobFacts(fingerprint, rows, overwrite, datetime.now(UTC).isoformat(timespec="seconds")))

    def commit_part(self, start: int, frame: pl.DataFrame, problems: pl.DataFrame) -> Part:
        """Write a part: `frame` has the output's columns of the posts from `start` on, `problems` those that have one.

        Raises:
            OutputError: it can't be written.
        """
        self._lock.keep()
        part = self._writer.commit(start, frame, problems)
        self.parts.add(part)
        return part

    def adopt_part(self, start: int, rows: int, counts: Counts) -> Part:
        """Take in the part from `start` on, which a worker committed.

        Raises:
            JobConflictError: another process took the job over.
            OutputError: object storage does not answer.
        """
        self._lock.keep()
        facts = FileFacts(rows, self._metadata["fingerprint"], counts, self._schema)
        part = Part(part_path(self.path, start), start, facts)
        self.parts.add(part)
        return part

    def publish_problems(self, path: Path) -> bool:
        """Write the CSV of all posts so far that have a problem; tells whether there are any.

        Raises:
            JobConflictError, OutputError: see `_check_parts` and `problems.publish_problems`.
        """
        if self._is_complete:  # a kill came behind the publication: what it was made of may be gone
            with writing(path):
                return exists(path)
        self._check_parts()
        return publish_problems(path, [part.problems for part in self.parts if part.problems is not None])

    def find_batch_sizes(self, device: str) -> dict[str, int] | None:
        """Give the batch sizes that this job found for `device`, None where it did not."""
        job = read_job(self.path)
        return None if job is None else job.batch_sizes.get(device)

    def keep_batch_sizes(self, device: str, sizes: Mapping[str, int]) -> None:
        """Keep the batch sizes found for `device`, for when the job goes on another time.

        Raises:
            OutputError: the folder can't be written.
        """
        job = read_job(self.path)
        assert job is not None
        self._write_job(replace(job, batch_sizes={**job.batch_sizes, device: dict(sizes)}))

    def finish(self, assembled: Callable[[int], None]) -> None:
        """Make the output of the finished parts; `assembled` is told how many rows of a single file are there."""
        if not self.parts:
            nothing = pl.DataFrame(schema={**self._columns.kept, **self._columns.added})
            self.commit_part(0, nothing, pl.DataFrame())
        self._check_parts()
        if is_single_file(self.output):
            tables = regroup_parts([part.path for part in self.parts], assembled)
            with commit_file(self.output, temporary=self.path / _FINAL) as temporary:
                write_file(temporary, tables, self._schema, self._metadata, self.parts.counts)
                written = read_facts(temporary)
                if written is None or written.rows != self.parts.rows:
                    raise OutputError(
                        f"{self.path} changed while its parts were put together: let one command at a time work on it."
                    )
            self._remove()
        else:
            with commit_file(self.path / SUCCESS) as temporary:
                temporary.touch()
            self._remove_all(lambda name: name not in (SUCCESS, LOCK) and not PART.fullmatch(name))
            with writing(self.output):
                is_there = exists(self.output)
            self._lock.keep(at_once=True)
            if is_there:  # that of which some posts were scored again
                remove_output(self.output)
            remove_file(self.path / LOCK)
            rename_folder(self.path, self.output, last=SUCCESS)

    def _check_parts(self) -> None:
        """Check that the parts are those of this job alone: others, of a process that was taken over, are removed.

        Raises:
            JobConflictError: another process took the job over, or finished it.
            OutputError: the folder can't be read or written.
        """
        self._lock.keep(at_once=True)
        with writing(self.path):
            there = {path.name for path in list_parts(self.path)}
        own = {part.path.name for part in self.parts}
        if own - there:
            raise JobConflictError(
                f"{self.path} lacks parts that were there: another command finished or replaced this job. Give this "
                "one again."
            )
        for name in there - own:
            remove_file(self.path / name)

    def _check_same(self, before: Fingerprint, now: Fingerprint, complete: bool = True) -> None:
        changes = describe_changes(before, now)
        if not complete:
            changes.append("some of its parts are missing")
        if changes:
            raise JobConflictError(
                f"{self.output} belongs to another job: {'; '.join(changes)}. Choose another name with -o, or replace "
                "it with --overwrite."
            )

    def _write_job(self, job: JobFacts) -> None:
        with commit_file(self.path / JOB) as temporary:
            temporary.write_text(json.dumps(asdict(job), indent=1, ensure_ascii=False), encoding="utf-8")

    def _remove_unbegun(self) -> None:
        if is_remote(self.path):  # nobody is locked out: another command may be in its survey
            own = self.stdin.name if self.stdin is not None else None
            self._remove_all(lambda name: name != LOCK and (name == own or not _STDIN.fullmatch(name)))
        else:
            self._remove()

    def _remove(self) -> None:
        self._remove_files(keep_stdin=False)
        remove_file(self.path / LOCK)
        remove_folder(self.path)

    def _remove_files(self, *, keep_stdin: bool) -> None:
        # First what says that there is a job: without it, the rest is worthless wherever a kill leaves it.
        remove_file(self.path / SUCCESS)
        remove_file(self.path / JOB)
        self._remove_all(lambda name: name != LOCK and not (keep_stdin and _STDIN.fullmatch(name)))

    def _remove_all(self, is_chosen: Callable[[str], bool]) -> None:
        with writing(self.path):
            paths = [self.path / entry.name for entry in list_folder(self.path) if is_chosen(entry.name)]
        for path in paths if not is_remote(self.path) else ():
            remove_file(path)
        for is_line in (True, False) if is_remote(self.path) else ():  # a part without a line does not count
            map_remote(remove_file, [path for path in paths if (_LINE.fullmatch(path.name) is not None) == is_line])
