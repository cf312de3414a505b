"""Text files of a post a line, behind its label where fastText is to learn from them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from sentimm.corpus.tables.base import Block, Problem, Table, cut_block
from sentimm.corpus.tables.delimited_records import MAX_RAW_BYTES, MAX_RECORD_BYTES
from sentimm.corpus.tables.text_stream import TextStream, split_lines
from sentimm.errors import TableError

_TEXT, _LABEL = "text", "label"
_LABELS = re.compile(r"\s*((?:__label__\S+(?:\s+|\Z))+)")
_LOOK_LINES = 30


class LineTable(Table):
    """A text file, each line of which is a post; a blank one has no text.

    Where most of the first lines begin with a label of fastText (`__label__positive`), it is a column of its own.

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
        self._has_labels = _begin_with_labels(head)
        if self._has_labels:
            self._columns = dict.fromkeys((_LABEL, _TEXT))
            self.types = {_LABEL: pl.String(), _TEXT: pl.String()}

    @property
    def notes(self) -> tuple[str, ...]:
        """How the file is read, in sentences; complete after reading."""
        begin = ", and its beginning (__label__) the post's label" if self._has_labels else ""
        return (f"Each line of {self.path} is a post{begin}.", *self._stream.notes)

    @property
    def encoding(self) -> str:
        """That of the file."""
        return self._stream.encoding

    def read_blocks(self, columns: Sequence[str] | None, start: int = 0) -> Iterator[Block]:
        """Yield the lines from `start` on (see `Table`)."""
        for lines in split_lines(self._stream, MAX_RECORD_BYTES):
            skip, start = min(start, len(lines)), max(0, start - len(lines))
            if skip < len(lines):
                block = cut_block(_make_block(lines, self._has_labels), skip)
                yield replace(block, frame=block.frame.select(self.columns if columns is None else columns))


def _begin_with_labels(head: bytes) -> bool:
    lines = [line for line in head[:MAX_RAW_BYTES].decode(errors="replace").splitlines() if line.strip()][:_LOOK_LINES]
    return 2 * sum(map(bool, map(_LABELS.match, lines))) > len(lines)


def _make_block(lines: list[bytes], has_labels: bool) -> Block:
    problems = tuple(
        Problem(row, line[:MAX_RAW_BYTES].decode(errors="replace"), "is a line of more than 16 MB")
        for row, line in enumerate(lines)
        if len(line) > MAX_RECORD_BYTES
    )
    long = {problem.row for problem in problems}
    texts = [
        None if row in long or not line.strip() else line.removesuffix(b"\r").decode() for row, line in enumerate(lines)
    ]
    frame = pl.DataFrame({_TEXT: texts}, schema={_TEXT: pl.String})
    if has_labels:
        found = [None if text is None else _LABELS.match(text) for text in texts]
        labels = [match and " ".join(match[1].replace("__label__", "").split()) for match in found]
        rest = [text[match.end() :] if text and match else text for text, match in zip(texts, found, strict=True)]
        frame = pl.DataFrame({_LABEL: labels, _TEXT: rest}, schema={_LABEL: pl.String, _TEXT: pl.String})
    return Block(frame, len(lines), problems)
