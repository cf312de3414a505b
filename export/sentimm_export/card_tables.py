"""The tables of a model card, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sentimm.bundle.bundle import Precision
from sentimm_export.parity import Parity

KIND_NAMES = {"text+image": "text and image", "text": "text alone", "image": "image alone"}
PRECISION_COLUMNS = ("precision", "posts", "same label", "largest difference", "alone and in a batch")


def draw_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table."""
    for cells in (columns, ["---"] * len(columns), *rows):
        yield f"| {' | '.join(cells)} |"


def list_precisions(parity: Mapping[Precision, Parity]) -> list[tuple[str, ...]]:
    """Return a row of PRECISION_COLUMNS for each precision."""
    return [
        (
            precision,
            f"{each.posts:,}",
            f"{each.agreement:.1%}",
            f"{each.largest_difference:.1e}",
            f"{each.neighbour_difference:.1e}",
        )
        for precision, each in parity.items()
    ]
