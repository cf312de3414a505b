"""The progress of an export, and how each precision compares with PyTorch."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from rich.table import Table

from sentimm.console.terminal import make_console, printable

if TYPE_CHECKING:
    from sentimm_export.exporter import ExportResult


class ExportConsole:
    """Shows an export: a line for each step, then how each precision compares with PyTorch."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = make_console(sys.stderr)
        self._quiet = quiet

    def tell(self, step: str) -> None:
        """Show one step."""
        if not self._quiet:
            self._console.print(printable(step), style="dim")

    def finish(self, exported: ExportResult) -> None:
        """Show the comparison, the bundle's folder and the next command."""
        if not self._quiet:
            self._console.print(self._table(exported))
            for kind, found in exported.bundle.metrics.get("calibration", {}).items():
                self._console.print(
                    f"Probabilities of {kind} posts: temperature {found['temperature']:.2f}, calibration error "
                    f"{found['before']:.3f} before, {found['cross_fitted']:.3f} after (cross-fitted, "
                    f"{found['posts']:,} posts)"
                )
            for note in exported.notes:
                self._console.print(printable(note), style="dim")
        path = printable(str(exported.bundle.path))
        print(f"Bundle: {path}")
        print(f"Next: sentimm score tweets.csv --images photos/ --model {path}")

    def _table(self, exported: ExportResult) -> Table:
        table = Table(title="Compared with PyTorch on held-out posts", title_justify="left")
        for column in (
            "precision",
            "posts",
            "same label",
            "max difference",
            "with neighbours",
            "accuracy",
            "in PyTorch",
        ):
            table.add_column(column, justify="left" if column == "precision" else "right")
        for precision, found in exported.parity.items():
            table.add_row(
                precision,
                f"{found.posts:,}",
                f"{found.agreement:.1%}",
                f"{found.largest_difference:.1e}",
                f"{found.neighbour_difference:.1e}",
                *("" if math.isnan(share) else f"{share:.1%}" for share in (found.accuracy, found.accuracy_pytorch)),
            )
        return table
