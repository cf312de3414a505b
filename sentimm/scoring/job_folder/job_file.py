"""The files of a job folder: what they are called, what job.json says, and removing them.

tweets.scored.parquet.job/
job.json                     what the job is: fingerprint, posts, when it started
lock                         held (flock) by the process that works on it
stdin-<hash>.ndjson          (or .csv, .tsv) what came from standard input
part-000000000000.parquet    the posts from 0 on, scored; the next part is named after its first post
part-000000000000.problems.parquet  those of them that have a problem, where there are any; written first
staged-000000000000.parquet  the posts of a part, for the workers of a cluster
part-000000000000.json       in object storage, the line without which the part does not count; written last
*.tmp                        being written; worthless after a crash
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sentimm.errors import JobConflictError
from sentimm.scoring.job_folder.fingerprint import Fingerprint
from sentimm.scoring.job_folder.finished_output import PART, SUCCESS, list_parts, read_all_facts
from sentimm.storage import is_remote, list_folder, map_files, read_bytes
from sentimm.storage.atomic import reading, remove_file, remove_folder, write_file

JOB = "job.json"
LOCK = "lock"
FINAL = "final.tmp"  # the single file while it is put together

_STAGED = re.compile(r"staged-\d{12}\.parquet")
_PROBLEMS = re.compile(r"part-\d{12}\.problems\.parquet")
_LINE = re.compile(r"part-\d{12}\.json")
_STDIN = re.compile(r"stdin-\w+\.(?:ndjson|csv|tsv)(\.tmp)?")
_OURS = re.compile(
    rf"{re.escape(JOB)}|{LOCK}|{SUCCESS}|{_STDIN.pattern}|{PART.pattern}|{_PROBLEMS.pattern}|{_STAGED.pattern}"
    rf"|{_LINE.pattern}|({re.escape(JOB)}|{SUCCESS}|{PART.pattern}|{_PROBLEMS.pattern}|{_STAGED.pattern})(\.\d+)?\.tmp|{re.escape(FINAL)}"
)


@dataclass(frozen=True)
class JobFacts:
    """What job.json says.

    Attributes:
        fingerprint: what decides the output.
        rows: posts.
        overwrite: a command with --overwrite started the job.
        started: when, in ISO 8601.
        batch_sizes: what `--batch-size auto` found for a device, by modality.
    """

    fingerprint: Fingerprint
    rows: int
    overwrite: bool
    started: str
    batch_sizes: dict[str, dict[str, int]] = field(default_factory=dict)


def job_path(output: Path) -> Path:
    """Return the path of the job folder of `output`."""
    return output.with_name(f"{output.name}.job")


def read_job(folder: Path) -> JobFacts | None:
    """Read what the job in `folder` is; None where there is none.

    Raises:
        OutputError: it lies in object storage, which does not answer.
    """
    with suppress(ValueError, TypeError):
        if (content := read_own(folder / JOB)) is not None:
            return JobFacts(**json.loads(content))
    # A complete folder of parts loses its job.json before it gets its final name.
    if read_own(folder / SUCCESS) is not None and (parts := read_all_facts(list_parts(folder))):
        return JobFacts(parts[0].fingerprint, sum(part.rows for part in parts), overwrite=True, started="")
    return None


def read_own(path: Path) -> bytes | None:
    """Read a small file of a job; None where it is not there, or is local and can't be read.

    Raises:
        OutputError: as `read_job`.
    """
    try:
        return read_bytes(path)
    except FileNotFoundError:
        return None
    except OSError:
        if is_remote(path):
            with reading(path):
                raise
        return None


def write_job(folder: Path, job: JobFacts) -> None:
    """Write job.json.

    Raises:
        OutputError: it can't be written.
    """
    write_file(folder / JOB, json.dumps(asdict(job), indent=1, ensure_ascii=False).encode())


def check_ours(folder: Path) -> None:
    """Check that a job folder holds files of sentimm alone.

    Raises:
        JobConflictError: it holds others.
        OutputError: it can't be read.
    """
    with reading(folder):
        names = [entry.name for entry in list_folder(folder)]
    for name in names:
        if not _OURS.fullmatch(name):
            raise JobConflictError(
                f"{folder} holds {name}, which sentimm did not write: choose another name with -o, or move it away."
            )


def remove_job_files(folder: Path, *, keep_stdin: bool = False) -> None:
    """Remove all files of a job but its lock and, with `keep_stdin`, what came from standard input.

    Raises:
        OutputError: one can't be removed.
    """
    # First what says that there is a job: without it, the rest is worthless wherever a kill leaves it.
    remove_file(folder / SUCCESS)
    remove_file(folder / JOB)
    remove_files(folder, lambda name: name != LOCK and not (keep_stdin and _STDIN.fullmatch(name)))


def remove_job_folder(folder: Path) -> None:
    """Remove a job and its folder.

    Raises:
        OutputError: it can't be removed.
    """
    remove_job_files(folder)
    remove_file(folder / LOCK)
    remove_folder(folder)


def remove_unused_folder(folder: Path, stdin: Path | None) -> None:
    """Remove a folder in which this command started no job, and what it spooled there from standard input.

    Raises:
        OutputError: it can't be removed.
    """
    if is_remote(folder):  # nobody is locked out: another command may be in its survey
        own = stdin.name if stdin is not None else None
        remove_files(folder, lambda name: name != LOCK and (name == own or not _STDIN.fullmatch(name)))
    else:
        remove_job_folder(folder)


def remove_files(folder: Path, is_unwanted: Callable[[str], bool]) -> None:
    """Remove the files whose names are unwanted.

    Raises:
        OutputError: one can't be removed.
    """
    with reading(folder):
        paths = [folder / entry.name for entry in list_folder(folder) if is_unwanted(entry.name)]
    for is_line in (True, False):  # first the lines of object storage: a part without one does not count
        chosen = [path for path in paths if (_LINE.fullmatch(path.name) is not None) == is_line]
        deque(map_files(remove_file, chosen), maxlen=0)
