"""The results of a comparison: figures of each run, their mean and spread for each model, and those of the paper.

The paper is "Multimodal Sentiment Analysis Based on BERT and ResNet" (arXiv 2412.03625); its Table 4 gives figures on
MVSA-Single with 800 validation posts, at the best epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sentimm.metrics.report import derive_figures

# Accuracies alone, each a multiple of 1/800 as printed.
PAPER_ACCURACY = {
    "bert": 0.705,
    "resnet": 0.6575,
    "cmac": 0.7313,
    "hstec": 0.7175,
    "ote": 0.745,
    "native-cat": 0.705,
    "native-combine": 0.715,
}

FIGURES = {
    "accuracy": "accuracy",
    "weighted_precision": "precision",
    "weighted_recall": "recall",
    "weighted_f1": "F1",
    "macro_f1": "macro F1",
}
KINDS = {
    "best": "Best epoch",
    "last": "Last epoch",
    "best_unseen": "Best epoch, without posts seen in training",
    "last_unseen": "Last epoch, without posts seen in training",
}


@dataclass(frozen=True)
class EpochFigures:
    """Figures of one run after an epoch (from 1) on `posts` validation posts, each in [0, 1]."""

    epoch: int
    posts: int
    accuracy: float
    weighted_precision: float
    weighted_recall: float
    weighted_f1: float
    macro_f1: float


@dataclass(frozen=True)
class RunFigures:
    """A run's figures: `seed`, `fold` (from 1; None: no folds), its folder, best and last epoch.

    `best_unseen` and `last_unseen` leave out the posts seen in training; None where that was not asked for, or no post
    is left.
    """

    model: str
    seed: int
    fold: int | None
    run: str
    best: EpochFigures
    last: EpochFigures
    best_unseen: EpochFigures | None = None
    last_unseen: EpochFigures | None = None


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (of a sample; None for one run) over runs."""

    mean: float
    sd: float | None

    def describe(self, factor: float = 100.0, digits: int = 1) -> str:
        """Write both, times `factor`, such as `74.1 ± 0.6`."""
        mean = f"{self.mean * factor:.{digits}f}"
        return mean if self.sd is None else f"{mean} ± {self.sd * factor:.{digits}f}"


@dataclass(frozen=True)
class ModelFigures:
    """One model's runs, and mean and spread by kind (those of KINDS that were measured) and by figure and `epoch`."""

    model: str
    paper_accuracy: float | None
    summary: dict[str, dict[str, Spread]]
    runs: tuple[RunFigures, ...]


@dataclass(frozen=True)
class Comparison:
    """The results of a comparison so far.

    Attributes:
        inputs: the tables.
        val: the table to validate with, None where posts of the inputs were held out.
        training, validation: posts on each side, before a model leaves out those that lack its modality; of folds, the
            means.
        seen: validation posts that were seen in training (over all folds); None: not counted.
        folds: number of folds, None for one split.
        seeds: the number of seeds, from 1, that were asked for.
        done, planned: runs that were asked for; `models` also holds those that earlier calls finished.
        options: what all runs were trained with.
        models: those with at least one run; those that were asked for come first, in that order.
    """

    inputs: tuple[str, ...]
    val: str | None
    training: int
    validation: int
    seen: int | None
    folds: int | None
    seeds: int
    done: int
    planned: int
    options: dict[str, object]
    models: tuple[ModelFigures, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all fields as results.json and `sentimm compare --json` have them."""
        return {"format": 1, **asdict(self)}


def measure_epoch(epoch: int, confusion: npt.NDArray[np.int64]) -> EpochFigures:
    """Compute an epoch's figures from its confusion matrix, int64 (true labels, answers), not all zeros."""
    figures = derive_figures(confusion[None])
    return EpochFigures(epoch, int(confusion.sum()), **{name: float(figures[name][0]) for name in FIGURES})


def summarize_model(model: str, runs: Sequence[RunFigures]) -> ModelFigures:
    """Compute mean and spread over a model's runs, at least one."""
    summary = {}
    for kind in KINDS:
        figures = [each for run in runs if (each := getattr(run, kind)) is not None]
        if figures:
            summary[kind] = {name: _spread([getattr(each, name) for each in figures]) for name in ("epoch", *FIGURES)}
    return ModelFigures(model, PAPER_ACCURACY.get(model), summary, tuple(runs))


def list_tables(comparison: Comparison) -> list[tuple[str, list[list[str]]]]:
    """Return a table for each kind of figures that was measured: its title, and rows of cells, the first its header.

    Figures are in percent. The paper's are in the table of the best epoch, which the paper chose too.
    """
    tables = []
    for kind, title in KINDS.items():
        rows = []
        for each in comparison.models:
            if kind in each.summary:
                spreads = each.summary[kind]
                cells = [spreads[name].describe() for name in FIGURES]
                if kind == "best":
                    cells.insert(1, "" if each.paper_accuracy is None else f"{each.paper_accuracy * 100:g}")
                epoch = spreads["epoch"].describe(1.0, 0 if spreads["epoch"].sd is None else 1)
                rows.append([each.model, *cells, epoch, str(sum(getattr(run, kind) is not None for run in each.runs))])
        header = list(FIGURES.values())
        if kind == "best":
            header.insert(1, "paper")
        if rows:
            tables.append((title, [["model", *header, "epoch", "runs"], *rows]))
    return tables


def list_notes(comparison: Comparison) -> list[str]:
    """Return sentences on what was compared, and how to read the figures."""
    names = ", ".join(comparison.inputs)
    if comparison.folds is not None:
        held_out = f"validated with each of {comparison.folds} folds of {names} in turn"
        posts = f"about {comparison.training:,} posts to train on, {comparison.validation:,} to validate with"
    else:
        held_out = (
            f"validated with {comparison.val}"
            if comparison.val is not None
            else f"validated with posts held out of {names}"
        )
        posts = f"{comparison.training:,} posts to train on, {comparison.validation:,} to validate with"
    notes = [f"Trained on {names}, {held_out}: {posts}."]
    if comparison.done < comparison.planned:
        notes.append(f"{comparison.done} of {comparison.planned} runs are done: the figures are not final.")
    if any(spread.sd is not None for each in comparison.models for spread in each.summary["best"].values()):
        notes.append("Mean ± standard deviation over the runs of a model.")
    notes.append(
        "Precision, recall and F1 are weighted by the labels' posts. The best epoch was chosen by these very posts, so "
        "its figures are optimistic; those of the last epoch are not."
    )
    if any(each.paper_accuracy is not None for each in comparison.models):
        notes.append(
            "paper: accuracy in Table 4 of arXiv 2412.03625, on 800 validation posts of MVSA-Single, best epoch."
        )
    if comparison.seen is not None:
        notes.append(
            f"{comparison.seen:,} validation posts share a text with a training post, or have an image that looks like "
            "one of a training post."
        )
    return notes


def render_markdown(comparison: Comparison) -> str:
    """Write tables and notes as Markdown."""
    parts = ["# Comparison", *list_notes(comparison)]
    for title, (header, *rows) in list_tables(comparison):
        lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
        parts += [f"## {title}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join(parts) + "\n"


def _spread(values: Sequence[float]) -> Spread:
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)
