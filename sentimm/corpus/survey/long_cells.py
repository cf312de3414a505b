"""Cells so long that a quote which is closed far below may have made them of many posts."""

from __future__ import annotations

from pathlib import Path

from sentimm.corpus.tables.base import Block

# A post's cell is shorter.
MAX_LINES = 1_000
_MAX_BYTES = 1_000_000


class LongCellCounter:
    """Counts cells of more than a megabyte or a thousand lines.

    Attributes:
        count: how many there are.
        first: where the first one is: `row 1 of posts.csv`.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first = ""

    def add(self, block: Block, start: int, path: Path) -> None:
        """Count those of a block of strings, which begins at row `start` of the table at `path`."""
        rows: list[int] = []
        for cells in block.frame:
            sizes = cells.str.len_bytes()
            long = (sizes > MAX_LINES).arg_true()  # a shorter one has fewer lines
            if len(long):
                sizes, cells = sizes.gather(long), cells.gather(long)
                is_long = sizes > _MAX_BYTES
                for newline in ("\n", "\r"):
                    is_long |= cells.str.count_matches(newline, literal=True) >= MAX_LINES
                rows.extend(long.filter(is_long))
        if rows and not self.count:
            self.first = f"row {start + min(rows)} of {path}"
        self.count += len(rows)
