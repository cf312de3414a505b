"""Text files that are no post a line: tables and JSON under another name, the chats of WhatsApp, and tables of R."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from sentimm.corpus.columns.choice import is_usual_name
from sentimm.corpus.tables.dialects.title_lines import fit_header
from sentimm.errors import TableError

_LOOK_BYTES = 1 << 16
_LOOK_LINES = 30
_MAX_NAME = 40
_JSON = re.compile(rb'\s*(?:\[\s*)?\{\s*"[^"\n]*"\s*:')
# `[01/02/2023, 10:15:01] Ann: ...` on an iPhone, `1/2/23, 9:17 PM - Ann: ...` elsewhere.
_CHAT = re.compile(
    r"\u200e?\[?\d{1,4}[./-]\d{1,2}[./-]\d{2,4},?\s"
    r"\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:\s?[AaPp]\.?\s?[Mm]\.?)?(?:\]| -) \S"
)
_R_HEADER = re.compile(r'"[^"]*"(?: "[^"]*")+')  # as write.table writes it, with spaces between the fields


def recognize_table(head: bytes, no_header: bool = False) -> str | None:
    """Return the format of a text file that begins with `head` and is a table or JSON; None: it is a post a line.

    The first line of a table names its columns, and the other lines have as many fields; without a header, all lines
    have as many fields between tabs.
    """
    head = head[:_LOOK_BYTES]
    if _JSON.match(head):
        return "ndjson"
    if no_header:
        return "tsv" if _find_field(_list_lines(head)) else None
    first, _, rest = head.partition(b"\n")
    line = first.decode(errors="replace").rstrip("\r")
    for delimiter in "\t,;|":
        names = _split(line, delimiter)
        if len(names) > 1 and _are_names(names) and fit_header(rest, len(names), delimiter, at_least=1):
            return "tsv" if delimiter == "\t" else "csv"
    return None


def check_posts(path: Path, head: bytes) -> None:
    """Check that the lines of a text file that begins with `head` are texts alone.

    Raises:
        TableError: they have times and names, as a chat has, or fields between tabs or, in quotes, between spaces.
    """
    lines = _list_lines(head)
    if len(lines) > 1 and _CHAT.match(lines[0]) and 2 * sum(map(bool, map(_CHAT.match, lines))) >= len(lines):
        name, table = shlex.quote(path.name), shlex.quote(f"{path.stem}.csv")
        raise TableError(
            f"{path} is a chat that WhatsApp exported, with times and names in its lines: make a table of it "
            f"(`pip install whatstk`, then `whatstk-to-csv {name} {table}`), and score that."
        )
    if len(lines) > 1 and _R_HEADER.fullmatch(lines[0]) and lines[1].startswith('"'):
        # As characters, ids keep their digits; a hash and an apostrophe are as any other character.
        read = 'read.table(commandArgs(TRUE), header=TRUE, colClasses="character", comment.char="", quote="\\"")'
        raise TableError(
            f"{path} is a table with spaces between its fields, as R's write.table writes it: make a CSV of it "
            f"(`Rscript -e 'write.csv({read}, \"posts.csv\")' {shlex.quote(str(path))}`)."
        )
    if place := _find_field(lines):
        raise TableError(
            f"The lines of {path} have fields between tabs: name that of the texts, with --no-header --text-column "
            f"column_{place}."
        )


def _list_lines(head: bytes) -> list[str]:
    lines = head[:_LOOK_BYTES].decode(errors="replace").splitlines()[:_LOOK_LINES]
    return [line for line in lines if line.strip()]


def _find_field(lines: Sequence[str]) -> int | None:
    """Find which of the fields between tabs, from 1 on, is the longest; None: the lines do not have as many tabs."""
    tabs = {line.count("\t") for line in lines}
    if len(lines) < 2 or len(tabs) > 1 or 0 in tabs:
        return None
    lengths = [sum(map(len, fields)) for fields in zip(*(line.split("\t") for line in lines), strict=True)]
    return lengths.index(max(lengths)) + 1


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return [line]


def _are_names(names: Sequence[str]) -> bool:
    """Check whether fields are the names of columns rather than pieces of a sentence."""
    return (
        any(map(is_usual_name, names))
        and len(set(names)) == len(names)
        and all(len(name) <= _MAX_NAME and not name.startswith(" ") for name in names)
    )
