"""The names in a header, where some are empty or one is lacking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def name_by_place(names: Sequence[str]) -> list[str]:
    """Name the columns without a name by their places, as no other one is named."""
    taken = set(names)
    named = []
    for place, name in enumerate(names, start=1):
        name = name or f"column_{place}"
        while name in taken and name != names[place - 1]:
            name += "_"
        taken.add(name)
        named.append(name)
    return named


def find_extra_field(rows: Sequence[Sequence[str]], width: int, is_quoted: bool) -> int | None:
    """Find which field of all rows the header does not name: -1 the last, 0 the first; None: it can't be told.

    An empty last field is a delimiter at the line's end. Names of rows are quoted, or count from 1 where no comma of
    a sentence could have made the extra field.
    """
    if any(len(row) != width + 1 for row in rows):
        return None
    if not any(row[-1] for row in rows):
        return -1
    counts = len(rows) >= 3 and [row[0] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    is_prose = any(field.startswith(" ") for row in rows for field in row)
    distinct = len({row[0] for row in rows}) == len(rows)
    return 0 if distinct and not is_prose and (is_quoted or counts) else None


def holds_cell(cells: pa.ChunkedArray, names: Sequence[str]) -> bool:
    """Check whether a string of `cells` is one of the names; null is as good as "".

    Scalars of pyarrow would import pandas where that is installed, and polars takes ten times as long.
    """
    for chunk in filter(len, cells.chunks):  # an empty one may have no buffers
        _, offsets, data = chunk.buffers()
        edges = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        lengths, content = np.diff(edges), np.frombuffer(b"" if data is None else data, np.uint8)
        for name in map(str.encode, names):
            starts = edges[:-1][lengths == len(name)]
            for place, byte in enumerate(name):
                starts = starts[content[starts + place] == byte]
            if len(starts):
                return True
    return False
