"""The job folder, `<output>.job/`: its lock, its finished parts, and how they become the output.

    tweets.scored.parquet.job/
        job.json                     what the job is: fingerprint, posts, when it began
        lock                         held (flock) by the process that works on it
        stdin-<hash>.ndjson          what came from standard input
        part-000000000000.parquet    the posts from 0 on, scored; the next part is named after its first post
        part-000000000000.problems.parquet  those of them that have a problem, where there are any; written first
        staged-000000000000.parquet  the posts of a part, for the workers of a cluster
        *.tmp                        being written; worthless after a crash

What is not in a part is to be scored, also where a damaged part has left a gap. Every change is made of the steps of
`commit`, so that a kill between any two of them loses at most the part that was being scored.
"""

from __future__ import annotations

import bisect
import json
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

import polars as pl

from sentimm.errors import JobConflictError, OutputError, UsageError
from sentimm.events import Counts
from sentimm.scoring.commit import (
    TEMPORARY,
    commit_file,
    commit_folder,
    remove_file,
    remove_folder,
    rename_folder,
    writing,
)
from sentimm.scoring.fingerprint import Fingerprint, describe_changes
from sentimm.scoring.finished import (
    PART,
    SUCCESS,
    FinishedOutput,
    is_single_file,
    list_parts,
    read_output,
    remove_output,
)
from sentimm.scoring.output import (
    FileFacts,
    OutputColumns,
    add_counts,
    is_whole,
    read_facts,
    regroup_parts,
    write_file,
)
from sentimm.scoring.problems import count_problems, holds_problems, publish_problems, write_problems

try:
    import fcntl
except ImportError:  # Windows has no flock
    fcntl = None  # type: ignore[assignment]

_JOB = "job.json"
_LOCK = "lock"
_FINAL = "final.tmp"  # the single file while it is put together
_STAGED = re.compile(r"staged-\d{12}\.parquet")
_PROBLEMS = re.compile(r"part-\d{12}\.problems\.parquet")
_STDIN = re.compile(r"stdin-\w+\.ndjson(\.tmp)?")
_OURS = re.compile(
    rf"{re.escape(_JOB)}|{_LOCK}|{SUCCESS}|{_STDIN.pattern}|{PART.pattern}|{_PROBLEMS.pattern}|{_STAGED.pattern}"
    rf"|({re.escape(_JOB)}|{SUCCESS}|{PART.pattern}|{_PROBLEMS.pattern}|{_STAGED.pattern})(\.\d+)?\.tmp|{re.escape(_FINAL)}"
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobFacts:
    """What job.json says.

    Attributes:
        fingerprint: what decides the output.
        rows: posts.
        overwrite: the job was begun by a command with --overwrite.
        started: when, in ISO 8601.
        batch_sizes: what `--batch-size auto` found for a device, by modality.
    """

    fingerprint: Fingerprint
    rows: int
    overwrite: bool
    started: str
    batch_sizes: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """A finished part: the posts from `start` up to `end`, and where those with a problem are listed."""

    path: Path
    start: int
    facts: FileFacts

    @property
    def end(self) -> int:
        """The first post behind it."""
        return self.start + self.facts.rows

    @property
    def problems(self) -> Path | None:
        """The list of its posts that have a problem; None where none has."""
        return self.path.with_suffix(".problems.parquet") if count_problems(self.facts.counts) else None


def job_path(output: Path) -> Path:
    """Return the path of the job folder of `output`."""
    return output.with_name(f"{output.name}.job")


def read_job(folder: Path) -> JobFacts | None:
    """Read what the job in `folder` is; None where none was begun."""
    with suppress(OSError, ValueError, TypeError):
        return JobFacts(**json.loads((folder / _JOB).read_text(encoding="utf-8")))
    if (folder / SUCCESS).exists():  # a complete folder of parts loses its job.json before it gets its final name
        parts = [facts for facts in map(read_facts, list_parts(folder)) if facts is not None]
        if parts:
            return JobFacts(parts[0].fingerprint, sum(part.rows for part in parts), overwrite=True, started="")
    return None


def is_locked(folder: Path) -> bool:
    """Tell whether a process works on the job in `folder`."""
    if fcntl is None:
        return False
    try:
        with (folder / _LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def part_path(folder: Path, start: int) -> Path:
    """Return the path of the part of a job that begins with the post `start`."""
    return folder / f"part-{start:012d}.parquet"


def stage_path(folder: Path, start: int) -> Path:
    """Return the path of the posts that are staged for that part."""
    return folder / f"staged-{start:012d}.parquet"


class PartWriter:
    """Writes the parts of a job.

    Args:
        folder: the job folder.
        columns: the output's columns.
        metadata: what the parts say of themselves, the fingerprint among it.
        suffix: of temporary names, where several processes write.
    """

    def __init__(self, folder: Path, columns: OutputColumns, metadata: Mapping[str, Any], suffix: str = "") -> None:
        self._folder = folder
        self._columns = columns
        self._metadata = metadata
        self._suffix = suffix

    def has(self, start: int, rows: int) -> bool:
        """Tell whether the part from `start` on is there, with so many rows."""
        path = part_path(self._folder, start)
        with suppress(OSError):
            facts = read_facts(path) if path.exists() else None
            return facts is not None and facts.rows == rows and facts.fingerprint == self._metadata["fingerprint"]
        return False

    def commit(self, start: int, frame: pl.DataFrame, problems: pl.DataFrame) -> Part:
        """Write a part: `frame` has the output's columns of the posts from `start` on, `problems` those that have one.

        Raises:
            OutputError: it can't be written.
        """
        table, counts = frame.to_arrow(), self._columns.count(frame)
        facts = FileFacts(len(frame), self._metadata["fingerprint"], counts, table.schema)
        part = Part(part_path(self._folder, start), start, facts)
        if part.problems is not None:
            write_problems(part.problems, problems, self._temporary(part.problems))
        with commit_file(part.path, self._temporary(part.path)) as temporary:
            write_file(temporary, [table], table.schema, self._metadata, counts)
        return part

    def _temporary(self, path: Path) -> Path:
        return path.with_name(f"{path.name}{self._suffix}{TEMPORARY}")


class JobFolder:
    """The folder of the job that writes `output`; while the context is entered, it exists and is locked.

    A folder in which no job was begun is gone again when the context is left.

    Attributes:
        output: as given.
        path: the folder.
        parts: those that are finished, in order.
        damaged: how many parts there were that can't be used.

    Raises:
        JobConflictError: another process works on it, or the folder holds what sentimm did not write.
        OutputError: it can't be written.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = job_path(output)
        self.parts: list[Part] = []
        self.damaged = 0
        self._rows = 0
        self._is_complete = False
        self._lock: IO[str] | None = None

    def __enter__(self) -> JobFolder:
        if not self.path.is_dir():
            commit_folder(self.path)
        for path in self.path.iterdir():
            if not _OURS.fullmatch(path.name):
                raise JobConflictError(
                    f"{self.path} holds {path.name}, which sentimm did not write: choose another name with -o, or move "
                    "it away."
                )
        self._lock = self._take_lock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.path.is_dir() and read_job(self.path) is None:
                with suppress(OutputError):  # what is left behind does no harm
                    self._remove()
        finally:
            if self._lock is not None:
                self._lock.close()

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
        if retry:
            return self._begin_retry(fingerprint, rows, retry)
        job, finished = read_job(self.path), read_output(self.output)
        goes_on = job is not None and not describe_changes(job.fingerprint, fingerprint)
        # The same command goes on, also where --overwrite is part of it.
        anew = overwrite and not (goes_on and job is not None and job.overwrite)
        if not anew and finished is not None:
            self._check_same(finished.fingerprint, fingerprint, finished.complete)
            if goes_on:
                self._remove_files(keep_stdin=False)
            return finished
        if not anew and not goes_on and job is not None:
            if list_parts(self.path):
                self._check_same(job.fingerprint, fingerprint)
            anew = True  # of the other job nothing was kept
        if anew or (finished is None and self.output.is_dir()):
            remove_output(self.output)
        if anew or job is None:
            self._start(fingerprint, rows, overwrite=overwrite)
        self._is_complete = (self.path / SUCCESS).exists()
        self._find_parts(fingerprint)
        return None

    def _begin_retry(self, fingerprint: Fingerprint, rows: int, retry: Sequence[str]) -> FinishedOutput | None:
        own = {**fingerprint, "retry": sorted(retry)}
        self._is_complete = (self.path / SUCCESS).exists()  # then the earlier output may be gone, or half of it
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
            if job is None or describe_changes(job.fingerprint, own):
                self._start(own, rows, overwrite=False)
        self._find_parts(fingerprint)
        return None

    def _start(self, fingerprint: Fingerprint, rows: int, *, overwrite: bool) -> None:
        self._remove_files(keep_stdin=True)
        self._write_job(JobFacts(fingerprint, rows, overwrite, datetime.now(UTC).isoformat(timespec="seconds")))

    @property
    def rows(self) -> int:
        """How many posts are in the finished parts."""
        return self._rows

    def find_gaps(self, rows: int) -> list[tuple[int, int]]:
        """Find the posts that are in no part, of a job of so many: those from a first one up to another one."""
        starts = [*(part.start for part in self.parts), rows]
        ends = [0, *(part.end for part in self.parts)]
        return [(end, start) for end, start in zip(ends, starts, strict=True) if end < start]

    @property
    def counts(self) -> Counts:
        """The counts of the finished parts."""
        return add_counts((part.facts.counts for part in self.parts), self._columns.labels)

    def commit_part(self, start: int, frame: pl.DataFrame, problems: pl.DataFrame) -> Part:
        """Write a part: `frame` has the output's columns of the posts from `start` on, `problems` those that have one.

        Raises:
            OutputError: it can't be written.
        """
        part = self._writer.commit(start, frame, problems)
        self._add(part)
        return part

    def adopt_part(self, start: int) -> Part:
        """Take in the part from `start` on, which a worker committed.

        Raises:
            OutputError: it is not there.
        """
        path = part_path(self.path, start)
        with writing(path):
            facts = read_facts(path)
        if facts is None:
            raise OutputError(f"{path} was written by a worker and is damaged: the same command goes on.")
        part = Part(path, start, facts)
        self._add(part)
        return part

    def _add(self, part: Part) -> None:
        # There may be hundreds of thousands: what they have in common is one object.
        facts = replace(part.facts, fingerprint=self._metadata["fingerprint"], schema=self._schema)
        bisect.insort(self.parts, replace(part, facts=facts), key=lambda each: each.start)
        self._rows += facts.rows

    def publish_problems(self, path: Path) -> bool:
        """Write the CSV of all posts so far that have a problem; tells whether there are any.

        Raises:
            JobConflictError, OutputError: see `problems.publish_problems`.
        """
        if self._is_complete:  # a kill came behind the publication: what it was made of may be gone
            return path.exists()
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
        if is_single_file(self.output):
            tables = regroup_parts([part.path for part in self.parts], assembled)
            with commit_file(self.output, temporary=self.path / _FINAL) as temporary:
                write_file(temporary, tables, self._schema, self._metadata, self.counts)
            self._remove()
        else:
            with commit_file(self.path / SUCCESS) as temporary:
                temporary.touch()
            for path in list(self.path.iterdir()):
                if path.name != SUCCESS and not PART.fullmatch(path.name):
                    remove_file(path)
            if self.output.exists():  # that of which some posts were scored again
                remove_output(self.output)
            rename_folder(self.path, self.output)

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
        with commit_file(self.path / _JOB) as temporary:
            temporary.write_text(json.dumps(asdict(job), indent=1, ensure_ascii=False), encoding="utf-8")

    def _find_parts(self, fingerprint: Fingerprint) -> None:
        """Take the finished parts; those that are damaged, or do not fit, are removed."""
        self.parts, self.damaged, self._rows = [], 0, 0
        for path in list_parts(self.path):
            start, facts = int(path.stem.removeprefix("part-")), read_facts(path)
            part = None if facts is None else Part(path, start, facts)
            if part is not None and self._fits(part, fingerprint) and self._is_whole(part):
                self._add(part)
            else:
                _log.warning("%s is damaged: its posts are scored again", path)
                self.damaged += 1
                remove_file(path)

    def _fits(self, part: Part, fingerprint: Fingerprint) -> bool:
        is_next = part.start >= (self.parts[-1].end if self.parts else 0)
        return is_next and part.facts.fingerprint == fingerprint and part.facts.schema == self._schema

    def _is_whole(self, part: Part) -> bool:
        with writing(part.path):
            has_problems = self._is_complete or part.problems is None
            return is_whole(part.path) and (
                has_problems or holds_problems(cast(Path, part.problems), count_problems(part.facts.counts))
            )

    def _remove(self) -> None:
        self._remove_files(keep_stdin=False)
        remove_file(self.path / _LOCK)
        remove_folder(self.path)

    def _remove_files(self, *, keep_stdin: bool) -> None:
        # First what says that there is a job: without it, the rest is worthless wherever a kill leaves it.
        remove_file(self.path / SUCCESS)
        remove_file(self.path / _JOB)
        for path in list(self.path.iterdir()):
            if path.name != _LOCK and not (keep_stdin and _STDIN.fullmatch(path.name)):
                remove_file(path)

    def _take_lock(self) -> IO[str]:
        path = self.path / _LOCK
        with writing(self.path):
            while True:
                file = path.open("a")
                try:
                    if fcntl is not None:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    file.close()
                    raise JobConflictError(
                        f"Another process is working on {self.output}: wait for it, or choose another name with -o."
                    ) from None
                except OSError as error:  # a file system without locks
                    _log.warning("%s can't be locked: %s", path, error)
                if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    return file
                file.close()  # its holder finished, and removed it, in between
