"""One picture of shares, as `sentimm shares --figure` draws it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sentimm.errors import OutputError, UsageError
from sentimm.findings.report.charts import export_svg
from sentimm.findings.report.page import KEY, list_share_charts
from sentimm.findings.tables import Shares
from sentimm.plots import Interval, draw_intervals
from sentimm.storage import is_remote
from sentimm.storage.atomic import commit_file

KINDS = (".svg", ".png")


def check_figure(path: Path) -> None:
    """Check what can be known of a figure's file before anything is measured.

    Raises:
        UsageError: its name says no kind that can be drawn.
        OutputError: its folder is not there.
    """
    if path.suffix.lower() not in KINDS:
        raise UsageError(f"--figure {path}: choose a name that ends in {' or '.join(KINDS)}.")
    if not is_remote(path) and (path.is_dir() or not path.parent.is_dir()):
        raise OutputError(f"The figure can't be written to {path}: name a file in a folder that is there.")


def write_figure(path: Path, shares: Shares, labels: Sequence[str]) -> None:
    """Draw shares: of all posts, by group and over time, below each other.

    Raises:
        OutputError: it can't be written.
    """
    charts = list_share_charts(shares.table, labels)
    key = KEY if shares.widest_margin is not None else ""
    if path.suffix.lower() == ".svg":
        with commit_file(path) as temporary:
            temporary.write_text(export_svg([chart for chart, _ in charts.values()], key), encoding="utf-8")
        return
    panels = []
    for name, (_, rows) in charts.items():
        column = {"shares": "label", "groups": "group"}.get(name, "period")
        title = rows["group"][0] if name.startswith("time-") else ""
        panels.append((title, [_read_interval(row, column) for row in rows.iter_rows(named=True)]))
    draw_intervals(panels, labels, path)


def _read_interval(row: dict[str, Any], column: str) -> Interval:
    share, low, high = (np.nan if row[name] is None else row[name] for name in ("share", "low", "high"))
    name = "all" if column == "label" else row[column]
    return Interval(name, row["label"], share, low, high, row["share_counted"])
