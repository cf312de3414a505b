"""How far a job is, seen from outside, while it runs or after it stopped."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sentimm.errors import InputError, JobConflictError
from sentimm.events import Counts
from sentimm.scoring.job_folder.finished_output import SUCCESS, list_parts, read_output
from sentimm.scoring.job_folder.job_file import job_path, read_job
from sentimm.scoring.job_folder.lock import is_locked
from sentimm.scoring.job_folder.parts import read_line
from sentimm.scoring.output.parquet_files import read_facts
from sentimm.storage import exists, is_remote, map_files
from sentimm.storage.atomic import reading


@dataclass(frozen=True)
class JobProgress:
    """How far a job is.

    Attributes:
        state: `done`, `running`, or `stopped` (the same command resumes it).
        rows: posts of the whole job.
        scored: posts in the finished parts, or in the output.
        posts_per_second: lately; None with fewer than two parts, and for a job that does not run.
        last_part_s: seconds since the last part was finished; None: there is none, or the job is done.
        counts: what is in the output, where it is done.
    """

    output: Path
    state: Literal["done", "running", "stopped"]
    rows: int
    scored: int
    posts_per_second: float | None = None
    last_part_s: float | None = None
    counts: Counts | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all fields as `sentimm status --json` prints them."""
        return asdict(self) | {"output": str(self.output)}


_LATELY_PARTS = 8


def read_progress(output: Path) -> JobProgress:
    """Read how far the job is that writes `output`.

    Raises:
        InputError: there is neither an output nor a job, or what is there is not by sentimm.
    """
    folder = job_path(output)
    job = read_job(folder)
    try:
        finished = read_output(output)
    except JobConflictError as error:
        raise InputError(f"{output} was not written by `sentimm score`: name an output, not the posts.") from error
    if finished is not None and finished.complete and (job is None or job.fingerprint == finished.fingerprint):
        return JobProgress(output, "done", finished.rows, finished.rows, counts=finished.counts)
    if job is None:
        raise InputError(f"There is no output and no job at {output}: name the output of a `sentimm score` command.")
    found = []
    with reading(folder):
        parts = list_parts(folder)
        has_lines = is_remote(folder) and not exists(folder / SUCCESS)
        look = _read_line if has_lines else _read_part
        for rows, finished_at in map_files(look, parts):
            if rows is not None:
                found.append((finished_at, rows))
        running = is_locked(folder)
    lately = sorted(found)[-_LATELY_PARTS:]  # parts of several machines come in any order
    rate = None
    if running and len(lately) > 1:
        rate = sum(rows for _, rows in lately[1:]) / max(lately[-1][0] - lately[0][0], 0.001)
    last = max(0.0, time.time() - lately[-1][0]) if lately else None
    scored = sum(rows for _, rows in found)
    return JobProgress(output, "running" if running else "stopped", job.rows, scored, rate, last)


def _read_part(part: Path) -> tuple[int | None, float]:
    """Return how many posts a part has, None where it is damaged, and when it was finished."""
    facts = read_facts(part)
    return None if facts is None else facts.rows, part.stat().st_mtime


def _read_line(part: Path) -> tuple[int | None, float]:
    """Return the same of a part in object storage; None where it does not count."""
    line = read_line(part)
    return (None, 0.0) if line is None else (line.rows, line.time)
