"""The job folder, `<output>.job/`: its lock, its finished parts, and how they become the output.

What is not in a part is to be scored, also where a damaged part has left a gap. Every change is made of the steps of
`storage.atomic`, so that a kill between any two of them loses at most the part that was being scored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from sentimm.errors import JobConflictError, OutputError, UsageError
from sentimm.events import Counts
from sentimm.scoring.job_folder.decision import Conflict, Done, NothingToRetry, Remains, StartAnew, decide
from sentimm.scoring.job_folder.fingerprint import adopt_inputs
from sentimm.scoring.job_folder.finished_output import (
    PART,
    SUCCESS,
    FinishedOutput,
    is_single_file,
    list_parts,
    read_output,
    remove_output,
)
from sentimm.scoring.job_folder.job_file import (
    FINAL,
    LOCK,
    JobFacts,
    check_ours,
    job_path,
    read_job,
    read_own,
    remove_files,
    remove_job_files,
    remove_job_folder,
    remove_unused_folder,
    write_job,
)
from sentimm.scoring.job_folder.lock import JobLock, lock_job
from sentimm.scoring.job_folder.parts import FinishedParts, Part, PartWriter, part_path
from sentimm.scoring.output.columns import OutputColumns
from sentimm.scoring.output.parquet_files import FileFacts, read_facts, regroup_parts, write_parquet
from sentimm.scoring.output.problems import publish_problems
from sentimm.storage import exists, is_folder
from sentimm.storage.atomic import commit_file, commit_folder, reading, remove_file, rename_folder, writing


@contextmanager
def open_job_folder(output: Path) -> Iterator[JobFolder]:
    """Make and lock the job folder of `output`; one in which no job starts is removed in the end.

    Raises:
        JobConflictError: another process works on the job, or the folder holds what sentimm did not write.
        OutputError: it can't be written.
    """
    path = job_path(output)
    with writing(path):
        if not is_folder(path):
            commit_folder(path)
    check_ours(path)
    folder = JobFolder(output, lock_job(path))
    try:
        yield folder
    finally:
        folder.close()


class JobFolder:
    """The folder of the job that writes `output`; from `open_job_folder`.

    Attributes:
        output: the file or folder that the job writes.
        path: the job folder.
        lock: of the job.
        stdin: what this command put into it from standard input, for its survey.
    """

    def __init__(self, output: Path, lock: JobLock) -> None:
        self.output = output
        self.path = job_path(output)
        self.lock = lock
        self.stdin: Path | None = None

    def close(self) -> None:
        """Release the lock; remove the folder where no job is in it."""
        try:
            with suppress(OutputError), writing(self.path):  # what is left behind does no harm
                if is_folder(self.path) and read_job(self.path) is None:
                    remove_unused_folder(self.path, self.stdin)
        finally:
            with suppress(OutputError):
                self.lock.release()

    def begin(
        self,
        rows: int,
        columns: OutputColumns,
        metadata: Mapping[str, Any],
        *,
        overwrite: bool,
        retry: Sequence[str] = (),
    ) -> FinishedOutput | Job:
        """Start the job, or resume it where it stopped.

        Args:
            rows: posts of the whole job.
            columns: the output's columns.
            metadata: what the output's files say of themselves; its `fingerprint` decides the output.
            overwrite: replace what another job left.
            retry: the job scores posts with these statuses of a finished output again, which it replaces in the end.

        Returns:
            What is in the output, where it is complete already; else the job.

        Raises:
            JobConflictError: the output or the folder belongs to another job and is not to be overwritten, or sentimm
                did not write it.
            OutputError: the folder can't be read or written.
            UsageError: there is nothing to retry.
        """
        remains = self._read_remains()
        for stored in (remains.finished, remains.job):
            if stored is not None:
                metadata = {**metadata, "fingerprint": adopt_inputs(stored.fingerprint, metadata["fingerprint"])}
        decision = decide(remains, metadata["fingerprint"], overwrite=overwrite, retry=retry)
        match decision:
            case NothingToRetry():
                raise UsageError(f"There is no finished output {self.output} to retry: leave out --retry.")
            case Conflict(changes):
                raise JobConflictError(
                    f"{self.output} belongs to another job: {'; '.join(changes)}. Choose another name with -o, or "
                    "replace it with --overwrite."
                )
            case Done(finished, has_leftovers):
                if has_leftovers:
                    remove_job_files(self.path)
                return finished
        self.lock.take()
        with reading(self.output):
            is_empty = remains.finished is None and is_folder(self.output)
        if is_empty or (isinstance(decision, StartAnew) and decision.replaces_output):
            remove_output(self.output)
        if isinstance(decision, StartAnew):
            remove_job_files(self.path, keep_stdin=True)
            started = datetime.now(UTC).isoformat(timespec="seconds")
            write_job(self.path, JobFacts(decision.fingerprint, rows, overwrite, started))
        return Job(self, columns, metadata, is_complete=remains.is_complete and not isinstance(decision, StartAnew))

    def _read_remains(self) -> Remains:
        job, finished = read_job(self.path), read_output(self.output)
        with reading(self.path):
            has_parts = job is not None and bool(list_parts(self.path))
        return Remains(job, has_parts, read_own(self.path / SUCCESS) is not None, finished)


class Job:
    """A job in its locked folder: takes in scored posts, and makes the output of them.

    Args:
        folder: of the job.
        columns: the output's columns.
        metadata: what the output's files say of themselves.
        is_complete: the folder is a whole output, but for its name: the command before was killed in the end.

    Attributes:
        output: the file or folder that it writes.
        path: the job folder.
        parts: those that are finished.
        metadata: what the output's files say of themselves.

    Raises:
        OutputError: the folder can't be read, or a damaged part not be removed.
    """

    def __init__(
        self, folder: JobFolder, columns: OutputColumns, metadata: Mapping[str, Any], *, is_complete: bool
    ) -> None:
        self.output = folder.output
        self.path = folder.path
        self.parts = FinishedParts(folder.path, metadata["fingerprint"], columns)
        self._lock = folder.lock
        self._columns = columns
        self.metadata = metadata
        self._schema = columns.arrow_schema
        self._writer = PartWriter(folder.path, columns, metadata)
        self._is_complete = is_complete
        self.parts.find(is_complete=is_complete)

    def commit_part(self, start: int, frame: pl.DataFrame, problems: pl.DataFrame) -> Part:
        """Write a part: `frame` has the output's columns of the posts from `start` on, `problems` those that have one.

        Raises:
            JobConflictError: another process took over the job.
            OutputError: it can't be written.
        """
        self._lock.renew()
        part = self._writer.commit(start, frame, problems)
        self.parts.add(part)
        return part

    def adopt_part(self, start: int, rows: int, counts: Counts) -> Part:
        """Take in the part from `start` on, which a worker committed.

        Raises:
            JobConflictError: another process took over the job.
            OutputError: object storage does not answer.
        """
        self._lock.renew()
        facts = FileFacts(rows, self.metadata["fingerprint"], counts, self._schema)
        part = Part(part_path(self.path, start), start, facts)
        self.parts.add(part)
        return part

    def find_batch_sizes(self, device: str) -> dict[str, int] | None:
        """Return the batch sizes that this job found for `device`, None where it did not."""
        job = read_job(self.path)
        return None if job is None else job.batch_sizes.get(device)

    def keep_batch_sizes(self, device: str, sizes: Mapping[str, int]) -> None:
        """Keep the batch sizes found for `device`, for when the job is resumed.

        Raises:
            OutputError: the folder can't be written.
        """
        job = read_job(self.path)
        assert job is not None
        write_job(self.path, replace(job, batch_sizes={**job.batch_sizes, device: dict(sizes)}))

    def publish_problems(self, path: Path) -> bool:
        """Write the CSV of all posts so far that have a problem; return whether there are any.

        Raises:
            JobConflictError, OutputError: see `_check_parts` and `problems.publish_problems`.
        """
        if self._is_complete:  # a kill came after the publication: what it was made of may be gone
            with reading(path):
                return exists(path)
        self._check_parts()
        return publish_problems(path, [part.problems for part in self.parts if part.problems is not None])

    def finish(self, assembled: Callable[[int], None]) -> None:
        """Make the output of the finished parts; `assembled` hears how many rows of a single file are there.

        Raises:
            JobConflictError: another process took over the job, or finished it.
            OutputError: the output can't be written.
        """
        if not self.parts:
            nothing = pl.DataFrame(schema={**self._columns.own, **self._columns.added})
            self.commit_part(0, nothing, pl.DataFrame())
        self._check_parts()
        if is_single_file(self.output):
            self._assemble_file(assembled)
        else:
            self._move_folder()

    def _assemble_file(self, assembled: Callable[[int], None]) -> None:
        tables = regroup_parts([part.path for part in self.parts], assembled)
        with commit_file(self.output, temporary=self.path / FINAL) as temporary:
            write_parquet(temporary, tables, self._schema, self.metadata, self.parts.counts)
            written = read_facts(temporary)
            if written is None or written.rows != self.parts.rows:
                raise OutputError(
                    f"{self.path} changed while its parts were put together: run one command at a time on it."
                )
        remove_job_folder(self.path)

    def _move_folder(self) -> None:
        with commit_file(self.path / SUCCESS) as temporary:
            temporary.touch()
        remove_files(self.path, lambda name: name not in (SUCCESS, LOCK) and not PART.fullmatch(name))
        with reading(self.output):
            is_there = exists(self.output)
        self._lock.renew(at_once=True)
        if is_there:  # that of which some posts were scored again
            remove_output(self.output)
        remove_file(self.path / LOCK)
        rename_folder(self.path, self.output, last=SUCCESS)

    def _check_parts(self) -> None:
        """Check that the parts are those of this job alone: others, of a process that was taken over, are removed.

        Raises:
            JobConflictError: another process took over the job, or finished it.
            OutputError: the folder can't be read or written.
        """
        self._lock.renew(at_once=True)
        with reading(self.path):
            there = {path.name for path in list_parts(self.path)}
        own = {part.path.name for part in self.parts}
        if own - there:
            raise JobConflictError(
                f"{self.path} has lost parts: another command finished or replaced this job. Run this one again."
            )
        for name in there - own:
            remove_file(self.path / name)
