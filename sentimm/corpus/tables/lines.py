"""Text files of a post a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from sentimm.corpus.tables.base import Block, Problem, Table, cut_block
from sentimm.corpus.tables.delimited_records import MAX_RAW_BYTES, MAX_RECORD_BYTES
from sentimm.corpus.tables.text_stream import TextStream, split_lines
from sentimm.errors import TableError

_TEXT = "text"


class LineTable(Table):
    """A text file, each line of which is a post; a blank one has no text.

    Raises:
        TableError: the file is empty, can't be read, or is no text.
    """

    format = "text"
    types = {_TEXT: pl.String()}  # noqa: RUF012

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        super().__init__(path, (_TEXT,))
        self._stream = TextStream(path, encoding)
        head = next((block for block in self._stream if block), b"")
        if not head:
            raise TableError(f"{path} is empty: expected one post per line.")
        if b"\0" in head[:MAX_RAW_BYTES]:
            raise TableError(f"{path} is not a text file: expected one post per line in UTF-8, or give its --encoding.")

    @property
    def notes(self) -> tuple[str, ...]:
        """How the file is read, in sentences; complete after reading."""
        return (f"Each line of {self.path} is a post.", *self._stream.notes)

    @property
    def encoding(self) -> str:
        """That of the file."""
        return self._stream.encoding

    def read_blocks(self, columns: Sequence[str] | None, start: int = 0) -> Iterator[Block]:
        """Yield the lines from `start` on (see `Table`)."""
        for lines in split_lines(self._stream, MAX_RECORD_BYTES):
            skip, start = min(start, len(lines)), max(0, start - len(lines))
            if skip < len(lines):
                yield cut_block(_make_block(lines, self.columns if columns is None else columns), skip)


def _make_block(lines: list[bytes], columns: Sequence[str]) -> Block:
    problems = tuple(
        Problem(row, line[:MAX_RAW_BYTES].decode(errors="replace"), "is a line of more than 16 MB")
        for row, line in enumerate(lines)
        if len(line) > MAX_RECORD_BYTES
    )
    long = {problem.row for problem in problems}
    texts = [
        None if row in long or not line.strip() else line.removesuffix(b"\r").decode() for row, line in enumerate(lines)
    ]
    return Block(pl.DataFrame({_TEXT: texts}, schema={_TEXT: pl.String}).select(columns), len(lines), problems)
