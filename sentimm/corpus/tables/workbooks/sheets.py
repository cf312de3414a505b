"""Which sheet of a workbook holds the posts, and where in it they begin."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sentimm.corpus.columns.choice import is_usual_name
from sentimm.corpus.tables.dialects.title_lines import find_title_lines

_LOOK_ROWS = 60


@dataclass(frozen=True)
class Sheet:
    """A sheet with posts.

    Attributes:
        name: its name.
        header: the names of its columns, in their places; "" of one without a name.
        start: how many rows stand above the posts, the header among them.
        above: how many of these are titles or comments.
    """

    name: str
    header: tuple[str, ...]
    start: int
    above: int


def find_sheet(workbook: Any, has_header: bool) -> Sheet | None:
    """Find the first sheet of a `fastexcel.ExcelReader` that holds posts; None: all are empty.

    A sheet with a usual name in its header goes before one without.
    """
    first: Sheet | None = None
    for name in workbook.sheet_names:
        if (sheet := _look_at(workbook, name, has_header)) is not None:
            if any(map(is_usual_name, sheet.header)):
                return sheet
            first = first or sheet
    return first


def _look_at(workbook: Any, name: str, has_header: bool) -> Sheet | None:
    """Return what the first rows of a sheet show of it; None: it holds no post."""
    frame = workbook.load_sheet(name, header_row=None, skip_rows=0, n_rows=_LOOK_ROWS, dtypes="string").to_polars()
    rows = [[cell or "" for cell in row] for row in frame.rows()]
    start = next((place for place, row in enumerate(rows) if any(row)), len(rows))
    if not has_header:
        return Sheet(name, ("",) * frame.width, start, 0) if start < len(rows) else None
    titles, count = _count_titles(rows[start:])
    start += titles
    if not any(any(row) for row in rows[start + 1 :]):
        return None
    return Sheet(name, tuple(cell.strip() for cell in rows[start]), start + 1, count)


def _count_titles(rows: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Count the rows above the header, and those of them that hold something."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    content = text.getvalue().encode(errors="replace")
    if (above := find_title_lines(content, (",",))) is None:
        return 0, 0
    return len(list(csv.reader(io.StringIO(content[: above.size].decode(), newline="")))), above.count
