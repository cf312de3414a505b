"""How an export goes, and how each precision compares with PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from sentimm_export.exporter import Exported


class ExportConsole:
    """Shows an export: a line for each step, then how each precision compares with PyTorch."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._quiet = quiet

    def tell(self, step: str) -> None:
        """Show one step."""
        if not self._quiet:
            self._console.print(step, style="dim")

    def finish(self, exported: Exported) -> None:
        """Show the comparison and how to go on."""
        if not self._quiet:
            self._console.print(self._table(exported))
            for kind, found in exported.bundle.metrics.get("calibration", {}).items():
                self._console.print(
                    f"Probabilities of {kind} posts: temperature {found['temperature']:.2f}, calibration error "
                    f"{found['before']:.3f} before, {found['cross_fitted']:.3f} after (cross-fitted, "
                    f"{found['posts']:,} posts)"
                )
            for note in exported.notes:
                self._console.print(note, style="dim")
        path = exported.bundle.path
        print(f"Bundle: {path}")
        print(f"Next: sentimm score tweets.csv --images photos/ --model {path}")

    def _table(self, exported: Exported) -> Table:
        table = Table(title="Against PyTorch, on held-out posts", title_justify="left")
        for column in (
            "precision",
            "posts",
            "same label",
            "largest difference",
            "with neighbours",
            "accuracy",
            "PyTorch's",
        ):
            table.add_column(column, justify="left" if column == "precision" else "right")
        for precision, found in exported.parity.items():
            table.add_row(
                precision,
                f"{found.posts:,}",
                f"{found.agreement:.1%}",
                f"{found.largest_difference:.1e}",
                f"{found.neighbour_difference:.1e}",
                f"{found.accuracy:.1%}",
                f"{found.accuracy_pytorch:.1%}",
            )
        return table
