"""Tables whose strings are all in quotes, as R writes them: a bare NA in one is no text."""

from __future__ import annotations

import re

_BARE = re.compile(rb"NA|TRUE|FALSE|[-+]?[\d.][\dT.:/eE+ -]*Z?|")  # a number, a date, a time, or nothing


def quotes_strings(records: bytes, delimiter: str) -> bool:
    """Check whether all strings of some records, the first of a table, are in quotes, and something else is not."""
    mark = re.escape(delimiter.encode())
    quoted, bare = False, False
    for field in re.finditer(rb"(?:\A|\r?\n|" + mark + rb')(?:("(?:[^"]|"")*")|([^"\r\n' + mark + rb"]*))", records):
        if field[1] is not None:
            quoted = True
        elif not _BARE.fullmatch(field[2]):
            return False
        else:
            bare = bare or bool(field[2])
    return quoted and bare
