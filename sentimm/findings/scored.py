"""Scored posts, as `sentimm score` writes them: what their files say, and sums over all of them in one stream."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.io.plugins import register_io_source

from sentimm.errors import ColumnError, InputError, TableError, UsageError
from sentimm.findings.statistics.estimators import Ints
from sentimm.scoring.output.parquet_files import open_parquet
from sentimm.storage import is_folder, is_remote, list_folder, open_file, to_path

PLACE = "__place"  # the number of a post in the corpus, from 0

_METADATA = b"sentimm."
_GROUPS_AT_ONCE = 8  # row groups that a thread reads of a file before the next one


@dataclass(frozen=True)
class ScoredPosts:
    """Posts with the probabilities of their labels.

    Attributes:
        frame: the posts, and their number in the column PLACE; those without an answer are among them.
        labels: in the order of the model.
        prefix: of the columns that `score` added.
        names: of files, for messages.
        bundle: the model's name; None: not stated.
        fingerprint: a digest that tells the corpus and the model; None: not stated, as for a frame.
        options: what the files say of how they were scored.
        model: the digest of the bundle; None: not stated.
        files: that the frame is read from, in order; none: it is a frame.
        groups: rows of each row group of each file.
    """

    frame: pl.LazyFrame
    labels: tuple[str, ...]
    prefix: str
    names: tuple[str, ...]
    bundle: str | None = None
    fingerprint: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()
    model: str | None = None

    @property
    def columns(self) -> list[str]:
        """The names of the columns, but for PLACE."""
        return [name for name in self.frame.collect_schema().names() if name != PLACE]

    def count_rows(self) -> int:
        """Return how many posts there are, those without an answer among them."""
        if self.files:
            return sum(map(sum, self.groups))
        return int(self.frame.select(pl.len()).collect(engine="streaming").item())

    def take(self, places: Ints, columns: Sequence[str]) -> ScoredPosts:
        """Return these posts alone, in order; of files only the row groups that hold them are read.

        Args:
            places: their numbers in the corpus, int64 (posts,).
            columns: the columns that are needed.
        """
        wanted, names = np.unique(places), list(dict.fromkeys(columns))
        if not names:
            return replace(self, frame=pl.LazyFrame({PLACE: pl.Series(wanted, dtype=pl.UInt32)}))
        if not self.files:
            found = self.frame.filter(pl.col(PLACE).is_in(pl.Series(wanted, dtype=pl.UInt32).implode()))
            return replace(self, frame=found.select(PLACE, *names).collect(engine="streaming").sort(PLACE).lazy())
        with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
            reads = list(pool.map(partial(_read_rows, names=names), self._list_reads(wanted)))
        frames = [frame for own in reads for frame in own]
        whole = (
            pl.concat(frames, how="vertical_relaxed") if frames else self.frame.select(PLACE, *names).head(0).collect()
        )
        return replace(self, frame=whole.lazy())

    def _list_reads(self, wanted: Ints) -> list[_Read]:
        """List what is read of each file to take these posts, in order, in portions for several threads."""
        reads: list[_Read] = []
        first = 0
        for path, sizes in zip(self.files, self.groups, strict=True):
            own = []
            for group, rows in enumerate(sizes):
                begin, end = np.searchsorted(wanted, (first, first + rows))
                if begin < end:
                    own.append((group, first, wanted[begin:end]))
                first += rows
            reads += [_Read(path, own[at : at + _GROUPS_AT_ONCE]) for at in range(0, len(own), _GROUPS_AT_ONCE)]
        return reads

    def name_probabilities(self) -> list[str]:
        """Return the names of the columns of probabilities."""
        return [f"{self.prefix}p_{label}" for label in self.labels]


@dataclass(frozen=True)
class _Read:
    """Row groups of a file that are read: the number of each, its first post's number in the corpus, those wanted."""

    path: Path
    groups: list[tuple[int, int, Ints]]


def _read_rows(read: _Read, names: Sequence[str]) -> list[pl.DataFrame]:
    frames = []
    with open_parquet(read.path) as file:
        for group, first, places in read.groups:
            table = pl.from_arrow(file.read_row_group(group, names).take(pa.array(places - first)))
            assert isinstance(table, pl.DataFrame)
            frames.append(table.insert_column(0, pl.Series(PLACE, places, dtype=pl.UInt32)))
    return frames


def open_scored(inputs: Sequence[str] | pl.DataFrame | pl.LazyFrame) -> ScoredPosts:
    """Open what `score` wrote: Parquet files, folders of parts, or a frame with their columns.

    Raises:
        InputError: a file is not there, or holds no scored posts.
        ColumnError: there are no probabilities.
        TableError: a file can't be read.
        UsageError: the files are of different models.
    """
    if isinstance(inputs, pl.DataFrame | pl.LazyFrame):
        return _open_frame(inputs)
    files = [file for name in inputs for file in _list_files(name)]
    if not files:
        raise InputError("No INPUT was given: name the Parquet file or folder that `sentimm score` wrote.")
    facts = [_read_facts(file) for file in files]
    names, first = tuple(map(str, files)), facts[0]
    for file, each in zip(files, facts, strict=True):
        if each.model != first.model or each.labels != first.labels:
            raise UsageError(f"{files[0]} and {file} were scored by different models: give those of one model.")
    missing = [column for column in first.probabilities if any(column not in each.columns for each in facts)]
    if missing:
        raise ColumnError(f"{files[0]} has no column {missing[0]!r}: score the posts again, keeping the probabilities.")
    alike = [name for name in first.columns if all(each.types.get(name) == first.types[name] for each in facts)]
    if unlike := [name for name in first.probabilities if name not in alike]:
        raise UsageError(
            f"{names[0]} and other files hold {unlike[0]!r} in different types: score the posts in one job."
        )
    frame = _scan(files).select(alike).with_row_index(PLACE)
    content = json.dumps([first.model, *(each.fingerprint for each in facts)], sort_keys=True)
    digest = hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()
    groups = tuple(each.groups for each in facts)
    return ScoredPosts(
        frame,
        first.labels,
        first.prefix,
        names,
        first.bundle,
        digest,
        first.options,
        tuple(files),
        groups,
        first.model,
    )


@dataclass(frozen=True)
class _Facts:
    types: dict[str, pa.DataType]
    labels: tuple[str, ...]
    prefix: str
    bundle: str | None
    model: str | None
    fingerprint: Any
    options: dict[str, Any]
    groups: tuple[int, ...]

    @property
    def columns(self) -> list[str]:
        return list(self.types)

    @property
    def probabilities(self) -> list[str]:
        return [f"{self.prefix}p_{label}" for label in self.labels]


def _list_files(name: str) -> list[Path]:
    path = to_path(name)
    if is_folder(path):
        return [path / entry.name for entry in list_folder(path) if entry.name.endswith(".parquet")]
    return [path]


def _read_facts(path: Path) -> _Facts:
    try:
        with open_file(path) as file:
            footer = pq.read_metadata(file)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except pa.ArrowInvalid as error:
        raise TableError(f"{path} is no Parquet file: name the one that `sentimm score` wrote.") from error
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path} can't be read: {error}.") from error
    schema = footer.schema.to_arrow_schema()
    metadata = {
        name.removeprefix(_METADATA).decode(): value.decode()
        for name, value in (footer.metadata or {}).items()
        if name.startswith(_METADATA)
    }
    prefix, labels = _find_answers(path.name, schema.names)
    if "labels" in metadata:
        labels = tuple(json.loads(metadata["labels"]))
    return _Facts(
        dict(zip(schema.names, schema.types, strict=True)),
        labels,
        prefix,
        metadata.get("bundle"),
        metadata.get("digest"),
        [
            footer.num_rows,
            _read_fingerprint(metadata["fingerprint"]) if "fingerprint" in metadata else _list_sizes(footer),
        ],
        json.loads(metadata.get("options", "{}")),
        tuple(footer.row_group(number).num_rows for number in range(footer.num_row_groups)),
    )


def _read_fingerprint(content: str) -> dict[str, Any]:
    """Read a job's fingerprint, without the times of its inputs: a copy of a corpus is the same corpus."""
    fingerprint: dict[str, Any] = json.loads(content)
    inputs = [{key: each[key] for key in each if key != "modified_ns"} for each in fingerprint.get("inputs", ())]
    return fingerprint | {"inputs": inputs}


def _list_sizes(footer: pq.FileMetaData) -> list[int]:
    """List the bytes of each column of each row group: what tells a file that another program wrote from others."""
    groups = (footer.row_group(number) for number in range(footer.num_row_groups))
    return [group.column(number).total_compressed_size for group in groups for number in range(group.num_columns)]


def _find_answers(name: str, columns: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Find the prefix and the labels of the columns that `score` added."""
    for column in reversed(columns):
        prefix = column.removesuffix("sentiment")
        if not column.endswith("sentiment") or f"{prefix}confidence" not in columns:
            continue
        labels = tuple(each.removeprefix(f"{prefix}p_") for each in columns if each.startswith(f"{prefix}p_"))
        if labels:
            return prefix, labels
        raise ColumnError(
            f"{name} has labels in {column!r}, but no probabilities ({prefix}p_...), which shares are estimated from: "
            "score the posts again."
        )
    raise ColumnError(f"{name} has no scored posts (no column `sentiment`): score it first with `sentimm score`.")


def _open_frame(frame: pl.DataFrame | pl.LazyFrame) -> ScoredPosts:
    lazy = frame.lazy()
    prefix, labels = _find_answers("The frame", lazy.collect_schema().names())
    return ScoredPosts(lazy.with_row_index(PLACE), labels, prefix, ("the frame",))


def _scan(files: Sequence[Path]) -> pl.LazyFrame:
    if any(map(is_remote, files)):
        return _scan_remote(files)
    return pl.scan_parquet(list(files), hive_partitioning=False, glob=False, extra_columns="ignore")


def _scan_remote(files: Sequence[Path]) -> pl.LazyFrame:
    """Scan files of which some lie on a server, a row group at a time: polars itself would load each of them whole."""
    with open_parquet(files[0]) as file:
        schema = pl.from_arrow(file.schema_arrow.empty_table()).schema  # type: ignore[union-attr]

    def read(
        columns: list[str] | None, condition: pl.Expr | None, most: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        names, left = columns or list(schema)[: 1 if columns is not None else None], most
        for path in files:
            with open_parquet(path) as file:
                for group in range(file.num_row_groups):
                    if left == 0:
                        return
                    rows = pl.DataFrame(file.read_row_group(group, names))
                    rows = rows if left is None else rows.head(left)
                    left = None if left is None else left - len(rows)
                    yield rows if condition is None else rows.filter(condition)

    return register_io_source(read, schema=schema)
