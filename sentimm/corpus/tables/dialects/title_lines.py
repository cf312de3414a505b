"""Lines above a header: titles and comments, as reports of Brandwatch and the like begin, and `# exported by ...`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sentimm.corpus.columns.choice import is_usual_name
from sentimm.corpus.tables.delimited_records import RecordSplitter

_LOOK_BYTES = 1 << 16  # in which the records are compared with the header
_MOST_LINES = 30  # above a header
_MAX_NAME = 100
_MOST = 0.9  # of the records have the header's number of fields
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_BLANK = " \t,;|"
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"[\d\s.,:/+-]*")


@dataclass(frozen=True)
class TitleLines:
    """What stands above a header.

    Attributes:
        size: how many bytes.
        count: how many lines, the blank ones left out.
        first: the first one.
    """

    size: int
    count: int
    first: str


@dataclass(frozen=True)
class _Line:
    """A line: where it begins and ends, its fields, and whether a blank one goes before it."""

    start: int
    end: int
    text: str
    follows_blank: bool

    @property
    def is_comment(self) -> bool:
        return self.text.startswith("#")

    def split(self, delimiter: str) -> list[str]:
        return _split_line(self.text, delimiter)

    def is_filled(self, delimiter: str) -> bool:
        """Check whether a spreadsheet filled the line with delimiters up to the width of its table."""
        return self.text.endswith(delimiter)


def find_title_lines(head: bytes, delimiters: Sequence[str]) -> TitleLines | None:
    """Find the lines above the header of a table, where it is plain which line that is; None: it is the first.

    The records after a header have its number of fields. A line above it is a comment (#), or has fewer fields: one,
    or some where the header follows a blank line or has a usual name.

    Args:
        head: the beginning of the file, from its first line that is not blank on.
        delimiters: those that may stand between the fields, the likely ones first.
    """
    lines = _list_lines(head)
    if not lines or not _may_be_title(lines[0], head, delimiters):
        return None
    for place in range(1, len(lines)):
        if _is_header(lines, place, head, delimiters):
            return TitleLines(lines[place].start, place, lines[0].text)
    return None


def _list_lines(head: bytes) -> list[_Line]:
    lines: list[_Line] = []
    follows_blank = False
    for line in _LINE.finditer(head, 0, _LOOK_BYTES):
        text = line[0].decode(errors="replace").strip("\r\n")
        if not text.strip(_BLANK):  # a spreadsheet writes blank rows as delimiters
            follows_blank = True
        else:
            lines.append(_Line(line.start(), line.end(), text, follows_blank))
            follows_blank = False
        if len(lines) > _MOST_LINES:
            break
    return lines


def _may_be_title(first: _Line, head: bytes, delimiters: Sequence[str]) -> bool:
    """Check whether the first line may be no header: it has no usual name, and is a comment or unlike what follows."""
    delimiter = _choose_delimiter(first.text, delimiters)
    if any(is_usual_name(name.lstrip("# ")) for name in first.split(delimiter)):
        return False
    if first.is_comment or first.is_filled(delimiter):
        return True
    lines = head[: _LOOK_BYTES // 4].decode(errors="replace").splitlines()[1:_MOST_LINES]
    return any(line.count(delimiter) != first.text.count(delimiter) for line in lines if line)


def _is_header(lines: Sequence[_Line], place: int, head: bytes, delimiters: Sequence[str]) -> bool:
    line = lines[place]
    delimiter = _choose_delimiter(line.text, delimiters)
    names, above = line.split(delimiter), lines[:place]
    is_usual = any(map(is_usual_name, names))
    if line.is_comment or not _can_be_names(names, is_usual):
        return False
    if len(names) < 3 and not is_usual and not all(each.is_comment for each in above):
        return False
    if len(names) == 1 and not (is_usual and all(each.is_comment for each in above)):
        return False
    has_gap = any(each.follows_blank for each in lines[1 : place + 1])
    is_sure = is_usual or has_gap
    if not all(_is_above(each, delimiter, len(names), is_usual, is_sure) for each in above):
        return False
    is_plain = is_usual or all(each.is_comment for each in above)
    if not (is_plain or has_gap) and any(
        _WORD.fullmatch(each.text) for each in above
    ):  # that may be the name of the only column
        return False
    return fit_header(head[line.end :], len(names), delimiter, at_least=1 if is_plain else 3)


def _is_above(line: _Line, delimiter: str, width: int, is_usual: bool, is_sure: bool) -> bool:
    """Check whether a line can stand above a header of `width` names, which has a usual name, or is sure to be one."""
    fields = line.split(delimiter)
    if line.text.count('"') % 2:  # the header itself may be of two lines
        return False
    if line.is_comment and (is_usual or len(fields) != width):
        return True
    given = "".join(f"{field}\0" for field in fields).rstrip("\0").split("\0")
    is_short = len(fields) == 1 or (is_sure and len(given) < width)
    return is_short and not any(map(is_usual_name, fields))


def _can_be_names(names: Sequence[str], is_usual: bool) -> bool:
    """Check whether the fields of a line can be names of columns; those of a sentence begin with spaces."""
    named = names[:-1] if len(names) > 1 and not names[-1] else names
    plain = [name.strip() for name in named]
    if len(set(plain)) < len(plain) or any(len(name) > _MAX_NAME or _NUMBER.fullmatch(name) for name in plain):
        return False
    return is_usual or not any(name.startswith(" ") for name in named)


def fit_header(body: bytes, width: int, delimiter: str, at_least: int) -> bool:
    """Check that `body` has so many records at least, and that nearly all have a header's number of fields."""
    splitter = RecordSplitter(delimiter, skip_blank=True, literal_quotes=delimiter == "\t")
    records = splitter.split(body[:_LOOK_BYTES], final=len(body) < _LOOK_BYTES)
    try:
        text = io.StringIO(records.good.decode(errors="replace"), newline="")
        widths = [len(row) for row in csv.reader(text, delimiter=delimiter) if row]
    except csv.Error:
        return False
    return len(widths) >= at_least and widths.count(width) >= _MOST * (len(widths) + len(records.damaged))


def _choose_delimiter(line: str, delimiters: Sequence[str]) -> str:
    return next((each for each in delimiters if len(_split_line(line, each)) > 1), delimiters[0])


def _split_line(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return [line]
