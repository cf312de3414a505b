"""Parquet files, as blocks with their own types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sentimm.corpus.tables.base import Block
from sentimm.corpus.tables.typed import TypedTable, choose_rows, first_line
from sentimm.errors import TableError
from sentimm.storage import is_remote, open_file


class ParquetTable(TypedTable):
    """A Parquet file.

    Raises:
        TableError: the file can't be read, or see `TypedTable`.
    """

    format = "parquet"

    def __init__(self, path: Path) -> None:
        with _open(path) as file:
            super().__init__(path, file.schema_arrow)
            self.rows: int = file.metadata.num_rows

    def read_blocks(self, columns: Sequence[str] | None, start: int = 0) -> Iterator[Block]:
        """Yield the rows from `start` on (see `Table`); row groups before are not read."""
        columns = self.columns if columns is None else columns
        self.check_readable(columns)
        with _open(self.path) as file:
            for group in range(file.num_row_groups):
                metadata = file.metadata.row_group(group)
                skip, start = start, max(0, start - metadata.num_rows)
                if skip < metadata.num_rows:
                    yield from self._read_group(file, group, list(columns), skip)

    def _read_group(self, file: pq.ParquetFile, group: int, columns: list[str], skip: int) -> Iterator[Block]:
        metadata = file.metadata.row_group(group)
        rows = choose_rows(metadata.total_byte_size, metadata.num_rows)
        try:
            for batch in file.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False):
                skipped, skip = skip, max(0, skip - batch.num_rows)
                yield from self._make_blocks(batch, columns, skipped)
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"{self.path} is damaged and can't be read to its end: {first_line(error)}.") from error


def _open(path: Path) -> pq.ParquetFile:
    try:
        source = open_file(path) if is_remote(path) else path
        # Buffered columns: a row group may be far larger than what is read at a time.
        return pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20)
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path} can't be read as Parquet: {first_line(error)}.") from error
