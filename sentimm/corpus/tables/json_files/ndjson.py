"""NDJSON files, one JSON object a line, as blocks of strings and the kinds of value that they were."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from sentimm.corpus.tables.base import Block, Problem, Table
from sentimm.corpus.tables.delimited_records import MAX_RAW_BYTES, MAX_RECORD_BYTES
from sentimm.corpus.tables.text_stream import TextStream, split_lines
from sentimm.corpus.wording import to_utf8
from sentimm.errors import TableError

_MAX_EXACT = 2**53  # every integer up to it is a float64
_MAX_INT64 = 2**63 - 1
_MARK_VALUE = uuid.uuid4().hex
_MARK = f',"{_MARK_VALUE}",'.encode()
_MAX_DEPTH = 200  # a constant: Python's own limit depends on who calls, and the survey and the reader must agree
MAX_KEYS = 10_000  # of a file: objects that are keyed by a post's id have no columns
MAX_CELLS = 1 << 23  # of a block: objects may have thousands of different keys, a few each
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?')
_BRACKET = re.compile(rb"[\[\]{}]")
_KINDS = {str: "string", bool: "boolean", int: "integer", float: "float", dict: "nested", list: "nested"}


class NdjsonTable(Table):
    """An NDJSON file; its columns are the keys of its objects, in order of appearance.

    Raises:
        TableError: the file is empty, or can't be read.
    """

    format = "ndjson"
    grows = True

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        super().__init__(path)
        self._stream = TextStream(path, encoding)
        head = next((block for block in self._stream if block.strip()), b"").lstrip()
        if not head:
            raise TableError(f"{path} is empty: expected one JSON object per line.")
        self._columns = list_keys(parse_lines(next(iter(self._split_stream()), []))[0])

    @property
    def notes(self) -> tuple[str, ...]:
        """How the file is read, in sentences; complete after reading."""
        return self._stream.notes

    @property
    def encoding(self) -> str:
        """That of the file."""
        return self._stream.encoding

    def read_blocks(self, columns: Sequence[str] | None, start: int = 0) -> Iterator[Block]:
        """Yield the rows from `start` on (see `Table`): scalars as their JSON text, nested values as JSON."""
        for lines in self._skip_lines(start):
            records, problems = parse_lines(lines)
            keys = list_keys(records)
            self._columns.update(keys)
            check_keys(self.path, len(self._columns))
            names = list(keys) if columns is None else columns
            rows = max(1, MAX_CELLS // max(1, len(names)))
            for first in range(0, len(records), rows):
                those = [replace(each, row=each.row - first) for each in problems if first <= each.row < first + rows]
                yield build_block(records[first : first + rows], names, those)

    def _skip_lines(self, start: int) -> Iterator[list[bytes]]:
        for lines in self._split_stream():
            skip, start = start, max(0, start - len(lines))
            if skip < len(lines):
                yield lines[skip:]

    def _split_stream(self) -> Iterator[list[bytes]]:
        """Yield the lines that are not blank, a block at a time; of one that is too long, its beginning."""
        for lines in split_lines(self._stream, MAX_RECORD_BYTES):
            yield [line for line in lines if line and not line.isspace()]


def parse_lines(lines: list[bytes]) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Parse lines to objects; one that can't be is an empty object and a problem."""
    records = _parse_at_once(lines)
    problems: list[Problem] = []
    if records is None:
        records = []
        for row, line in enumerate(lines):
            record, reason = _parse_line(line)
            if reason:
                problems.append(Problem(row, line[:MAX_RAW_BYTES].decode(errors="replace").rstrip("\r"), reason))
            records.append(record)
    if any(_clean_key(key) != key for key in list_keys(records)):
        records = list(map(clean_record, records))
    return records, problems


def check_keys(path: Path, keys: int) -> None:
    """Check that a file has not too many different `keys`.

    Raises:
        TableError: it has.
    """
    if keys > MAX_KEYS:
        raise TableError(
            f"{path} has more than {MAX_KEYS:,} different keys, each of which would be a column: write objects that "
            "share their keys."
        )


def clean_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record whose keys are names that columns can have."""
    return {_clean_key(key): value for key, value in record.items()}


def _parse_at_once(lines: list[bytes]) -> list[dict[str, Any]] | None:
    """Parse all lines as one array, three times as fast; None where a line is no object.

    A mark between them, which no file knows, tells when lines close what others opened.
    """
    if any(map(_is_deep, lines)):
        return None
    try:
        values = json.loads(b"[" + _MARK.join(lines) + b"]")
    except (ValueError, RecursionError):
        return None
    records, marks = values[0::2], values[1::2]
    is_sound = len(records) == len(lines) and marks.count(_MARK_VALUE) == len(marks)
    return records if is_sound and set(map(type, records)) <= {dict} else None


def _parse_line(line: bytes) -> tuple[dict[str, Any], str]:
    """Parse one line; where it is no object, an empty one and the reason."""
    if _is_deep(line):
        return {}, "is nested too deeply"
    try:
        record = json.loads(line)
    except RecursionError:
        return {}, "is nested too deeply"
    except json.JSONDecodeError as error:
        return {}, f"is not valid JSON ({error.msg}: line 1 column {error.colno})"
    except ValueError:  # Python's limit for integers
        return {}, "has a number of thousands of digits"
    return (record, "") if type(record) is dict else ({}, "is not a JSON object")


def _is_deep(line: bytes) -> bool:
    """Check whether values in a line are nested too deeply; few lines have so many brackets that they could be."""
    if line.count(b"[") + line.count(b"{") <= _MAX_DEPTH:
        return False
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", line)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > _MAX_DEPTH:
            return True
    return False


def list_keys(records: Iterable[Mapping[str, Any]]) -> dict[str, None]:
    """Return the keys of the records, in order of appearance."""
    return dict.fromkeys(key for keys in dict.fromkeys(map(tuple, records)) for key in keys)


def build_block(records: list[dict[str, Any]], columns: Sequence[str], problems: list[Problem]) -> Block:
    """Build a block with the named `columns` of some objects; a key that one does not have is a null."""
    series, kinds = {}, {}
    for name in columns:
        series[name], kinds[name] = _to_strings(name, [record.get(name) for record in records])
    return Block(pl.DataFrame(series), len(records), tuple(problems), kinds)


def _to_strings(name: str, values: list[Any]) -> tuple[pl.Series, frozenset[str]]:
    """Turn scalars into their JSON text and nested values into JSON, and tell the kinds that there are."""
    types = set(map(type, values)) - {type(None)}
    kinds = {_KINDS[each] for each in types}
    if int in types:
        integers = [value for value in values if type(value) is int]
        largest = max(max(integers), -min(integers))
        kinds |= {"wide"} if largest > _MAX_EXACT else set()
        kinds |= {"huge"} if largest > _MAX_INT64 else set()
        if types == {int} and "huge" not in kinds:
            return pl.Series(name, values, dtype=pl.Int64).cast(pl.String), frozenset(kinds)
    if float in types and any(value != value for value in values):
        kinds |= {"nan"}
    if types - {str}:
        values = [value if value is None or type(value) is str else _write_json(value) for value in values]
    try:
        return pl.Series(name, values, dtype=pl.String), frozenset(kinds)
    except UnicodeEncodeError:
        return pl.Series(name, [value and to_utf8(value) for value in values], dtype=pl.String), frozenset(kinds)


def _clean_key(key: str) -> str:
    """Make a key a name that a column can have."""
    return to_utf8(key).replace("\0", "\N{REPLACEMENT CHARACTER}")


def _write_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
