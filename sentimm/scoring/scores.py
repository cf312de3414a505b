"""The output: the columns that scoring adds to a post's own, and the Parquet files that hold them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sentimm.errors import UsageError
from sentimm.events import Counts
from sentimm.options import MAX_CHUNK_ROWS
from sentimm.storage import is_remote, map_remote, open_file, read_bytes

if TYPE_CHECKING:
    from sentimm.bundle.bundle import Bundle

MODALITIES = ("text+image", "text", "image", "none")
STATUSES = ("ok", "row_unreadable", "image_unreadable", "image_missing", "empty", "unsupported")

# What a post without a label has in `Scores`.
NO_LABEL = -1

ROW_GROUP_ROWS = MAX_CHUNK_ROWS
_ROW_GROUP_BYTES = 512 << 20  # a row group of images as bytes has fewer rows
_AT_ONCE = 8  # parts that are fetched
_METADATA = "sentimm."  # goes before the names of our Parquet key-value metadata


@dataclass(frozen=True)
class ViewScores:
    """What a model's heads make of the text and of the image alone.

    Attributes:
        text, image: int64 (posts,), the index of the label, or NO_LABEL where the post has nothing of that kind.
        text_probabilities, image_probabilities: float32 (posts, labels), calibrated; NaN where there is no label.
        conflict: float32 (posts,), half the L1 distance of these, in [0, 1]; NaN without both.
    """

    text: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]
    text_probabilities: npt.NDArray[np.float32]
    image_probabilities: npt.NDArray[np.float32]
    conflict: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """The answers to a chunk's posts.

    Attributes:
        probabilities: float32 (posts, labels), calibrated; rows without a label are not looked at.
        labels: int64 (posts,), the index of the label, or NO_LABEL.
        modalities: int64 (posts,), what was used, an index into MODALITIES.
        statuses: int64 (posts,), an index into STATUSES.
        views: what text and image say alone, where that was asked for.
        image_errors: why the image of a post (its place in the chunk) is `image_unreadable`.
    """

    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    modalities: npt.NDArray[np.int64]
    statuses: npt.NDArray[np.int64]
    views: ViewScores | None = None
    image_errors: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OutputColumns:
    """The columns of an output: those kept from the input, then those that scoring adds; `views` adds three more.

    Raises:
        UsageError: a column that is added has the name of one that is kept.
    """

    kept: Mapping[str, pl.DataType]
    labels: tuple[str, ...]
    prefix: str = ""
    views: bool = False

    def __post_init__(self) -> None:
        clashes = [name for name in self.added if name in self.kept]
        if clashes:
            kind = "a column" if len(clashes) == 1 else "columns"
            raise UsageError(
                f"The input has {kind} named {', '.join(map(repr, clashes))} already: choose names for the added "
                "columns with --prefix (such as --prefix model_), or leave the input's out with --columns."
            )

    @property
    def added(self) -> dict[str, pl.DataType]:
        """Name and type of the columns that scoring adds, in order."""
        probabilities: dict[str, pl.DataType] = {f"p_{label}": pl.Float32() for label in self.labels}
        columns: dict[str, pl.DataType] = {"sentiment": pl.String(), "confidence": pl.Float32()}
        columns |= probabilities | {"modality": pl.String(), "status": pl.String()}
        if self.views:
            columns |= {"text_sentiment": pl.String(), "image_sentiment": pl.String(), "conflict": pl.Float32()}
        return {self.prefix + name: dtype for name, dtype in columns.items()}

    @property
    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema of the output's files."""
        return pl.DataFrame(schema={**self.kept, **self.added}).to_arrow().schema

    def add_scores(self, frame: pl.DataFrame, scores: Scores) -> pl.DataFrame:
        """Add the scores of its posts to `frame`, which has the kept columns."""
        scored = pl.Series(scores.labels != NO_LABEL)
        probabilities = scores.probabilities.reshape(-1, len(self.labels))
        best = probabilities[np.arange(len(probabilities)), np.maximum(scores.labels, 0)]
        columns = [
            _pick(scores.labels, self.labels),
            _keep(best, scored),
            *(_keep(probabilities[:, index], scored) for index in range(len(self.labels))),
            _pick(scores.modalities, MODALITIES),
            _pick(scores.statuses, STATUSES),
        ]
        if scores.views is not None:
            conflict = scores.views.conflict
            columns += [_pick(scores.views.text, self.labels), _pick(scores.views.image, self.labels)]
            columns.append(_keep(conflict, pl.Series(~np.isnan(conflict))))
        names = zip(columns, self.added, strict=True)
        return frame.with_columns([column.alias(name) for column, name in names])

    def count(self, frame: pl.DataFrame) -> Counts:
        """Count the labels, modalities and statuses of `frame`, which has the added columns."""
        return Counts(
            labels=_count_values(frame[self.prefix + "sentiment"], self.labels),
            modalities=_count_values(frame[self.prefix + "modality"], MODALITIES),
            statuses=_count_values(frame[self.prefix + "status"], STATUSES),
        )


@dataclass(frozen=True)
class FileFacts:
    """What the footer of one of our Parquet files says."""

    rows: int
    fingerprint: dict[str, Any]
    counts: Counts
    schema: pa.Schema


def check_views(bundle: Bundle) -> None:
    """Check that a model can say what it makes of text and image alone.

    Raises:
        UsageError: it has not got both heads.
    """
    if len(bundle.fusion.heads) < 2:
        found = f"a head for {bundle.fusion.heads[0]} only" if bundle.fusion.heads else "none"
        raise UsageError(
            f"--views needs a model with heads for text and for images, and {bundle.name} has {found}: leave --views "
            "away, or train a model with --heads text,image."
        )


def add_counts(counts: Iterable[Counts], labels: Sequence[str]) -> Counts:
    """Add up the counts of several files."""
    total = Counts(dict.fromkeys(labels, 0), dict.fromkeys(MODALITIES, 0), dict.fromkeys(STATUSES, 0))
    for each in counts:
        total = Counts(
            {label: number + each.labels.get(label, 0) for label, number in total.labels.items()},
            {modality: number + each.modalities.get(modality, 0) for modality, number in total.modalities.items()},
            {status: number + each.statuses.get(status, 0) for status, number in total.statuses.items()},
        )
    return total


def write_file(
    path: Path, tables: Iterable[pa.Table], schema: pa.Schema, metadata: Mapping[str, Any], counts: Counts
) -> None:
    """Write `tables` to the Parquet file `path`, one row group each, with `metadata` and `counts` in its footer.

    Raises:
        OSError: it can't be written.
    """
    described = {**metadata, "counts": [counts.labels, counts.modalities, counts.statuses]}
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
            return FileFacts(
                file.metadata.num_rows, fingerprint, Counts(labels, modalities, statuses), file.schema_arrow
            )
    except (pa.ArrowInvalid, KeyError, ValueError):
        return None


def is_whole(path: Path) -> bool:
    """Tell whether all of a Parquet file of ours can be read: its pages have checksums.

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


def regroup_parts(parts: Sequence[Path], assembled: Callable[[int], None]) -> Iterator[pa.Table]:
    """Read `parts` in order as tables of ROW_GROUP_ROWS rows (the last one: what is left).

    Tables of large rows have fewer. `assembled` is told how many rows have been given so far.
    """
    # Read by polars, as they were written: through pyarrow, types such as Categorical come back a little different.
    waiting: pl.DataFrame | None = None
    given = 0
    for frame in read_frames(parts):
        waiting = frame if waiting is None else pl.concat([waiting, frame])
        while len(waiting) >= ROW_GROUP_ROWS or waiting.estimated_size() > _ROW_GROUP_BYTES:
            # Under no name here, and none where it is written: the next one finds the memory of this one free.
            yield waiting.head(ROW_GROUP_ROWS).to_arrow()
            given += min(len(waiting), ROW_GROUP_ROWS)
            waiting = waiting.slice(ROW_GROUP_ROWS)
            assembled(given)
    if waiting is not None and len(waiting):
        yield waiting.to_arrow()
        assembled(given + len(waiting))


def read_frames(paths: Sequence[Path]) -> Iterator[pl.DataFrame]:
    """Read our Parquet files one behind the other; remote ones some at a time.

    Raises:
        OSError, pl.exceptions.PolarsError: one can't be read.
    """
    for first in range(0, len(paths), _AT_ONCE):
        some = paths[first : first + _AT_ONCE]
        yield from map_remote(read_frame, some) if any(map(is_remote, some)) else map(read_frame, some)


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Open one of our Parquet files, at any place.

    Raises:
        OSError, pa.ArrowInvalid: it can't be read.
    """
    with ExitStack() as stack:
        source = stack.enter_context(open_file(path)) if is_remote(path) else path
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
    source = BytesIO(read_bytes(path)) if is_remote(path) else path
    return pl.read_parquet(source, hive_partitioning=False, glob=False)


def _pick(indices: npt.NDArray[np.int64], names: Sequence[str]) -> pl.Series:
    """Return the names at `indices` (String); null at NO_LABEL."""
    rows = pl.Series(indices, dtype=pl.Int64)
    return pl.Series(names, dtype=pl.String).gather(rows.set(rows == NO_LABEL, None))


def _keep(values: npt.NDArray[np.float32], where: pl.Series) -> pl.Series:
    return pl.Series(values.astype(np.float32, copy=False)).set(~where, None)


def _count_values(values: pl.Series, names: Sequence[str]) -> dict[str, int]:
    counted = dict(values.value_counts().iter_rows())
    return {name: counted.get(name, 0) for name in names}
