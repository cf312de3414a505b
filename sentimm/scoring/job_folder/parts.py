"""The parts of a job: their names, those that are finished, and writing them.

In object storage nothing can be renamed, and reading a part to see whether it is whole costs as much as fetching it.
There a part counts once its line is there, a small file that is written behind it: how many bytes and posts it has, and
what they count up to.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from sentimm.events import Counts
from sentimm.scoring.job_folder.fingerprint import Fingerprint
from sentimm.scoring.job_folder.finished_output import PART
from sentimm.scoring.output.columns import OutputColumns, add_counts
from sentimm.scoring.output.parquet_files import FileFacts, is_whole, read_facts, write_parquet
from sentimm.scoring.output.problems import count_problems, holds_problems, write_problems
from sentimm.storage import Entry, is_remote, list_folder, read_bytes, store_of
from sentimm.storage.atomic import TEMPORARY, commit_file, reading, remove_file, write_file

_log = logging.getLogger(__name__)


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


def part_path(folder: Path, start: int) -> Path:
    """Return the path of the part of a job that begins with the post `start`."""
    return folder / f"part-{start:012d}.parquet"


def stage_path(folder: Path, start: int) -> Path:
    """Return the path of the posts that are staged for that part."""
    return folder / f"staged-{start:012d}.parquet"


@dataclass(frozen=True)
class PartLine:
    """The line of a part in object storage.

    Attributes:
        job: a hash of the job's fingerprint and the columns of its output.
        bytes: of the part.
        rows: its posts.
        counts: what they count up to.
        time: when it was written, in seconds since 1970.
    """

    job: str
    bytes: int
    rows: int
    counts: Counts
    time: float

    def find_facts(self, fingerprint: Fingerprint, schema: pa.Schema) -> FileFacts | None:
        """Return what the part says of itself; None where it belongs to another job."""
        if self.job != _digest(fingerprint, schema):
            return None
        return FileFacts(self.rows, fingerprint, self.counts, schema)


def line_path(part: Path) -> Path:
    """Return the path of the line of a part in object storage."""
    return part.with_suffix(".json")


def read_line(part: Path) -> PartLine | None:
    """Read the line of a part in object storage; None where it has none.

    Raises:
        OSError: it can't be read.
    """
    try:
        line = json.loads(read_bytes(line_path(part)))
        return PartLine(**{**line, "counts": Counts(**line["counts"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _digest(fingerprint: Fingerprint, schema: pa.Schema) -> str:
    job = json.dumps([fingerprint, schema.to_string()], sort_keys=True)
    return hashlib.sha256(job.encode(errors="surrogatepass")).hexdigest()


class FinishedParts:
    """The finished parts of a job, in order.

    Args:
        folder: the job folder.
        fingerprint: what decides the job's output.
        columns: the output's columns.

    Attributes:
        rows: how many posts are in them.
        damaged: how many parts there were that can't be used.
    """

    def __init__(self, folder: Path, fingerprint: Fingerprint, columns: OutputColumns) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._schema = columns.arrow_schema
        self._labels = columns.labels
        self._parts: list[Part] = []
        self.rows = 0
        self.damaged = 0

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts)

    def add(self, part: Part) -> None:
        """Take in a part."""
        # There may be hundreds of thousands: what they have in common is one object.
        facts = replace(part.facts, fingerprint=self._fingerprint, schema=self._schema)
        bisect.insort(self._parts, replace(part, facts=facts), key=lambda each: each.start)
        self.rows += facts.rows

    @property
    def counts(self) -> Counts:
        """What their posts count up to."""
        return add_counts((part.facts.counts for part in self._parts), self._labels)

    def find_gaps(self, rows: int) -> list[tuple[int, int]]:
        """Find the posts that are in no part, of a job of so many: those from a first one up to another one."""
        starts = [*(part.start for part in self._parts), rows]
        ends = [0, *(part.end for part in self._parts)]
        return [(end, start) for end, start in zip(ends, starts, strict=True) if end < start]

    def find(self, *, is_complete: bool) -> None:
        """Take in the parts in the folder, of a job that `is_complete` or not; those that are damaged are removed.

        Raises:
            OutputError: the folder can't be read or written.
        """
        with reading(self._folder):
            entries = [entry for entry in list_folder(self._folder) if PART.fullmatch(entry.name)]
            read = partial(self._read_facts, is_complete=is_complete)
            found = list(store_of(self._folder).map_files(read, entries))
        for entry, facts in zip(entries, found, strict=True):
            path = self._folder / entry.name
            part = None if facts is None else Part(path, int(path.stem.removeprefix("part-")), facts)
            if part is not None and self._fits(part) and _is_whole(part, is_complete):
                self.add(part)
            else:
                _log.warning("%s is damaged: its posts are scored again", path)
                self.damaged += 1
                if is_remote(path):
                    remove_file(line_path(path))
                remove_file(path)

    def _read_facts(self, part: Entry, *, is_complete: bool) -> FileFacts | None:
        """Read what a part says of itself; None where it is damaged, or has no line in object storage."""
        path = self._folder / part.name
        if not is_remote(path) or is_complete:
            return read_facts(path)
        line = read_line(path)
        if line is None or line.bytes != part.size:
            return None
        return line.find_facts(self._fingerprint, self._schema)

    def _fits(self, part: Part) -> bool:
        is_next = part.start >= (self._parts[-1].end if self._parts else 0)
        return is_next and part.facts.fingerprint == self._fingerprint and part.facts.schema == self._schema


def _is_whole(part: Part, is_complete: bool) -> bool:
    if is_remote(part.path):  # its line says so
        return True
    with reading(part.path):
        if not is_whole(part.path):
            return False
        # Those of a complete job may be gone: its problems are published.
        return is_complete or part.problems is None or holds_problems(part.problems, count_problems(part.facts.counts))


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

    def find(self, start: int, rows: int) -> Part | None:
        """Find the part from `start` on, where it is there with so many rows."""
        path, fingerprint = part_path(self._folder, start), self._metadata["fingerprint"]
        facts = None
        with suppress(OSError):
            if is_remote(path):
                line = read_line(path)
                facts = None if line is None else line.find_facts(fingerprint, self._columns.arrow_schema)
            elif path.exists():
                facts = read_facts(path)
        fits = facts is not None and facts.rows == rows and facts.fingerprint == fingerprint
        return Part(path, start, facts) if facts is not None and fits else None

    def commit(self, start: int, frame: pl.DataFrame, problems: pl.DataFrame) -> Part:
        """Write a part: `frame` has the output's columns of the posts from `start` on, `problems` those that have one.

        Raises:
            OutputError: it can't be written.
        """
        table, counts = frame.to_arrow(), self._columns.count(frame)
        if len(problems):
            counts = replace(counts, partial=problems["row"].n_unique() - count_problems(counts))
        facts = FileFacts(len(frame), self._metadata["fingerprint"], counts, table.schema)
        part = Part(part_path(self._folder, start), start, facts)
        if part.problems is not None:
            write_problems(part.problems, problems, self._temporary(part.problems))
        with commit_file(part.path, self._temporary(part.path)) as temporary:
            write_parquet(temporary, [table], table.schema, self._metadata, counts)
            size = temporary.stat().st_size
        if is_remote(part.path):
            line = PartLine(
                _digest(self._metadata["fingerprint"], table.schema),
                size,
                facts.rows,
                counts,
                time.time(),
            )
            write_file(line_path(part.path), json.dumps(asdict(line)).encode())
        return part

    def _temporary(self, path: Path) -> Path:
        return path.with_name(f"{path.name}{self._suffix}{TEMPORARY}")
