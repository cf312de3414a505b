"""Charts, written as PNG."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sentimm.storage.atomic import commit_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL_INCHES = 1.1
_LABEL_COLORS = {"negative": "#D55E00", "neutral": "#6B7280", "positive": "#0072B2"}  # Okabe and Ito


def escape_text(text: str) -> str:
    """Return a name as matplotlib draws it: `$` would begin a formula, and a leading `_` would hide it from legends."""
    return (" " + text if text.startswith("_") else text).replace("$", r"\$")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, durably; characters that its font lacks become boxes.

    Raises:
        OutputError: `path` can't be written.
    """
    with warnings.catch_warnings(), commit_file(path) as temporary:
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(temporary, format="png", dpi=120)


def draw_confusion(matrix: npt.NDArray[np.int64], labels: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix, int64 (true labels, answers): shares of each true label, with the posts.

    Raises:
        OutputError: `path` can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    side = _CELL_INCHES * len(labels) + 1.5
    figure = Figure(figsize=(side, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(matrix.shape):
        color = "white" if shares[row, column] > 0.6 else "black"
        text = f"{shares[row, column]:.0%}\n{matrix[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", color=color)
    names = list(map(escape_text, labels))
    axes.set_xticks(range(len(names)), names, rotation=0 if len(names) < 5 else 45)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("answer")
    axes.set_ylabel("true label")
    save_figure(figure, path)


def draw_stages(stages: Sequence[tuple[str, float]], rates: Sequence[tuple[str, float]], path: Path) -> None:
    """Draw bars: the milliseconds of all cores that each stage needs for a post, and rates in posts per second.

    Raises:
        OutputError: `path` can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.5 + 0.45 * len(stages)), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    for axes, values, title in (
        (left, stages, "milliseconds of all cores for a post"),
        (right, rates, "posts per second"),
    ):
        bars = axes.barh([name for name, _ in values], [value for _, value in values], color="tab:blue")
        axes.bar_label(bars, [f"{value:,.3g}" for _, value in values], padding=3)
        axes.margins(x=0.2)
        axes.invert_yaxis()
        axes.set_title(title, fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


@dataclass(frozen=True)
class Interval:
    """A share, 0 to 1, of a label in a group or period, and its interval; NaN: not known.

    Attributes:
        name: of the group or period.
        label: whose share it is.
        share, low, high: the estimate and its interval.
        model_share: the share of a model's labels.
    """

    name: str
    label: str
    share: float
    low: float
    high: float
    model_share: float


def draw_intervals(panels: Sequence[tuple[str, Sequence[Interval]]], labels: Sequence[str], path: Path) -> None:
    """Draw shares with their intervals, a row for each name and label, and what a model counts as an open circle.

    Raises:
        OutputError: `path` can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    heights = [1.0 + len(rows) for _, rows in panels]
    figure = Figure(figsize=(8, 0.8 * len(panels) + 0.25 * sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, rows) in zip(
        figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0], panels, strict=True
    ):
        for number, row in enumerate(rows):
            color = _LABEL_COLORS.get(row.label, f"C{labels.index(row.label) % 10}")
            if row.low <= row.high:
                axes.plot([row.low, row.high], [number, number], color=color, linewidth=3, solid_capstyle="butt")
            axes.plot([row.share], [number], "o", color=color, markersize=6)
            axes.plot([row.model_share], [number], "o", color="black", markersize=8, fillstyle="none")
        axes.set_yticks(range(len(rows)), [escape_text(f"{row.name}, {row.label}") for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, None)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_title(escape_text(title), fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.4)
    figure.supxlabel("dot and bar: estimate and 95% interval; circle: what the model counts", fontsize="small")
    save_figure(figure, path)
