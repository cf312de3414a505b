"""What every kind of table gives: its posts in blocks of consecutive rows, the unreadable ones in their places."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
import pyarrow as pa

from sentimm.corpus.images.image_lookup import ImageLookup


@dataclass(frozen=True)
class Problem:
    """A record that can't be read as a row.

    Attributes:
        row: its place, from 0; in a block, a file or a corpus, as the holder says.
        raw: the record as it is in the file (its first megabyte, and U+FFFD for broken UTF-8).
        reason: what is wrong with it, a clause for a person.
        file: the table, where the holder is not the table itself.
    """

    row: int
    raw: str
    reason: str
    file: Path | None = None


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a table.

    Attributes:
        frame: the rows; those that can't be read are null in every column.
        rows: how many (a frame of no columns does not know).
        problems: the unreadable ones, `row` counted in this block.
        kinds: of NDJSON: which kinds of value each column has in this block.
    """

    frame: pl.DataFrame
    rows: int
    problems: tuple[Problem, ...] = ()
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)


class Table(ABC):
    """One INPUT, as a stream of blocks.

    Attributes:
        path: the file or folder.
        format: how a person calls it: csv, tsv, ndjson, parquet, arrow, folder, webdataset.
        types: of formats that have types (Parquet, Arrow): that of each column; else empty.
        grows: columns may appear while it is read (NDJSON, WebDataset).
        is_misread: reading found out that the table is to be read in another way: what it gave before does not count.
        quotes_strings: all its strings are in quotes, so that a bare NA is none (CSV, TSV).
        may_swallow_rows: a quote that is closed far below makes the rows between a part of one cell (CSV, TSV).
    """

    format: str
    types: Mapping[str, pl.DataType] = {}
    grows = False
    is_misread = False
    quotes_strings = False
    may_swallow_rows = False

    def __init__(self, path: Path, columns: Iterable[str] = ()) -> None:
        self.path = path
        self._columns = dict.fromkeys(columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names, in order; of a table that grows, those that were seen so far."""
        return tuple(self._columns)

    @property
    def notes(self) -> tuple[str, ...]:
        """How the table is read, in sentences; complete after reading."""
        return ()

    @property
    def encoding(self) -> str | None:
        """That of a text format's file; complete after reading."""
        return None

    @property
    def escaped_quotes(self) -> bool:
        """Quotes in fields are escaped by a backslash (CSV, TSV); known after reading."""
        return False

    @property
    def partitions(self) -> Mapping[str, str | None]:
        """The values of the columns that the names of the table's folders give (`lang=en`)."""
        return {}

    @property
    def repeated(self) -> tuple[str, ...]:
        """The columns that both the table and the names of its folders give."""
        return ()

    @abstractmethod
    def read_blocks(self, columns: Sequence[str] | None, start: int = 0) -> Iterator[Block]:
        """Yield the rows from `start` on, with the named `columns` in that order; None: all (of NDJSON a block's own).

        Text formats have strings: null where nothing stands, "" where an empty string does. A name that a table which
        grows does not have is a column of nulls.

        Raises:
            TableError: the file is damaged.
        """

    def open_images(self) -> ImageLookup | None:
        """Return where the images are looked up that the table brings itself; None: it brings none."""
        return None

    def check_readable(self, columns: Sequence[str]) -> None:
        """Check that these columns can be read.

        Raises:
            TableError: one has a type that polars lacks.
        """
        return


def make_block(values: Mapping[str, str | None]) -> Block:
    """Make a block of one row."""
    return Block(pl.DataFrame({name: pl.Series([value], dtype=pl.String) for name, value in values.items()}), 1)


def cut_block(block: Block, skip: int) -> Block:
    """Leave out the first `skip` rows of a block."""
    if skip == 0:
        return block
    problems = tuple(replace(each, row=each.row - skip) for each in block.problems if each.row >= skip)
    return replace(block, frame=block.frame.slice(skip), rows=block.rows - skip, problems=problems)


def head_block(block: Block, rows: int) -> Block:
    """Keep the first `rows` rows of a block."""
    if rows >= block.rows:
        return block
    problems = tuple(each for each in block.problems if each.row < rows)
    return replace(block, frame=block.frame.head(rows), rows=rows, problems=problems)


def read_arrow(table: pa.Table) -> pl.DataFrame:
    """Turn an Arrow table into a polars frame."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    frame.columns = table.column_names  # polars gives a column without a name another one
    return frame


def find_repeated(names: Sequence[str]) -> str | None:
    """Find the first name that occurs a second time."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
