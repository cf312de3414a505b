"""A job that was begun: its folder, and what its job.json says that it is."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sentimm.scoring.job_folder.fingerprint import Fingerprint
from sentimm.scoring.job_folder.finished_output import SUCCESS, list_parts, read_all_facts
from sentimm.storage import is_remote, read_bytes
from sentimm.storage.atomic import writing

JOB = "job.json"


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


def job_path(output: Path) -> Path:
    """Return the path of the job folder of `output`."""
    return output.with_name(f"{output.name}.job")


def read_job(folder: Path) -> JobFacts | None:
    """Read what the job in `folder` is; None where none was begun.

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
            with writing(path):
                raise
        return None
