"""Where the records of a CSV file begin and end, damaged quotes included.

A quote that opens a field and is never closed would swallow all records up to the next quote, in any reader. Here
quotes are checked before a block is parsed: a quoted field that is followed by something else than a delimiter, or
that is not closed, makes its line an unreadable record, and reading resumes at the next line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# A post with a longer record is none: the bound on what a damaged file can take.
MAX_RECORD_BYTES = 16 << 20
MAX_RAW_BYTES = 1 << 20  # of a record that can't be read, kept for the person who looks for it

_QUOTE, _LF, _CR = b'"\n\r'
_NEWLINE = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class Records:
    """What a buffer holds: whole, well-formed records, and damaged lines among them.

    Attributes:
        good: the well-formed records, one after the other.
        damaged: (index among all records of the buffer, raw line) of those that are not well-formed.
        size: how many bytes of the buffer these are; the rest is an incomplete record.
    """

    good: bytes
    damaged: tuple[tuple[int, bytes], ...]
    size: int


class RecordSplitter:
    """Splits buffers of a delimited file into records.

    Args:
        delimiter: one ASCII character.
        skip_blank: an empty line is no record (else it is one with an empty field).
        literal_quotes: read a line whose quotes are not in order as if quotes had no meaning (the custom of many TSV
            files); else such a line is damaged.
        escaped_quotes: in a quoted field a backslash escapes the character after it.
    """

    def __init__(self, delimiter: str, skip_blank: bool, literal_quotes: bool, escaped_quotes: bool = False) -> None:
        self.delimiter = delimiter
        self._skip_blank = skip_blank
        self._literal_quotes = literal_quotes
        self._escaped_quotes = escaped_quotes
        self._skipping_line = False  # the rest of a line that was too long
        mark = re.escape(delimiter.encode())
        # No possessive groups: before Python 3.11.5 they match wrongly (CPython issue 106052), and rows were lost.
        quoted = rb'"[^"\\]*+(?:(?:""|\\[\s\S])[^"\\]*+)*' if escaped_quotes else rb'"[^"]*+(?:""[^"]*+)*'
        field = rb"(?:" + quoted + rb'"|(?!")[^\r\n' + mark + rb"]*+)"
        fields = field + rb"(?:" + mark + field + rb")*"
        self._record = re.compile(fields + rb"(?:\r\n|\n|\r|\Z)")
        self._open = re.compile(rb"(?:" + field + mark + rb")*?" + quoted + rb'["\\]?\Z')
        self._fields = re.compile(rb"(?:" + field + mark + rb")*")
        self._quoted = re.compile(quoted)

    def split(self, buffer: bytes, final: bool) -> Records:
        """Split `buffer` into records; with `final` it is the file's last, and its last record may lack a newline."""
        start = 0
        if self._skipping_line:
            newline = _NEWLINE.search(buffer)
            self._skipping_line = newline is None
            start = newline.end() if newline else len(buffer)
            buffer = buffer[start:]
        size = None if self._escaped_quotes else self._find_end_fast(buffer, final)
        if size is None or (size == 0 and len(buffer) > MAX_RECORD_BYTES):
            records = self._split_carefully(buffer, final)
            return Records(records.good, records.damaged, start + records.size)
        return Records(buffer[:size], (), start + size)

    def find_first_end(self, buffer: bytes, start: int) -> int | None:
        """Find where the record that begins at `start` ends; None where its quotes are not in order."""
        match = self._record.match(buffer, start)
        return match.end() if match else None

    def _find_end_fast(self, buffer: bytes, final: bool) -> int | None:
        """Find the end of the last whole record, where all quotes are in order; None where they are not."""
        bytes_ = np.frombuffer(buffer, dtype=np.uint8)
        quotes = np.flatnonzero(bytes_ == _QUOTE)
        if len(quotes) and not self._are_in_order(bytes_, quotes, final):
            return None
        if final:
            return len(buffer)
        # A carriage return at the buffer's end may be half of a newline.
        newline = max(buffer.rfind(b"\n"), buffer.rfind(b"\r", 0, len(buffer) - 1))
        if np.searchsorted(quotes, newline) % 2 == 0:
            return newline + 1
        newlines = np.flatnonzero((bytes_[:newline] == _LF) | (bytes_[:newline] == _CR))
        outside = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
        return int(outside[-1]) + 1 if len(outside) else 0

    def _are_in_order(self, bytes_: npt.NDArray[np.uint8], quotes: npt.NDArray[np.intp], final: bool) -> bool:
        if final and len(quotes) % 2:
            return False
        opening, closing = quotes[0::2], quotes[1::2]
        before = bytes_[opening - 1]  # of a first byte this is the last one: set below
        fine = (before == ord(self.delimiter)) | (before == _LF) | (before == _CR) | (before == _QUOTE)
        fine[0] |= opening[0] == 0
        # A quote before an opening one must be the other half of a doubled quote: the one that closed.
        after_index = closing + 1
        inside = after_index < len(bytes_)
        after = bytes_[after_index[inside]]
        ends = (after == ord(self.delimiter)) | (after == _LF) | (after == _CR) | (after == _QUOTE)
        return bool(fine.all() and ends.all())

    def _split_carefully(self, buffer: bytes, final: bool) -> Records:
        """Split `buffer` record by record; a line whose quotes are not in order is damaged."""
        good: list[bytes] = []
        damaged: list[tuple[int, bytes]] = []
        position = taken = index = doomed = 0
        while position < len(buffer):
            is_doomed = position < doomed
            match = self._record.match(buffer, position, _find_line_end(buffer, position) if is_doomed else len(buffer))
            is_cut = not final and not is_doomed and self._is_incomplete(buffer, position, match)
            if is_cut:
                if len(buffer) - position <= MAX_RECORD_BYTES:
                    break
                match = None
            if match:
                index += not (self._skip_blank and buffer[position] in (_LF, _CR))
                position = match.end()
                continue
            newline = _NEWLINE.search(buffer, position)
            if not final and not _is_whole(newline, buffer) and len(buffer) - position <= MAX_RECORD_BYTES:
                break
            if not is_doomed:
                doomed = self._find_doomed(buffer, position, is_cut)
            good.append(buffer[taken:position])
            line = buffer[position : newline.start() if newline else len(buffer)]
            if self._literal_quotes and len(line) <= MAX_RECORD_BYTES:
                good.append(self._quote_literally(line))
            else:
                damaged.append((index, line[:MAX_RAW_BYTES]))
            index += 1
            position = taken = newline.end() if newline else len(buffer)
            self._skipping_line = newline is None and not final
        good.append(buffer[taken:position])
        return Records(b"".join(good), tuple(damaged), position)

    def _find_doomed(self, buffer: bytes, position: int, is_cut: bool) -> int:
        """Find up to where a line that leaves a quote open is damaged, as the record at `position` is not well-formed.

        All lines up to its flaw begin inside of its quotes. One of them that leaves a quote open meets the same flaw,
        and to look for it again each time would take hours. Where the buffer `is_cut`, its end is the flaw.
        """
        flaw = len(buffer) - 1
        fields = self._fields.match(buffer, position)
        if not is_cut and fields and (quoted := self._quoted.match(buffer, fields.end())):
            flaw = quoted.end()
        line = max(buffer.rfind(b"\n", position, flaw), buffer.rfind(b"\r", position, flaw)) + 1
        return min(line, len(buffer) - MAX_RECORD_BYTES) if is_cut else line

    def _is_incomplete(self, buffer: bytes, position: int, match: re.Match[bytes] | None) -> bool:
        if match:
            return match.end() == len(buffer) and buffer[-1] != _LF
        return self._open.match(buffer, position) is not None

    def _quote_literally(self, line: bytes) -> bytes:
        """Write a line anew so that its quotes are part of its fields."""
        mark = self.delimiter.encode()
        if self._escaped_quotes:
            line = line.replace(b"\\", b"\\\\")
        fields = (b'"' + field.replace(b'"', b'""') + b'"' if field else b"" for field in line.split(mark))
        return mark.join(fields) + b"\n"


def _find_line_end(buffer: bytes, position: int) -> int:
    newline = _NEWLINE.search(buffer, position)
    return newline.end() if newline else len(buffer)


def _is_whole(newline: re.Match[bytes] | None, buffer: bytes) -> bool:
    """Check whether a newline was found and is all there: a carriage return at the end may be half of one."""
    return newline is not None and (newline.end() < len(buffer) or buffer[-1] == _LF)
