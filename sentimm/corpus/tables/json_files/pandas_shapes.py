"""The shapes of JSON in which pandas writes a table, and no object is a post: named, with the way out."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from sentimm.corpus.tables.text_stream import BLOCK_BYTES
from sentimm.errors import TableError

_SPLIT = re.compile(rb'\{\s*"columns"\s*:\s*\[[^][{}]*\]\s*,\s*"index"\s*:\s*\[')
_COLUMNS = re.compile(rb'\{\s*"[^"\\]*"\s*:\s*\{\s*"\d+"\s*:\s*[^\s{[]')
_INDEX = re.compile(rb'\{\s*"\d+"\s*:\s*\{\s*"[^"\\]*[^"\\\d][^"\\]*"\s*:')


def check_shape(path: Path, head: bytes) -> None:
    """Check that a JSON file that begins with `head` is no table of pandas by columns, or by the numbers of its rows.

    Raises:
        TableError: it is; the message has the command that makes a table of it.
    """
    orient = _find_shape(head)
    if orient is None:
        return
    code = (
        f'import sys, pandas; pandas.read_json(sys.argv[1], orient="{orient}", dtype=False, convert_dates=False)'
        '.to_json("posts.jsonl", orient="records", lines=True)'
    )
    raise TableError(
        f'{path} is a table that pandas wrote with orient="{orient}", not an object a post: write it with '
        f"orient=\"records\", lines=True, or convert it (`python3 -c '{code}' {shlex.quote(path.name)}`)."
    )


def _find_shape(head: bytes) -> str | None:
    shapes = {"split": _SPLIT, "columns": _COLUMNS, "index": _INDEX}
    found = next((orient for orient, pattern in shapes.items() if pattern.match(head)), None)
    if found in (None, "split"):
        return found
    if len(head) >= BLOCK_BYTES:  # no post is that long
        return None if b"\n" in head else found
    try:
        values = json.loads(head).values()
    except (ValueError, RecursionError):  # an object a line, perhaps
        return None
    # An object of objects alone, all of which have the same keys: several columns, or several rows.
    rows = [set(value) for value in values if isinstance(value, dict)]
    return found if len(rows) == len(values) and all(row == rows[0] for row in rows) else None
