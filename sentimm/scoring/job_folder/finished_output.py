"""Outputs that exist already: whose they are, what they hold, and removing our own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sentimm.errors import JobConflictError
from sentimm.events import Counts
from sentimm.scoring.job_folder.fingerprint import Fingerprint
from sentimm.scoring.output.columns import add_counts
from sentimm.scoring.output.parquet_files import FileFacts, read_facts
from sentimm.storage import is_folder, is_regular, lexists, list_folder, map_files
from sentimm.storage.atomic import reading, remove_file, remove_folder

# Empty, as Spark's and Hadoop's: polars reads a folder with an empty file beside the parts, and refuses it with
# another. The fingerprint is in every part.
SUCCESS = "_SUCCESS"
PART = re.compile(r"part-(\d{12})\.parquet")


@dataclass(frozen=True)
class FinishedOutput:
    """What an output says of itself; one that is not `complete` is being removed."""

    fingerprint: Fingerprint
    rows: int
    counts: Counts
    complete: bool


def is_single_file(output: Path) -> bool:
    """Return whether `output` is one file (it ends in .parquet), not a folder of parts."""
    return output.suffix.lower() == ".parquet"


def list_parts(folder: Path) -> list[Path]:
    """List the parts in `folder`, in the order of their posts."""
    return [folder / entry.name for entry in list_folder(folder) if PART.fullmatch(entry.name)]


def read_all_facts(parts: Sequence[Path]) -> list[FileFacts]:
    """Read the footers of those `parts` that are whole Parquet files of ours.

    Raises:
        OSError: one can't be read.
    """
    return [facts for facts in map_files(read_facts, parts) if facts is not None]


def read_output(output: Path) -> FinishedOutput | None:
    """Read what the output at `output` says of itself; None where nothing (or an empty folder) is there.

    Raises:
        JobConflictError: something is there that sentimm did not write.
        OutputError: it can't be read.
    """
    with reading(output):
        if is_folder(output):
            return _read_folder(output)
        if not lexists(output):
            return None
        facts = read_facts(output) if is_regular(output) and is_single_file(output) else None
    if facts is None:
        raise _not_ours(output, "was not written by sentimm")
    return FinishedOutput(facts.fingerprint, facts.rows, facts.counts, complete=True)


def has_column(output: Path, name: str) -> bool:
    """Return whether the output at `output` has a column of this name; False where there is no output.

    Raises:
        OutputError: it can't be read.
    """
    with reading(output):
        first = next(iter(list_parts(output)), None) if is_folder(output) else output
        facts = read_facts(first) if first is not None and is_regular(first) else None
    return facts is not None and name in facts.schema.names


def remove_output(output: Path) -> None:
    """Remove what is at `output`, which sentimm wrote.

    Raises:
        JobConflictError: something is there that sentimm did not write; nothing was removed.
        OutputError: it can't be removed.
    """
    read_output(output)
    if is_folder(output):
        remove_file(output / SUCCESS)
        for part in list_parts(output):
            remove_file(part)
        remove_folder(output)
    else:
        remove_file(output)


def _read_folder(output: Path) -> FinishedOutput | None:
    names = [entry.name for entry in list_folder(output)]
    if not names:
        return None
    for name in names:
        if name != SUCCESS and not PART.fullmatch(name):
            raise _not_ours(output, f"holds {name}, which sentimm did not write")
    if is_single_file(output):
        raise _not_ours(output, "is a folder, not a file")
    facts = read_all_facts(list_parts(output))
    if not facts or len(facts) != len([name for name in names if name != SUCCESS]):
        raise _not_ours(output, "holds parts that sentimm did not write")
    counts = add_counts((each.counts for each in facts), list(facts[0].counts.labels))
    rows = sum(each.rows for each in facts)
    return FinishedOutput(facts[0].fingerprint, rows, counts, complete=SUCCESS in names)


def _not_ours(output: Path, what: str) -> JobConflictError:
    return JobConflictError(f"{output} already exists and {what}: name another output, or move it away.")
