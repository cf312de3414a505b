"""Measure how often the 95% intervals of `sentimm shares` hold the true share, on corpora whose truth is given.

    python benchmarks/coverage.py                       all cells, 2,000 repetitions each: about an hour on two cores
    python benchmarks/coverage.py --repetitions 200     a quick look
    python benchmarks/coverage.py --scored VAL.parquet  real labels: a table that `score` wrote, with a column `label`

A cell is a model (calibrated, overconfident, ...), retweets or none, the true shares, the number of labels, and how
they were drawn. Each repetition draws a sheet as `sentimm sample` does, and estimates the shares of the corpus, of
groups of a sixth and a twelfth of it, and the difference of two groups.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.findings.statistics.estimators import (
    LEAST_VARIANCE,
    Population,
    Sample,
    choose_coefficient,
    estimate_difference,
    estimate_shares,
    find_margins,
)
from sentimm.findings.statistics.strata import GRID, allocate, cut_strata, find_steps, measure_uncertainty

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MODELS = ("calibrated", "overconfident", "underconfident", "biased", "drift", "useless")
TRUTHS = {"50/35/15": (0.15, 0.35, 0.50), "3% negative": (0.03, 0.37, 0.60)}
LABELS = ("negative", "neutral", "positive")
DRAWS = ("simple", "stratified", "added")
NUMBERS = (100, 200, 400, 1000)
POSTS = 20_000
GROUPS = (1 / 6, 1 / 12)
DOMAINS = ("corpus", "a sixth", "a twelfth", "difference")


@dataclass(frozen=True)
class Cell:
    """What one cell of the table is about; `fraction`: labels as a share of the corpus, instead of POSTS posts."""

    model: str
    retweets: bool
    truth: str
    labels: int
    draw: str
    fraction: float | None = None


@dataclass(frozen=True)
class Result:
    """What came of a cell: means over repetitions, by domain, each over all labels (and the worst label)."""

    cell: Cell
    covered: dict[str, float]
    worst: dict[str, float]
    bias: dict[str, float]
    bias_error: dict[str, float]
    margin: dict[str, float]


@dataclass(frozen=True)
class Corpus:
    """Posts: p, float64 (posts, labels); y, int64 (posts,); group, int64 (posts,), 0, 1 or 2 (the rest)."""

    p: Floats
    y: Ints
    group: Ints


def make_corpus(cell: Cell, rng: np.random.Generator) -> Corpus:
    """Make a corpus: contents with a true distribution each, repeated as retweets are, and what a model says."""
    posts = POSTS if cell.fraction is None else int(cell.labels / cell.fraction)
    sizes = rng.zipf(2.2, posts) if cell.retweets else np.ones(posts, np.int64)
    sizes = np.minimum(sizes, posts // 50)
    contents = int(np.searchsorted(np.cumsum(sizes), posts)) + 1
    sizes = sizes[:contents]
    sizes[-1] -= sizes.sum() - posts
    truth = np.array(TRUTHS[cell.truth])
    group_of = rng.choice(3, contents, p=[*GROUPS, 1 - sum(GROUPS)])
    honest = rng.dirichlet(1.2 * 3 * truth, contents)
    honest = np.clip(honest, 1e-6, None)
    honest /= honest.sum(axis=1, keepdims=True)
    y = (honest.cumsum(axis=1) < rng.random((contents, 1))).sum(axis=1).clip(0, 2)
    p = distort(cell.model, honest, group_of, rng)
    content = np.repeat(np.arange(contents), sizes)
    # A retweet may lie in another group or month than its original: half of them do.
    group = group_of[content]
    moved = rng.random(len(content)) < 0.5 * (sizes[content] > 1)
    group = np.where(moved, rng.choice(3, len(content), p=[*GROUPS, 1 - sum(GROUPS)]), group)
    return Corpus(p[content], y[content].astype(np.int64), group.astype(np.int64))


def distort(model: str, honest: Floats, group: Ints, rng: np.random.Generator) -> Floats:
    """Return what a model says where `honest` is the truth."""
    if model == "useless":
        return rng.dirichlet((2.0, 2.0, 2.0), len(honest))
    power = {"overconfident": 2.5, "underconfident": 0.4}.get(model, 1.0)
    factor = np.ones((len(honest), 3))
    if model == "biased":
        factor[:, 0] = 3.0
    if model == "drift":
        factor[group == 0, 0] = 4.0
        factor[group == 1, 2] = 4.0
    p = honest**power * factor
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def count_population(corpus: Corpus, stratum: Ints, strata: int, domain: Ints, domains: int) -> Population:
    """Return the population's sums; a domain of -1 is none."""
    sizes = np.bincount(stratum, minlength=strata)
    means = _sum(stratum, corpus.p, strata) / np.maximum(sizes, 1)[:, None]
    inside = domain >= 0
    index = stratum[inside] * domains + domain[inside]
    p = corpus.p[inside]

    def add(rows: Floats) -> Floats:
        return _sum(index, rows, strata * domains).reshape(strata, domains, -1)

    posts = np.bincount(index, minlength=strata * domains).reshape(strata, domains)
    return Population(sizes, means, posts, add(p), add(p**2), add(np.maximum(p * (1 - p), LEAST_VARIANCE)))


def run_cell(cell: Cell, repetitions: int, seed: int) -> Result:
    """Draw and estimate so many times."""
    rng = np.random.default_rng([seed, *map(ord, json.dumps(asdict(cell)))])
    corpus = make_corpus(cell, rng)
    return repeat(cell, corpus, repetitions, rng)


def repeat(cell: Cell, corpus: Corpus, repetitions: int, rng: np.random.Generator) -> Result:
    """Draw sheets from a corpus, and hold the intervals against the truth."""
    posts = len(corpus.y)
    one_hot = np.eye(3)[corpus.y]
    label, steps = corpus.p.argmax(axis=1), find_steps(corpus.p)
    if cell.draw == "simple":
        stratum, strata, drawn = np.zeros(posts, np.int64), 1, np.array([cell.labels])
    else:
        histogram = np.bincount(label * GRID + steps, minlength=3 * GRID).reshape(3, GRID)
        first = cell.labels if cell.draw == "stratified" else cell.labels // 2
        made = cut_strata(histogram, first)
        stratum, strata = made.place(label, steps), len(made)
        sizes = np.bincount(stratum, minlength=strata)
        unsure = np.bincount(stratum, measure_uncertainty(corpus.p), minlength=strata) / np.maximum(sizes, 1)
        drawn = allocate(sizes, unsure, first)
        if cell.draw == "added":
            drawn = np.maximum(drawn, allocate(sizes, unsure, cell.labels))
    whole, groups = np.zeros(posts, np.int64), np.where(corpus.group < 2, corpus.group, -1)
    populations = {
        "corpus": count_population(corpus, stratum, strata, whole, 1),
        "groups": count_population(corpus, stratum, strata, groups, 2),
    }
    truths = np.stack([one_hot.mean(axis=0), *(one_hot[corpus.group == group].mean(axis=0) for group in (0, 1))])
    truths = np.vstack([truths, truths[1] - truths[2]])
    order = np.argsort(stratum, kind="stable")
    edges = np.concatenate([[0], np.cumsum(np.bincount(stratum, minlength=strata))])
    errors, margins = np.empty((repetitions, 4, 3)), np.empty((repetitions, 4, 3))
    for number in range(repetitions):
        rows = np.concatenate(
            [
                order[rng.choice(np.arange(edges[h], edges[h + 1]), drawn[h], replace=False)]
                for h in range(strata)
                if drawn[h]
            ]
        )
        found, margins[number] = estimate(populations, corpus, stratum, whole, groups, one_hot, rows)
        errors[number] = found - truths
    hit = np.abs(errors) <= margins + 1e-12
    usable = np.isfinite(errors)
    names = dict(enumerate(DOMAINS))

    def mean(values: npt.NDArray[np.generic]) -> dict[str, float]:
        return {name: float(np.mean(values[:, d][usable[:, d]])) for d, name in names.items()}

    bias = {name: float(np.abs(np.nanmean(errors[:, d], axis=0)).max()) for d, name in names.items()}
    bias_error = {
        name: float((np.nanstd(errors[:, d], axis=0) / np.sqrt(repetitions)).max()) for d, name in names.items()
    }
    worst = {name: float(hit[:, d].mean(axis=0).min()) for d, name in names.items()}
    return Result(cell, mean(hit), worst, bias, bias_error, mean(margins))


def estimate(
    populations: dict[str, Population],
    corpus: Corpus,
    stratum: Ints,
    whole: Ints,
    groups: Ints,
    one_hot: Floats,
    rows: Ints,
) -> tuple[Floats, Floats]:
    """Return shares and margins of the corpus, the two groups and their difference: float64 (4, labels) each."""
    samples = {
        name: Sample(stratum[rows], domain[rows], corpus.p[rows], one_hot[rows])
        for name, domain in (("corpus", whole), ("groups", groups))
    }
    coefficient = choose_coefficient(populations["corpus"], samples["corpus"])
    drawn = np.bincount(stratum[rows], minlength=len(populations["corpus"].sizes))
    shares, margins = [], []
    for name in ("corpus", "groups"):
        found = estimate_shares(populations[name], samples[name], coefficient)
        assert np.nanmax(np.abs(found.share.sum(axis=1) - 1)) < 1e-9, "the shares do not sum to 1"
        shares.append(found.share)
        margins.append(find_margins(found.strata_variance, drawn))
    difference, variance = estimate_difference(found, 0, 1)
    return np.vstack([*shares, difference]), np.vstack([*margins, find_margins(variance, drawn)])


def list_cells() -> Iterator[Cell]:
    """Yield all cells of the table."""
    for model, retweets, truth, labels, draw in itertools.product(MODELS, (False, True), TRUTHS, NUMBERS, DRAWS):
        yield Cell(model, retweets, truth, labels, draw)
    for model, truth in itertools.product(MODELS, TRUTHS):
        yield Cell(model, False, truth, 400, "stratified", fraction=0.3)


def check_real(path: Path, repetitions: int, seed: int) -> None:
    """Draw sheets of 100, 200 and 300 from labelled posts, and print how often the intervals hold their true shares."""
    frame = pl.read_parquet(path)
    p = frame.select(f"p_{label}" for label in LABELS).to_numpy().astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)
    y = frame["label"].replace_strict({label: k for k, label in enumerate(LABELS)}, return_dtype=pl.Int64).to_numpy()
    rng = np.random.default_rng(seed)
    corpus = Corpus(p, y, rng.integers(0, 3, len(p)))
    print(f"{path}: {len(p)} posts, {repetitions} sheets each; groups of a third, drawn at random")
    for labels in (100, 200, 300):
        found = repeat(Cell("real", False, "real", labels, "stratified"), corpus, repetitions, rng)
        for name in ("corpus", "a sixth"):
            shown = "a third" if name == "a sixth" else name
            margin, worst = found.margin[name], found.worst[name]
            print(
                f"{labels} labels, {shown}: {found.covered[name]:.3f} (worst label {worst:.3f}), +-{100 * margin:.1f}"
            )


def _sum(index: Ints, rows: Floats, length: int) -> Floats:
    return np.stack([np.bincount(index, rows[:, k], minlength=length) for k in range(rows.shape[1])], axis=1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="run every so manyeth cell")
    parser.add_argument("-o", "--output", type=Path, help="write all results here, as JSON lines")
    parser.add_argument("--model", choices=MODELS, help="the cells of this model alone")
    parser.add_argument("--scored", type=Path, help="posts that `score` wrote, with their true label in `label`")
    asked = parser.parse_args()
    if asked.scored:
        check_real(asked.scored, min(asked.repetitions, 500), asked.seed)
        return
    cells = [cell for cell in list_cells() if asked.model in (None, cell.model)][:: asked.every]
    began = time.time()
    with ProcessPoolExecutor(asked.processes) as pool:
        size = len(cells)
        results = list(pool.map(run_cell, cells, [asked.repetitions] * size, [asked.seed] * size))
    if asked.output:
        asked.output.write_text("".join(json.dumps(asdict(result)) + "\n" for result in results), encoding="utf-8")
    print(f"{size} cells, {asked.repetitions} repetitions, {time.time() - began:.0f} s")
    for name in DOMAINS:
        covered = np.array([result.covered[name] for result in results])
        ratio = np.array([result.bias[name] / max(result.bias_error[name], 1e-12) for result in results])
        low = results[int(covered.argmin())]
        print(
            f"{name:10} mean {covered.mean():.3f}  least {covered.min():.3f} ({low.cell})  bias/error {ratio.max():.1f}"
        )


if __name__ == "__main__":
    main()
