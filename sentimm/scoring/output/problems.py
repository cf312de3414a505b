"""The posts that have a problem, for the person who fixes them: a file beside each part, and one CSV in the end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sentimm.corpus import Chunk, PostImages, is_url, list_images, split_names
from sentimm.errors import JobConflictError
from sentimm.events import Counts
from sentimm.scoring.output.parquet_files import read_frames
from sentimm.scoring.scores import STATUSES, ImageProblem, Scores
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
    """List the posts of `chunk` that are not `ok`, and the images that could not be used, and why."""
    records = {problem.row - chunk.start: problem for problem in chunk.problems}
    named = {} if chunk.names is None else {name: chunk.names[name].to_list() for name in ("id", "image")}
    images: dict[int, list[ImageProblem]] = {}
    for each in scores.image_problems:
        images.setdefault(each.post, []).append(each)
    rows = []
    for post in sorted({*map(int, np.flatnonzero(scores.statuses != _FINE)), *images}):
        status = STATUSES[scores.statuses[post]]
        name = named["image"][post] if named else None
        found: list[tuple[str, object, str, str | None]]
        if (problem := records.get(post)) is not None:
            file = None if problem.file is None else hide_secrets(problem.file)
            found = [(status, file, problem.reason, problem.raw)]
        elif post in images:
            found = [_explain_image(each, chunk.images[post], name) for each in images[post]]
        elif status == "image_unreadable":
            found = [(status, name, _NOT_TRIED, None)]
        elif status == "image_missing":
            found = [(status, name, _explain_missing(name), None)]
        else:
            found = [(status, None, _REASONS[status], None)]
        post_id = named["id"][post] if named else None
        rows += [(chunk.start + post, post_id, *each) for each in found]
    columns = zip(*rows, strict=True) if rows else [()] * len(_SCHEMA)
    return pl.DataFrame(
        [
            pl.Series(name, [_to_cell(value) for value in values], dtype)
            for (name, dtype), values in zip(_SCHEMA.items(), columns, strict=True)
        ]
    )


def _explain_image(problem: ImageProblem, images: PostImages, name: str | None) -> tuple[str, object, str, None]:
    """Return the status, the file and the reason of an image of a post whose cell of images is `name`."""
    if isinstance(images, tuple) and name is not None and (names := split_names(name)) is not None:
        name = names[problem.number] if len(names) == len(images) else name
    if problem.reason is None:
        return "image_missing", name, _explain_missing(name), None
    image = list_images(images)[problem.number]
    file = hide_secrets(image) if isinstance(image, Path | RemoteFile) else name
    return "image_unreadable", file, problem.reason, None


def _explain_missing(name: str | None) -> str:
    is_elsewhere = name is not None and is_url(name.strip())
    return "is a URL, which is not fetched" if is_elsewhere else "is not in the image folder"


def count_problems(counts: Counts) -> int:
    """Count the posts that are not `ok`, or have an image that could not be used."""
    return sum(number for status, number in counts.statuses.items() if status != "ok") + counts.partial


def write_problems(path: Path, problems: pl.DataFrame, temporary: Path | None = None) -> None:
    """Write the problems of a part, durably.

    Raises:
        OutputError: they can't be written.
    """
    with commit_file(path, temporary) as temporary:
        pq.write_table(problems.to_arrow(), temporary, compression="zstd", write_page_checksum=True)


def holds_problems(path: Path, number: int) -> bool:
    """Return whether the file at `path` is whole and holds the problems of so many posts.

    Raises:
        OSError: it can't be read.
    """
    if not exists(path):
        return False
    try:
        table: pa.Table = pq.read_table(load_source(path), page_checksum_verification=True)
    except (pa.ArrowException, OSError):
        return False
    return len(table["row"].unique()) == number


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
