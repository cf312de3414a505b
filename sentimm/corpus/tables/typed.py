"""What tables with types of their own (Parquet, Arrow) have in common: their Arrow data as frames."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from sentimm.corpus.tables.base import Block, Table, find_repeated, read_arrow
from sentimm.corpus.tables.text_stream import describe_damage
from sentimm.corpus.wording import shorten_name
from sentimm.errors import TableError

BLOCK_BYTES = 16 << 20  # decoded; images as bytes are a hundred kilobytes each
MAX_BLOCK_ROWS = 16_384
_BINARY = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
_EXTENSION = b"ARROW:extension:name"
_OFFSET = re.compile(r"[+-]\d\d:\d\d")


class TypedTable(Table):
    """A file whose columns have types.

    Args:
        path: the file.
        schema: its columns.

    A column of a type that polars lacks is an `Object`: it can be left out, and not be read.

    Raises:
        TableError: two columns have one name, or one has a name that can't be used.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        if (twice := find_repeated(schema.names)) is not None:
            raise TableError(f"{path} has more than one column named {shorten_name(twice)!r}: rename one of them.")
        if strange := next((name for name in schema.names if "\0" in name), None):
            raise TableError(f"{path} has a NUL in the name of the column {shorten_name(strange)!r}: rename it.")
        super().__init__(path, schema.names)
        self.types = {field.name: _find_type(field) for field in schema}
        self._schema = schema
        self._is_damaged = False

    @property
    def notes(self) -> tuple[str, ...]:
        """How the file is read, in sentences; complete after reading."""
        return (describe_damage(self.path),) if self._is_damaged else ()

    def check_readable(self, columns: Sequence[str]) -> None:
        """Check that polars has the types of these columns (see `Table`)."""
        for name in columns:
            if self.types.get(name) == pl.Object:
                raise TableError(
                    f"{self.path} has a column {name!r} of the type {self._schema.field(name).type}, which is not "
                    "supported: leave it out with --columns."
                )

    def _make_blocks(self, batch: pa.RecordBatch, columns: Sequence[str], skip: int) -> Iterator[Block]:
        """Turn a batch, its first `skip` rows left out, into blocks of bounded size.

        Raises:
            pyarrow.ArrowInvalid: the batch is damaged.
        """
        table = pa.Table.from_batches([batch]).select(columns)
        table.validate()  # its size is computed from offsets
        rows = choose_rows(table.nbytes, table.num_rows)
        for first in range(skip, table.num_rows, rows):
            piece, is_damaged = _mend_strings(table.slice(first, rows))
            self._is_damaged = self._is_damaged or is_damaged
            yield Block(_to_frame(piece), piece.num_rows)


def choose_rows(size: int, rows: int) -> int:
    """Choose how many rows are read at a time, of a table of which `rows` rows have `size` bytes."""
    return max(1, min(MAX_BLOCK_ROWS, BLOCK_BYTES // (size // max(1, rows) + 1)))


def first_line(error: Exception) -> str:
    """Return the first line of what pyarrow says of a file, for the middle of a sentence."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _mend_strings(table: pa.Table) -> tuple[pa.Table, bool]:
    """Replace what is no UTF-8: polars trusts strings, and falls over such."""
    try:
        table.validate(full=True)
        return table, False
    except pa.ArrowInvalid:
        for index, field in enumerate(table.schema):
            if (binary := _BINARY.get(field.type)) is not None:
                column = pa.chunked_array([chunk.view(binary) for chunk in table.column(index).chunks], binary)
                column.validate(full=True)  # nothing may be read by offsets that lead out of the data
                values = column.to_pylist()
                decoded = [value if value is None else value.decode(errors="replace") for value in values]
                table = table.set_column(index, field.name, pa.array(decoded, pa.large_string()))
        table.validate(full=True)
        return table, True


def _find_type(field: pa.Field) -> pl.DataType:
    if pa.types.is_decimal256(field.type) or pa.types.is_interval(field.type):
        return pl.Object()  # polars panics over these, which prints a trace
    try:
        return _to_frame(pa.schema([field]).empty_table()).dtypes[0]
    except (Exception, pl.exceptions.PanicException):  # polars raises several kinds
        return pl.Object()


def _to_frame(table: pa.Table) -> pl.DataFrame:
    """Make a frame of a table: dictionaries become their values, extension types what they are stored as.

    Polars knows the names of time zones, and of offsets (+05:30) some: those become UTC, of the same instants.
    """
    for index, field in enumerate(table.schema):
        column = table.column(index)
        if isinstance(field.type, pa.BaseExtensionType):
            column = pa.chunked_array([chunk.storage for chunk in column.chunks], field.type.storage_type)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_timestamp(column.type) and _OFFSET.fullmatch(column.type.tz or ""):
            column = column.cast(pa.timestamp(column.type.unit, "UTC"))
        if column.type != field.type or _EXTENSION in (field.metadata or {}):
            table = table.set_column(index, field.name, column)
    return read_arrow(table)
