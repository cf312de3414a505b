"""Arrow IPC files (.arrow, .feather), as blocks with their own types; streams too, such as `datasets` saves them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from sentimm.corpus.tables.base import Block
from sentimm.corpus.tables.formats import ARROW_MAGIC, FEATHER_1_MAGIC
from sentimm.corpus.tables.text_stream import describe_foreign
from sentimm.corpus.tables.typed import TypedTable, first_line
from sentimm.errors import TableError
from sentimm.storage import is_remote, open_file, read_bytes

_MARK = b"\xff\xff\xff\xff"  # begins each message of a stream; alone, with four zeros, it is the stream's end
_END = _MARK + bytes(4)


class ArrowTable(TypedTable):
    """An Arrow IPC file or stream.

    A stream may end at any message: of one that has no mark of its end, a note says so.

    Raises:
        TableError: the file can't be read, or two columns have one name.
    """

    format = "arrow"

    def __init__(self, path: Path) -> None:
        self._is_open_ended = False
        if foreign := describe_foreign(path):
            raise TableError(f"{path} is {foreign}, not an Arrow file: give the file the suffix of its format.")
        with self._open(path, None) as (schema, _):
            super().__init__(path, schema)

    @property
    def notes(self) -> tuple[str, ...]:
        """How the file is read, in sentences; complete after reading."""
        cut = f"{self.path} has no end-of-stream mark: if it was cut off, the rest is missing."
        return (*super().notes, cut) if self._is_open_ended else super().notes

    def read_blocks(self, columns: Sequence[str] | None, start: int = 0) -> Iterator[Block]:
        """Yield the rows from `start` on (see `Table`); those before are skipped, a record batch at a time."""
        columns = list(self.columns if columns is None else columns)
        self.check_readable(columns)
        with self._open(self.path, columns) as (_, batches):
            try:
                for batch in batches:
                    skip, start = start, max(0, start - batch.num_rows)
                    if skip < batch.num_rows:
                        yield from self._make_blocks(batch, columns, skip)
            except (pa.ArrowException, OSError) as error:
                raise TableError(
                    f"{self.path} is damaged and can't be read to its end: {first_line(error)}."
                ) from error

    @contextmanager
    def _open(self, path: Path, columns: Sequence[str] | None) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
        """Open the file: its schema, and its record batches with (at least) these columns."""
        try:
            head = read_bytes(path, 8)
            if head.startswith(FEATHER_1_MAGIC):
                raise TableError(
                    f"{path} is a Feather V1 file, which is not supported: write it again with "
                    "pyarrow.feather.write_feather."
                )
            # Mapped, a batch takes no memory before its rows are looked at, and columns that are not used none at all.
            source = pa.PythonFile(open_file(path), "r") if is_remote(path) else pa.memory_map(str(path), "r")
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"{path} can't be read as Arrow: {first_line(error)}.") from error
        with source:
            is_file = head.startswith(ARROW_MAGIC)
            open_ = pa.ipc.open_file if is_file else pa.ipc.open_stream
            try:
                schema = open_(source).schema
                names = schema.names
                source.seek(0)
                included = None if columns is None else [names.index(name) for name in columns]
                reader = open_(source, options=pa.ipc.IpcReadOptions(use_threads=False, included_fields=included))
            except (pa.ArrowException, OSError, UnicodeError) as error:  # names need not be UTF-8
                raise TableError(f"{path} can't be read as Arrow: {first_line(error)}.") from error
            batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else iter(reader)
            yield schema, batches if is_file or not head.startswith(_MARK) else self._watch(batches, source)

    def _watch(self, batches: Iterator[pa.RecordBatch], source: Any) -> Iterator[pa.RecordBatch]:
        """Yield the batches of a stream, and note whether the mark of its end follows."""
        yield from batches
        source.seek(source.tell() - len(_END))
        self._is_open_ended = source.read(len(_END)) != _END
