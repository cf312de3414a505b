"""The posts that have a problem, for the person who fixes them: a file beside each part, and one CSV in the end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sentimm.corpus import Chunk, is_url
from sentimm.errors import JobConflictError
from sentimm.events import Counts
from sentimm.scoring.output.parquet_files import read_frames
from sentimm.scoring.scores import STATUSES, Scores
from sentimm.storage import RemoteFile, exists, hide_secrets, is_regular, lexists, load_source, read_bytes
from sentimm.storage.atomic import commit_file, reading, remove_file

# `row` counts from 0 over the whole output, `file` is the image, or the table whose record it is.
_SCHEMA = {
    "row": pl.Int64(),
    "id": pl.String(),
    "status": pl.String(),
    "file": pl.String(),
    "reason": pl.String(),
    "record": pl.String(),
}
_HEADER = ",".join(_SCHEMA)
_FINE = STATUSES.index("ok")
_NOT_TRIED = "could not be read when it was scored"  # and has not been scored again
_REASONS = {
    "empty": "has neither text nor image",
    "unsupported": "has nothing that this model reads",
}


PROBLEMS_SUFFIX = ".problems.csv"


def name_problems(output: Path) -> Path:
    """Return the default path of the list of problems of `output`."""
    return output.with_name(output.name + PROBLEMS_SUFFIX)


def list_problems(chunk: Chunk, scores: Scores) -> pl.DataFrame:
    """List the posts of `chunk` that are not `ok`, and why."""
    records = {problem.row - chunk.start: problem for problem in chunk.problems}
    named = {} if chunk.names is None else {name: chunk.names[name].to_list() for name in ("id", "image")}
    rows = []
    found: tuple[object, str, str | None]
    for post in map(int, np.flatnonzero(scores.statuses != _FINE)):
        status = STATUSES[scores.statuses[post]]
        name, image = named["image"][post] if named else None, chunk.images[post]
        if (problem := records.get(post)) is not None:
            found = None if problem.file is None else hide_secrets(problem.file), problem.reason, problem.raw
        elif status == "image_unreadable":
            file = hide_secrets(image) if isinstance(image, Path | RemoteFile) else name
            found = file, scores.image_errors.get(post, _NOT_TRIED), None
        elif status == "image_missing":
            found = name, _explain_missing(name), None
        else:
            found = None, _REASONS[status], None
        post_id = named["id"][post] if named else None
        rows.append((chunk.start + post, post_id, status, *found))
    columns = zip(*rows, strict=True) if rows else [()] * len(_SCHEMA)
    return pl.DataFrame(
        [
            pl.Series(name, [_to_cell(value) for value in values], dtype)
            for (name, dtype), values in zip(_SCHEMA.items(), columns, strict=True)
        ]
    )


def _explain_missing(name: str | None) -> str:
    is_elsewhere = name is not None and is_url(name.strip())
    return "is a URL, which is not fetched" if is_elsewhere else "is not in the image folder"


def count_problems(counts: Counts) -> int:
    """Count the posts that are not `ok`."""
    return sum(number for status, number in counts.statuses.items() if status != "ok")


def write_problems(path: Path, problems: pl.DataFrame, temporary: Path | None = None) -> None:
    """Write the problems of a part, durably.

    Raises:
        OutputError: they can't be written.
    """
    with commit_file(path, temporary) as temporary:
        pq.write_table(problems.to_arrow(), temporary, compression="zstd", write_page_checksum=True)


def holds_problems(path: Path, number: int) -> bool:
    """Return whether the file at `path` is whole and holds so many problems.

    Raises:
        OSError: it can't be read.
    """
    if not exists(path):
        return False
    try:
        table: pa.Table = pq.read_table(load_source(path), page_checksum_verification=True)
    except (pa.ArrowException, OSError):
        return False
    return bool(table.num_rows == number)


def check_problems(path: Path) -> None:
    """Check that the CSV of problems may be written to `path`.

    Raises:
        JobConflictError: something is there that sentimm did not write.
        OutputError: it can't be read.
    """
    with reading(path):
        if not lexists(path):
            return
        if is_regular(path) and read_bytes(path, len(_HEADER) + 1) == f"{_HEADER}\n".encode():
            return
    raise JobConflictError(
        f"{path} already exists and is not a list of problems by sentimm: name another file with --problems, or move "
        "it away."
    )


def publish_problems(path: Path, parts: Iterable[Path]) -> bool:
    """Write the problems of all `parts` into one CSV, durably; where there are none, remove it.

    Returns:
        whether there are any.

    Raises:
        JobConflictError, OutputError: see `check_problems`; it can't be written.
    """
    check_problems(path)
    listed = list(parts)
    if not listed:
        remove_file(path)
        return False
    with commit_file(path) as temporary, temporary.open("wb") as file:
        file.write(f"{_HEADER}\n".encode())
        for frame in read_frames(listed):
            frame.write_csv(file, include_header=False)
    return True


def _to_cell(value: object) -> int | str | None:
    """Return a value that polars takes: a file's name need not be UTF-8."""
    return value if value is None or isinstance(value, int) else str(value).encode(errors="replace").decode()
