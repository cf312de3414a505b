"""Chunks as files: what a machine that scores a part needs, whatever the table that its posts come from."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sentimm.corpus.chunks import Chunk, make_frame
from sentimm.corpus.images.image_lookup import MISSING, ImageSource, PostImages
from sentimm.corpus.tables.base import Problem
from sentimm.errors import TableError
from sentimm.storage import RemoteFile, is_remote, load_source

_INPUT_PREFIX = "kept:"  # goes before the names of a post's own columns
_SEVERAL = pl.List(pl.Struct({"path": pl.String, "bytes": pl.Binary}))
_NAME_TYPES = {"id": pl.String, "image": pl.String}


def write_chunk(path: Path, chunk: Chunk) -> None:
    """Write a chunk to a Parquet file: images by their paths, or with their bytes where they have none.

    Raises:
        OSError: it can't be written.
    """
    problems = {problem.row - chunk.start: problem for problem in chunk.problems}
    found = [problems.get(row) for row in range(chunk.rows)]
    nothing = pl.DataFrame({"id": [None] * chunk.rows, "image": [None] * chunk.rows}, schema_overrides=_NAME_TYPES)
    names = nothing if chunk.names is None else chunk.names
    columns = {
        "text": chunk.texts,
        "path": _strings([_describe_path(image) for image in chunk.images]),
        "bytes": pl.Series([image if isinstance(image, bytes) else None for image in chunk.images], dtype=pl.Binary),
        "is_missing": pl.Series([image is MISSING for image in chunk.images], dtype=pl.Boolean),
        "is_unreadable": pl.Series(chunk.unreadable),
        "id": names["id"],
        "image": names["image"],
        "reason": _strings([problem.reason if problem else None for problem in found]),
        "raw": _strings([problem.raw if problem else None for problem in found]),
        "file": _strings([str(problem.file) if problem and problem.file else None for problem in found]),
    }
    if any(isinstance(images, tuple) for images in chunk.images):
        columns["several"] = pl.Series([_describe_several(images) for images in chunk.images], dtype=_SEVERAL)
    own = {f"{_INPUT_PREFIX}{name}": chunk.frame[name] for name in chunk.frame.columns}
    pl.DataFrame(columns | own).write_parquet(path, compression="zstd")


def holds_rows(path: Path, rows: int) -> bool:
    """Check whether a whole file of so many posts is at `path`."""
    try:
        return bool(pq.read_metadata(load_source(path)).num_rows == rows)
    except (pa.ArrowException, OSError):
        return False


def read_chunk(path: Path, start: int) -> Chunk:
    """Read a chunk that `write_chunk` wrote, the posts from `start` on.

    Raises:
        TableError: the file can't be read.
    """
    try:
        frame = pl.read_parquet(load_source(path), glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"The staged posts {path} can't be read: {error}.") from error
    own = [
        frame[name].alias(name.removeprefix(_INPUT_PREFIX)) for name in frame.columns if name.startswith(_INPUT_PREFIX)
    ]
    single = zip(frame["path"].to_list(), frame["bytes"].to_list(), frame["is_missing"].to_list(), strict=True)
    images: list[PostImages] = [_restore_image(*each) for each in single]
    if "several" in frame.columns:
        for row, several in enumerate(frame["several"].to_list()):
            if several is not None:
                images[row] = tuple(_restore_image(each["path"], each["bytes"], False) or MISSING for each in several)
    records = zip(frame["reason"].to_list(), frame["raw"].to_list(), frame["file"].to_list(), strict=True)
    return Chunk(
        start=start,
        frame=make_frame(own, len(frame)),
        texts=frame["text"],
        images=images,
        unreadable=frame["is_unreadable"].to_numpy(),
        problems=tuple(
            Problem(start + row, raw, reason, Path(file) if file else None)
            for row, (reason, raw, file) in enumerate(records)
            if reason is not None
        ),
        names=frame.select("id", "image"),
    )


def _describe_path(image: PostImages) -> str | None:
    return str(image) if isinstance(image, Path | RemoteFile) else None


def _describe_several(images: PostImages) -> list[dict[str, str | bytes | None]] | None:
    """Return the paths and bytes of several images; one that is not there has neither."""
    if not isinstance(images, tuple):
        return None
    return [{"path": _describe_path(image), "bytes": image if isinstance(image, bytes) else None} for image in images]


def _restore_image(path: str | None, data: bytes | None, is_missing: bool) -> ImageSource:
    if is_missing:
        return MISSING
    if path:
        return RemoteFile(path) if is_remote(path) else Path(path)
    return data


def _strings(values: list[str | None]) -> pl.Series:
    return pl.Series(values, dtype=pl.String)
