"""JSON documents: one array of posts, alone, in an object (`{"messages": [...]}`) or behind JavaScript's `name =`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import ijson
import numpy as np

from sentimm.corpus.columns import TEXT_NAMES
from sentimm.corpus.tables.base import Block, Problem, Table
from sentimm.corpus.tables.json_files.ndjson import build_block, check_keys, clean_record, list_keys
from sentimm.corpus.tables.text_stream import TextStream
from sentimm.errors import TableError

_ASSIGNMENT = re.compile(rb"\A\s*(?:(?:var|let|const)\s+)?[A-Za-z_$][\w$.]*\s*=\s*(?=[\[{])")
_BLOCK_RECORDS = 10_000
_HEAD_RECORDS = 64
_MAX_DEPTH = 20_000  # what follows takes time by its square


class JsonDocument(Table):
    """A file that is one JSON document; its posts are the objects of its one array of them.

    Raises:
        TableError: the file is no JSON, or has no array of objects, or several that may be meant.
    """

    format = "json"
    grows = True

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        super().__init__(path)
        self._stream = TextStream(path, encoding)
        self._prefix = self._find_array()
        for records, _ in self._read_records(0, _HEAD_RECORDS):
            self._columns.update(list_keys(records))
            break

    @property
    def notes(self) -> tuple[str, ...]:
        """How the file is read, in sentences; complete after reading."""
        name = self._prefix.removesuffix("item").rstrip(".")
        where = f"the array {name!r}" if name else "one array"
        return (f"{self.path} is one JSON document: its posts are the objects in {where}.", *self._stream.notes)

    @property
    def encoding(self) -> str:
        """That of the file."""
        return self._stream.encoding

    def read_blocks(self, columns: Sequence[str] | None, start: int = 0) -> Iterator[Block]:
        """Yield the rows from `start` on (see `Table`): scalars as their JSON text, nested values as JSON."""
        for records, problems in self._read_records(start, _BLOCK_RECORDS):
            keys = list_keys(records)
            self._columns.update(keys)
            check_keys(self.path, len(self._columns))
            yield build_block(records, list(keys) if columns is None else columns, problems)

    def _read_records(self, start: int, size: int) -> Iterator[tuple[list[dict[str, Any]], list[Problem]]]:
        """Yield the objects from `start` on, `size` at a time; what is none is an empty one and a problem."""
        items = islice(self._parse(), start, None)
        while some := list(islice(items, size)):
            problems = [
                Problem(row, str(item)[:1000], "is not a JSON object")
                for row, item in enumerate(some)
                if not isinstance(item, dict)
            ]
            yield [clean_record(item) if isinstance(item, dict) else {} for item in some], problems

    def _parse(self) -> Iterator[Any]:
        try:
            yield from ijson.items(_Reader(self.path, self._stream), self._prefix, use_float=True)
        except ijson.JSONError as error:
            raise self._explain(error) from error

    def _find_array(self) -> str:
        """Find the array of the posts: the only one of objects, or the only one whose first object has a text.

        It is the document itself or a value in it. Returns its prefix for ijson.
        """
        found: dict[str, bool] = {}  # for each array of objects, its items' prefix: the first one has a text
        arrays: set[str] = set()
        current: str | None = None
        try:
            for prefix, event, value in ijson.parse(_Reader(self.path, self._stream), use_float=True):
                if event == "start_array" and "." not in prefix:  # the document, or a value in it
                    arrays.add(f"{prefix}.item".lstrip("."))
                elif event == "start_map" and prefix in arrays:
                    current = None if prefix in found else prefix
                    found.setdefault(prefix, False)
                    if prefix == "item":
                        return "item"
                elif event == "map_key" and prefix == current and value in TEXT_NAMES:
                    found[prefix] = True
        except ijson.JSONError as error:
            raise self._explain(error) from error
        for chosen in (list(found), [name for name, has_text in found.items() if has_text]):
            if len(chosen) == 1:
                return chosen[0]
        if not found:
            raise TableError(
                f"{self.path} holds no array of JSON objects: expected one object per line, or an array of objects."
            )
        names = ", ".join(name.removesuffix(".item") for name in found)
        raise TableError(
            f"{self.path} holds several arrays of objects ({names}): write the posts' one to a file of its own, as "
            f"`jq -c '.{next(iter(found)).removesuffix('.item')}[]'` does."
        )

    def _explain(self, error: Exception) -> TableError:
        reason = " ".join(str(error).split())[:200]
        return TableError(f"{self.path} can't be read to its end: it is no valid JSON ({reason}).")


class _Reader:
    """The bytes of a stream as a file for ijson, without an assignment before them."""

    def __init__(self, path: Path, stream: TextStream) -> None:
        self._path = path
        self._blocks = iter(stream)
        self._rest = b""
        self._is_started = False

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes; b"" at the end."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return b""
            if _measure_depth(block) > _MAX_DEPTH:
                raise TableError(f"{self._path} is nested too deeply to hold posts.")
            if not self._is_started and block.strip():
                block, self._is_started = _ASSIGNMENT.sub(b"", block, count=1), True
            self._rest = block
        data, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return data


def _measure_depth(block: bytes) -> int:
    """Return how deeply a block may be nested in itself; brackets in its strings count too."""
    codes = np.frombuffer(block, dtype=np.uint8)
    steps = ((codes == ord("[")) | (codes == ord("{"))).astype(np.int8)
    steps -= (codes == ord("]")) | (codes == ord("}"))
    depth = np.cumsum(steps, dtype=np.int32)
    return int((depth - np.minimum.accumulate(depth)).max(initial=0))


def is_document(head: bytes) -> bool:
    """Check whether a file that begins with `head` is one JSON document rather than an object a line."""
    head = _ASSIGNMENT.sub(b"", head, count=1).lstrip()
    if head.startswith(b"["):
        return True
    line, _, rest = head.partition(b"\n")
    line, rest = line.rstrip(), rest.lstrip()
    # Over several lines: the first opens an object and does not close it; what follows is no object of NDJSON.
    is_open = line.startswith(b"{") and not line.endswith(b"}") and bool(rest)
    return is_open and (line.endswith((b"{", b"[", b",", b":")) or not rest.startswith(b"{"))
