"""The output's Parquet files: writing them, reading them, and the facts in their footers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sentimm.events import Counts
from sentimm.options import MAX_CHUNK_ROWS
from sentimm.storage import load_source, map_files, open_source

ROW_GROUP_ROWS = MAX_CHUNK_ROWS
_ROW_GROUP_BYTES = 512 << 20  # a row group of images as bytes has fewer rows
_AT_ONCE = 8  # parts that are fetched
_METADATA = "sentimm."  # goes before the names of our Parquet key-value metadata


@dataclass(frozen=True)
class FileFacts:
    """What the footer of one of our Parquet files says."""

    rows: int
    fingerprint: dict[str, Any]
    counts: Counts
    schema: pa.Schema


def write_parquet(
    path: Path, tables: Iterable[pa.Table], schema: pa.Schema, metadata: Mapping[str, Any], counts: Counts
) -> None:
    """Write `tables` to the Parquet file `path`, one row group each, with `metadata` and `counts` in its footer.

    Raises:
        OSError: it can't be written.
    """
    described = {**metadata, "counts": [counts.labels, counts.modalities, counts.statuses]}
    if counts.partial:
        described["partial"] = str(counts.partial)
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
            del table
        writer.add_key_value_metadata(
            {
                _METADATA + name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                for name, value in described.items()
            }
        )


def read_facts(path: Path) -> FileFacts | None:
    """Read the footer of the Parquet file `path`; None where it is not a whole Parquet file of ours.

    Raises:
        OSError: it can't be read.
    """
    try:
        with open_parquet(path) as file:
            metadata = file.metadata.metadata or {}
            fingerprint = json.loads(metadata[f"{_METADATA}fingerprint".encode()])
            labels, modalities, statuses = json.loads(metadata[f"{_METADATA}counts".encode()])
            partial = int(metadata.get(f"{_METADATA}partial".encode(), 0))
            counts = Counts(labels, modalities, statuses, partial)
            return FileFacts(file.metadata.num_rows, fingerprint, counts, file.schema_arrow)
    except (pa.ArrowInvalid, KeyError, ValueError):
        return None


def is_whole(path: Path) -> bool:
    """Return whether all of a Parquet file of ours can be read: its pages have checksums.

    Raises:
        OSError: it can't be read.
    """
    try:
        with open_parquet(path) as file:
            for group in range(file.num_row_groups):
                file.read_row_group(group)
    except pa.ArrowException:
        return False
    except OSError as error:
        if error.errno is None:  # Arrow's own: what was read makes no sense
            return False
        raise
    return True


def regroup_parts(
    parts: Sequence[Path], assembled: Callable[[int], None], rows: int = ROW_GROUP_ROWS
) -> Iterator[pa.Table]:
    """Read `parts` in order as tables of so many `rows` (the last one: what is left); tables of large rows have fewer.

    `assembled` hears how many rows have been yielded so far.
    """
    # Read by polars, as they were written: through pyarrow, types such as Categorical come back a little different.
    waiting: pl.DataFrame | None = None
    yielded = 0
    for frame in read_frames(parts):
        waiting = frame if waiting is None else pl.concat([waiting, frame])
        while len(waiting) >= rows or waiting.estimated_size() > _ROW_GROUP_BYTES:
            # Under no name here, and none where it is written: the next one finds the memory of this one free.
            yield waiting.head(rows).to_arrow()
            yielded += min(len(waiting), rows)
            waiting = waiting.slice(rows)
            assembled(yielded)
    if waiting is not None and len(waiting):
        yield waiting.to_arrow()
        assembled(yielded + len(waiting))


def read_frames(paths: Sequence[Path]) -> Iterator[pl.DataFrame]:
    """Read our Parquet files one behind the other; remote ones some at a time.

    Raises:
        OSError, pl.exceptions.PolarsError: one can't be read.
    """
    for first in range(0, len(paths), _AT_ONCE):
        some = paths[first : first + _AT_ONCE]
        yield from map_files(read_frame, some)


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Open one of our Parquet files, at any place.

    Raises:
        OSError, pa.ArrowInvalid: it can't be read.
    """
    with ExitStack() as stack:
        source = stack.enter_context(open_source(path))
        yield stack.enter_context(pq.ParquetFile(source, page_checksum_verification=True))


def read_rows(file: pq.ParquetFile, columns: Sequence[str], start: int, most: int) -> pa.Table:
    """Read at most so many rows from `start` on, and of the row groups only those that hold them.

    Raises:
        OSError, pa.ArrowException: they can't be read.
    """
    groups, first, skipped = [], 0, start
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if first + rows <= start:
            skipped -= rows
        elif first < start + most:
            groups.append(group)
        first += rows
    return file.read_row_groups(groups, list(columns)).slice(skipped, most)


def read_frame(path: Path) -> pl.DataFrame:
    """Read one of our Parquet files, as polars wrote it.

    Raises:
        OSError, pl.exceptions.PolarsError: it can't be read.
    """
    return pl.read_parquet(load_source(path), hive_partitioning=False, glob=False)
