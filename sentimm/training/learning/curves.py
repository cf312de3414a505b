"""The charts of a run: loss and figures over the epochs, and the confusion matrix of the best epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sentimm.plots import draw_confusion, escape_text, save_figure

_MEASURES = (("accuracy", "accuracy", "-"), ("macro_f1", "macro F1", "--"), ("macro_recall", "macro recall", ":"))


def draw_run(records: Sequence[Mapping[str, Any]], labels: Sequence[str], folder: Path) -> None:
    """Write curves.png and confusion.png, that of the best epoch; `records` are the lines of metrics.ndjson.

    Raises:
        OutputError: they can't be written.
    """
    best = max(records, key=lambda record: record["score"])
    confusion = np.asarray(best["confusion"], dtype=np.int64)
    draw_curves(records, folder / "curves.png")
    draw_confusion(confusion, labels, folder / "confusion.png")


def draw_curves(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the loss, and the figures of each validation table, over the epochs.

    Raises:
        OutputError: `path` can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    epochs = [record["epoch"] for record in records]
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [record["loss"] for record in records], marker=".")
    left.set_ylabel("training loss")
    for number, table in enumerate(records[-1]["tables"]):
        for key, name, style in _MEASURES:
            values = [record["tables"][table][key] for record in records]
            right.plot(epochs, values, style, color=f"C{number}", marker=".", label=escape_text(f"{table}: {name}"))
    best = max(records, key=lambda record: record["score"])
    right.axvline(best["epoch"], color="grey", linewidth=0.8)
    right.set_ylabel("validation")
    right.legend(fontsize="small")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    save_figure(figure, path)
