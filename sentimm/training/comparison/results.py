"""Models compared: figures of each run, their mean and spread for each model, beside those of the paper.

The paper is "Multimodal Sentiment Analysis Based on BERT and ResNet" (arXiv 2412.03625); its Table 4 gives figures on
MVSA-Single with 800 validation posts, at the best epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sentimm.metrics.report import derive_figures

# The accuracies, each a multiple of 1/800 as printed; the table's other columns were not at hand.
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
        """Write both, times `factor`: `74.1 ± 0.6`."""
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
    """What a comparison found so far.

    Attributes:
        inputs: the tables.
        val: the table to validate with, None where posts of the inputs were held out.
        training, validation: posts on each side, before a model leaves out those that lack its modality; of folds, the
            means.
        seen: validation posts that were seen in training (over all folds); None: not looked for.
        folds: number of folds, None for one split.
        seeds: what was asked for: seeds from 1 to this.
        done, planned: runs that were asked for; `models` also holds those that earlier calls finished.
        options: what all runs were trained with.
        models: those with at least one run, first those that were asked for, in that order.
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


def measure_epoch(epoch: int, confusion: npt.NDArray[np.int64]) -> EpochFigures:
    """Work out an epoch's figures from its confusion matrix, int64 (true labels, answers), not all zeros."""
    found = derive_figures(confusion[None])
    return EpochFigures(epoch, int(confusion.sum()), **{name: float(found[name][0]) for name in FIGURES})


def summarize_model(model: str, runs: Sequence[RunFigures]) -> ModelFigures:
    """Take mean and spread over a model's runs, which are at least one."""
    summary = {}
    for kind in KINDS:
        figures = [found for run in runs if (found := getattr(run, kind)) is not None]
        if figures:
            summary[kind] = {name: _spread([getattr(each, name) for each in figures]) for name in ("epoch", *FIGURES)}
    return ModelFigures(model, PAPER_ACCURACY.get(model), summary, tuple(runs))


def list_tables(found: Comparison) -> list[tuple[str, list[list[str]]]]:
    """Give each kind of figures that was measured as a title and rows of cells, the first of which is the header.

    Figures are in percent. The paper's stand in the table of the best epoch, as it chose that too.
    """
    tables = []
    for kind, title in KINDS.items():
        rows = []
        for each in found.models:
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


def list_notes(found: Comparison) -> list[str]:
    """Say in sentences what was compared, and how the figures are to be read."""
    names = ", ".join(found.inputs)
    if found.folds is not None:
        held_out = f"validated with each of {found.folds} folds of {names} in turn"
        posts = f"about {found.training:,} posts to train on, {found.validation:,} to validate with"
    else:
        held_out = (
            f"validated with {found.val}" if found.val is not None else f"validated with posts held out of {names}"
        )
        posts = f"{found.training:,} posts to train on, {found.validation:,} to validate with"
    notes = [f"Trained on {names}, {held_out}: {posts}."]
    if found.done < found.planned:
        notes.append(f"{found.done} of {found.planned} runs are done: the figures are not final.")
    if any(spread.sd is not None for each in found.models for spread in each.summary["best"].values()):
        notes.append("Mean ± standard deviation over the runs of a model.")
    notes.append(
        "Precision, recall and F1 are weighted by the labels' posts. The best epoch was chosen by these very posts, "
        "so its figures flatter; the last epoch's do not."
    )
    if any(each.paper_accuracy is not None for each in found.models):
        notes.append(
            "paper: accuracy in Table 4 of arXiv 2412.03625, on 800 validation posts of MVSA-Single, best epoch."
        )
    if found.seen is not None:
        notes.append(
            f"{found.seen:,} validation posts have a text, or an image that looks like one, of the training posts."
        )
    return notes


def render_markdown(found: Comparison) -> str:
    """Write tables and notes as Markdown."""
    parts = ["# Comparison", *list_notes(found)]
    for title, (header, *rows) in list_tables(found):
        lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
        parts += [f"## {title}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join(parts) + "\n"


def _spread(values: Sequence[float]) -> Spread:
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)
