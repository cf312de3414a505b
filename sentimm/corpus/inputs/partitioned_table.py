"""A table in partitions: the values that its path names are columns behind its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import polars as pl

from sentimm.corpus.images.image_lookup import ImageLookup
from sentimm.corpus.inputs.partitions import Partitions
from sentimm.corpus.tables.base import Block, Table


class PartitionedTable(Table):
    """A table with the columns that its path gives; where it has one of these itself, its own values hold.

    Args:
        table: the table.
        partitions: the values, by column; None is null.
    """

    def __init__(self, table: Table, partitions: Partitions) -> None:
        super().__init__(table.path)
        self.format, self.types, self.grows = table.format, table.types, table.grows
        self.may_swallow_rows = table.may_swallow_rows
        self.quotes_strings = table.quotes_strings
        self._table, self._all = table, partitions
        self._differing = dict.fromkeys(partitions, 0)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names, in order (see `Table`)."""
        return (*self._table.columns, *self.partitions)

    @property
    def partitions(self) -> Partitions:
        """The values of the columns that the table itself lacks."""
        return {name: value for name, value in self._all.items() if name not in self._table.columns}

    @property
    def repeated(self) -> tuple[str, ...]:
        """The columns that both the table and its path have."""
        return tuple(name for name in self._all if name in self._table.columns)

    @property
    def notes(self) -> tuple[str, ...]:
        """How the table is read, in sentences; complete after reading."""
        return (
            *self._table.notes,
            *(
                f"The column {name!r} of {self.path} has {count:,} values other than the {self._all[name]!r} of its "
                "folder: its own are read."
                for name, count in self._differing.items()
                if count
            ),
        )

    @property
    def encoding(self) -> str | None:
        """That of a text format's file; complete after reading."""
        return self._table.encoding

    @property
    def escaped_quotes(self) -> bool:
        """Quotes in fields are escaped by a backslash; known after reading."""
        return self._table.escaped_quotes

    @property
    def is_misread(self) -> bool:
        """Reading showed that the table must be read anew (see `Table`)."""
        return self._table.is_misread

    @is_misread.setter
    def is_misread(self, value: bool) -> None:
        self._table.is_misread = value

    def read_blocks(self, columns: Sequence[str] | None, start: int = 0) -> Iterator[Block]:
        """Yield the rows from `start` on (see `Table`)."""
        given, self._differing = self.partitions, dict.fromkeys(self._all, 0)
        own = None if columns is None else [name for name in columns if name not in given]
        for block in self._table.read_blocks(own, start):
            for name in self.repeated:
                if name in block.frame.columns:
                    self._differing[name] += _count_others(block.frame[name], self._all[name])
            filled = [
                pl.Series(name, [value], dtype=pl.String).new_from_index(0, block.rows)
                for name, value in given.items()
                if name not in block.frame.columns and (columns is None or name in columns)
            ]
            if not filled:
                yield block
                continue
            frame = pl.DataFrame({series.name: series for series in (*block.frame, *filled)})
            if columns is not None:
                frame = frame.select(columns)
            if block.problems:
                frame = _clear_rows(frame, [problem.row for problem in block.problems])
            yield replace(block, frame=frame)

    def open_images(self) -> ImageLookup | None:
        """Return where the images are looked up that the table brings itself; None: it brings none."""
        return self._table.open_images()

    def check_readable(self, columns: Sequence[str]) -> None:
        """Check that these columns can be read (see `Table`)."""
        self._table.check_readable(columns)


def _count_others(values: pl.Series, value: str | None) -> int:
    """Count the values of a column that differ from its folder's; null is none."""
    given = values.drop_nulls()
    if value is None or given.dtype.is_nested() or given.dtype == pl.Binary:
        return len(given)
    differs = given.cast(pl.String) != value
    if differs.any() and given.dtype.is_numeric():
        number = pl.Series([value]).cast(given.dtype, strict=False)
        differs = given.is_in(number.implode()).not_()  # 01 is 1
    return int(differs.sum())


def _clear_rows(frame: pl.DataFrame, rows: Sequence[int]) -> pl.DataFrame:
    """Make rows null in every column."""
    readable = pl.Series([True] * len(frame)).scatter(list(rows), False)
    return frame.select(pl.when(readable).then(pl.col(name)).alias(name) for name in frame.columns)
