"""Quotes that a backslash escapes, as Spark and MySQL write them, in place of doubled ones."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

from sentimm.corpus.tables.delimited_records import RecordSplitter

ESCAPED_QUOTE = b'\\"'
_PLAINLY = 10  # of ten records that one reading can't read, the other one can read nine
_PAIR = re.compile(rb'\\([\\"])')


@dataclass(frozen=True)
class Misfits:
    """How many records of a sample don't fit, where quotes are doubled and where they are `escaped`."""

    doubled: int = 0
    escaped: int = 0

    @property
    def prove_escapes(self) -> bool:
        """Escaped quotes explain what doubled ones do not."""
        return 0 < self.doubled >= self.escaped * _PLAINLY

    @property
    def leave_doubts(self) -> bool:
        """Escaped quotes explain more than doubled ones, and not all."""
        return not self.prove_escapes and 0 < self.escaped * 2 <= self.doubled


def count_misfits(data: bytes, delimiter: str, is_whole: bool) -> Misfits:
    """Count the records that don't fit the two readings.

    Args:
        data: from the start of a record on.
        delimiter: between the fields.
        is_whole: the data ends where the file does.
    """
    if ESCAPED_QUOTE not in data:
        return Misfits()
    return Misfits(*(_count_misfits(data, delimiter, escapes, is_whole) for escapes in (False, True)))


def double_quotes(records: bytes, delimiter: str) -> bytes:
    """Write the quoted fields of well-formed records anew, with doubled quotes and without escapes."""
    return _match_quoted(delimiter, True).sub(_double_field, records) if b"\\" in records else records


def _double_field(field: re.Match[bytes]) -> bytes:
    inside = field[0][1:-1]
    return b'"' + _PAIR.sub(lambda pair: b'""' if pair[1] == b'"' else pair[1], inside) + b'"'


def _count_misfits(data: bytes, delimiter: str, escapes: bool, is_whole: bool) -> int:
    """Count the records that are damaged, or have another number of fields than most."""
    splitter = RecordSplitter(delimiter, skip_blank=True, literal_quotes=False, escaped_quotes=escapes)
    records = splitter.split(data, final=is_whole)
    lines = [line for line in _match_quoted(delimiter, escapes).sub(b'""', records.good).splitlines() if line]
    widths = Counter(line.count(delimiter.encode()) for line in lines)
    return len(records.damaged) + len(lines) - max(widths.values(), default=0)


@cache
def _match_quoted(delimiter: str, escapes: bool) -> re.Pattern[bytes]:
    """Return the pattern of a quoted field, which begins where a field does."""
    start = rb"(?<![^\r\n" + re.escape(delimiter.encode()) + rb"])"
    inside = rb'[^"\\]*+(?:(?:""|\\[\s\S])[^"\\]*+)*' if escapes else rb'[^"]*+(?:""[^"]*+)*'
    return re.compile(start + b'"' + inside + b'"')
