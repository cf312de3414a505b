"""Parquet files, as blocks with their own types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sentimm.corpus.blocks import Block, cut_block, find_repeated, read_arrow
from sentimm.corpus.columns import shorten_name
from sentimm.corpus.streams import describe_damage
from sentimm.errors import TableError

_BLOCK_BYTES = 16 << 20  # decoded; images as bytes are a hundred kilobytes each
_MAX_BLOCK_ROWS = 16_384


class ParquetTable:
    """A Parquet file.

    Raises:
        TableError: the file can't be read, or two columns have one name.
    """

    format = "parquet"
    grows = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_damaged = False
        with self._open() as file:
            schema = file.schema_arrow
            if (twice := find_repeated(schema.names)) is not None:
                raise TableError(f"{path} has more than one column named {shorten_name(twice)!r}: rename one of them.")
            if strange := next((name for name in schema.names if "\0" in name), None):
                raise TableError(f"{path} has a NUL in the name of the column {shorten_name(strange)!r}: rename it.")
            self.columns: tuple[str, ...] = tuple(schema.names)
            self.rows: int = file.metadata.num_rows
            self.types: Mapping[str, pl.DataType] = {field.name: self._find_type(field) for field in schema}

    @property
    def notes(self) -> tuple[str, ...]:
        """How the file is read, in sentences; complete after it was read."""
        return (describe_damage(self.path),) if self._is_damaged else ()

    def read_blocks(self, columns: Sequence[str] | None, start: int = 0) -> Iterator[Block]:
        """Give the rows from `start` on (see `Table`); row groups before are not read."""
        columns = self.columns if columns is None else columns
        with self._open() as file:
            for group in range(file.num_row_groups):
                metadata = file.metadata.row_group(group)
                skip, start = start, max(0, start - metadata.num_rows)
                if skip < metadata.num_rows:
                    yield from self._read_group(file, group, list(columns), skip)

    def _read_group(self, file: pq.ParquetFile, group: int, columns: list[str], skip: int) -> Iterator[Block]:
        metadata = file.metadata.row_group(group)
        row_bytes = metadata.total_byte_size // max(1, metadata.num_rows) + 1
        rows = max(1, min(_MAX_BLOCK_ROWS, _BLOCK_BYTES // row_bytes))
        try:
            for batch in file.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False):
                skipped, skip = skip, max(0, skip - batch.num_rows)
                if skipped < batch.num_rows:
                    table = pa.Table.from_batches([batch]).select(columns)
                    yield cut_block(Block(_to_frame(self._mend_strings(table)), batch.num_rows), skipped)
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"{self.path} is damaged, it can't be read to its end: {_first_line(error)}.") from error

    def _mend_strings(self, table: pa.Table) -> pa.Table:
        """Replace what is no UTF-8: polars trusts strings, and falls over such."""
        try:
            table.validate(full=True)
            return table
        except pa.ArrowInvalid:
            self._is_damaged = True
        for index, field in enumerate(table.schema):
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
                values = table.column(index).cast(pa.large_binary()).to_pylist()
                decoded = [value if value is None else value.decode(errors="replace") for value in values]
                table = table.set_column(index, field.name, pa.array(decoded, pa.large_string()))
        table.validate(full=True)
        return table

    def _open(self) -> pq.ParquetFile:
        try:
            # Buffered columns: a row group may be far larger than what is read at a time.
            return pq.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20)
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"{self.path} can't be read as Parquet: {_first_line(error)}.") from error

    def _find_type(self, field: pa.Field) -> pl.DataType:
        try:
            if pa.types.is_decimal256(field.type):
                raise TypeError("polars has no such type")  # and panics, which prints a trace
            frame = _to_frame(pa.schema([field]).empty_table())
        except (Exception, pl.exceptions.PanicException) as error:  # polars raises several kinds
            raise TableError(
                f"{self.path} has a column {field.name!r} of the type {field.type}, which can't be carried over: "
                "leave it out of the table."
            ) from error
        return frame.dtypes[0]


def _to_frame(table: pa.Table) -> pl.DataFrame:
    """Turn a table into a frame; dictionaries become their values, whose type the file has anyway."""
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(field.type.value_type))
    return read_arrow(table)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
