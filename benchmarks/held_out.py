"""Compare runs on the posts that they held out: log loss first, then accuracy.

    python benchmarks/held_out.py RUN RUN ...

The runs are of the same tables, shares and seed, so that they held out the same posts. The log loss is cross-fitted:
each half of the posts at the temperature that was fitted on the other half. The difference is to the first run, with
its 95% bootstrap interval over posts. `--heads` also compares what they say of texts and images alone.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sentimm.metrics.calibration import apply_temperature, fit_temperature
from sentimm.metrics.report import measure_answers
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.data.prepare import load_data
from sentimm.training.learning.answers import compute_answers
from sentimm.training.learning.processes import make_accelerator
from sentimm.training.learning.teacher import RunTeacher
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import Weights, open_run

SAMPLES = 2000

Losses = npt.NDArray[np.float64]


def measure_losses(scores: npt.NDArray[np.float32], true: npt.NDArray[np.int64]) -> Losses:
    """Return -log p of each post's label: float64 (posts,)."""
    half = np.random.default_rng(0).permutation(len(true)) % 2 == 0
    losses = np.empty(len(true))
    for fitted, measured in ((half, ~half), (~half, half)):
        probabilities = apply_temperature(scores[measured], fit_temperature(scores[fitted], true[fitted]))
        losses[measured] = -np.log(np.maximum(probabilities[np.arange(measured.sum()), true[measured]], 1e-9))
    return losses


def resample_mean(values: Losses) -> tuple[float, float]:
    """Return the 95% bootstrap interval of a mean."""
    rng = np.random.default_rng(0)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(SAMPLES)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


@dataclass(frozen=True)
class Answers:
    """What a run said of posts that it held out, for one column of labels."""

    column: str
    posts: LabelledPosts
    scores: npt.NDArray[np.float32]
    true: npt.NDArray[np.int64]


def read_answers(path: Path, weights: Weights, heads: bool) -> tuple[list[Answers], tuple[str, ...]]:
    """Return what a run answers, that of its heads too where asked, and its labels."""
    run = open_run(path)
    options = TrainOptions.from_plain(run.options | {"normalization": run.normalization})
    posts = load_data(options).validation
    answers = [Answers("label", posts, run.read_scores(weights), posts.label)]
    if heads:
        accelerator = make_accelerator(options)
        found = compute_answers(RunTeacher(run, weights), posts, path / "cache", accelerator, lambda _: None)
        for place, modality in enumerate(("text", "image"), start=1):
            true = np.where(np.isnan(found[:, place, 0]), -1, getattr(posts, f"{modality}_label"))
            answers.append(Answers(f"{modality}_label", posts, np.log(np.maximum(found[:, place], 1e-9)), true))
    return answers, run.labels


def main() -> None:
    """Read the arguments, measure, and print a line for each run, table of posts and column of labels."""
    parser = argparse.ArgumentParser(description="Compare runs on the posts that they held out.")
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--weights", choices=("best", "last"), default="last")
    parser.add_argument("--heads", action="store_true", help="also answer texts and images alone")
    arguments = parser.parse_args()
    first: dict[str, tuple[tuple[str, ...], Losses]] = {}
    for path in arguments.runs:
        answers, labels = read_answers(path, arguments.weights, arguments.heads)
        for own, number in product(answers, range(len(answers[0].posts.tables))):
            name = f"{own.posts.tables[number]} {own.column}"
            rows = np.flatnonzero((own.posts.table == number) & (own.true >= 0))
            if not len(rows):
                continue
            ids, true = tuple(own.posts.ids[row] for row in rows), own.true[rows]
            losses = measure_losses(own.scores[rows], true)
            report = measure_answers(true, own.scores[rows].argmax(axis=1), labels)
            line = (
                f"{path.name:16} {name}: {len(rows):,} posts, log loss {losses.mean():.4f}, "
                f"accuracy {report.accuracy.value:.1%}, macro F1 {report.macro_f1.value:.3f}"
            )
            if name in first:
                if first[name][0] != ids:
                    raise SystemExit(f"{path} held out other posts of {name} than {arguments.runs[0]}.")
                difference = losses - first[name][1]
                low, high = resample_mean(difference)
                line += f", log loss {difference.mean():+.4f} ({low:+.4f} to {high:+.4f})"
            first.setdefault(name, (ids, losses))
            print(line, flush=True)


if __name__ == "__main__":
    main()
