"""Compare runs on the posts that they held out: log loss first, then accuracy.

    python benchmarks/held_out.py RUN RUN ...

With `--unseen-by RUN` only posts count that this run held out, too, as runs of other modalities hold out others.
The runs are of the same tables, shares and seed, so that they held out the same posts. The log loss is cross-fitted:
each half of the posts at the temperature that was fitted on the other half. The difference is to the first run, with
its 95% bootstrap interval over posts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sentimm.metrics.calibration import apply_temperature, fit_temperature
from sentimm.metrics.report import measure_answers
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.data.prepare import load_data
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


def read_scores(path: Path, weights: Weights) -> tuple[LabelledPosts, npt.NDArray[np.float32], tuple[str, ...]]:
    """Return the posts that a run held out, its scores of them, and its labels."""
    run = open_run(path)
    posts = load_data(TrainOptions.from_plain(run.options | {"normalization": run.normalization})).validation
    return posts, run.read_scores(weights), run.labels


def main() -> None:
    """Read the arguments, measure, and print a table for each table of posts."""
    parser = argparse.ArgumentParser(description="Compare runs on the posts that they held out.")
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--weights", choices=("best", "last"), default="last")
    parser.add_argument("--unseen-by", type=Path, metavar="RUN", help="a run whose posts to train on are left out")
    arguments = parser.parse_args()
    unseen = None if arguments.unseen_by is None else set(read_scores(arguments.unseen_by, arguments.weights)[0].ids)
    first: dict[str, tuple[tuple[str, ...], Losses]] = {}
    for path in arguments.runs:
        posts, scores, labels = read_scores(path, arguments.weights)
        for number, table in enumerate(posts.tables):
            rows = np.flatnonzero((posts.table == number) & (posts.label >= 0))
            if unseen is not None:
                rows = np.asarray([row for row in rows if posts.ids[row] in unseen], dtype=np.int64)
            if not len(rows):
                continue
            ids, true = tuple(posts.ids[row] for row in rows), posts.label[rows]
            losses = measure_losses(scores[rows], true)
            report = measure_answers(true, scores[rows].argmax(axis=1), labels)
            line = (
                f"{path.name:16} {table}: {len(rows):,} posts, log loss {losses.mean():.4f}, "
                f"accuracy {report.accuracy.value:.1%}, macro F1 {report.macro_f1.value:.3f}"
            )
            if table in first:
                if first[table][0] != ids:
                    raise SystemExit(f"{path} held out other posts of {table} than {arguments.runs[0]}.")
                difference = losses - first[table][1]
                low, high = resample_mean(difference)
                line += f", log loss {difference.mean():+.4f} ({low:+.4f} to {high:+.4f})"
            first.setdefault(table, (ids, losses))
            print(line, flush=True)


if __name__ == "__main__":
    main()
