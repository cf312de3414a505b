"""A comparison as a bar chart, as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sentimm.plots import save_figure
from sentimm.training.comparison.results import Comparison, Spread


def draw_comparison(comparison: Comparison, path: Path) -> None:
    """Draw each model's accuracy as bars, best and last epoch, with standard deviations, the paper's as marks.

    Raises:
        OutputError: `path` can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    models = comparison.models
    places = np.arange(len(models))
    figure = Figure(figsize=(1.4 * len(models) + 2, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for shift, kind in ((-0.2, "best"), (0.2, "last")):
        spreads: list[Spread] = [each.summary[kind]["accuracy"] for each in models]
        heights = [100 * spread.mean for spread in spreads]
        errors = [100 * (spread.sd or 0.0) for spread in spreads]
        bars = axes.bar(places + shift, heights, 0.38, yerr=errors, capsize=3, label=f"{kind} epoch")
        axes.bar_label(bars, [f"{height:.1f}" for height in heights], label_type="center", color="white", fontsize=8)
    published = [(place, each.paper_accuracy) for place, each in enumerate(models) if each.paper_accuracy is not None]
    axes.scatter(
        [place - 0.2 for place, _ in published],
        [100 * accuracy for _, accuracy in published],
        marker="D",
        color="black",
        zorder=3,
        label="paper, best epoch",
    )
    axes.set_xticks(places, [each.model for each in models], rotation=20)
    axes.set_ylim(0, 100)
    axes.set_ylabel("accuracy, %")
    axes.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside upper right", ncols=3, fontsize="small", frameon=False)
    save_figure(figure, path)
