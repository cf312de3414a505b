"""Drawing posts from a corpus, each stratum by itself.

A post is drawn by its permanent random number, which follows from the seed and the post's place in the corpus: of each
stratum those with the smallest numbers are drawn. That is simple random sampling without replacement in each stratum
(Ohlsson, "Coordination of samples using permanent random numbers", 1995), it takes one more stream over the corpus than
counting it, and a larger sheet of the same seed holds the smaller one.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.errors import InputError
from sentimm.findings.designs import Design, SamplingFrame
from sentimm.findings.population import Counts, count_posts, divide, place_strata
from sentimm.findings.question import Question
from sentimm.findings.scored import PLACE, ScoredPosts
from sentimm.findings.statistics.estimators import Floats, Ints
from sentimm.findings.statistics.strata import ALL_ALIKE, Strata, allocate, cut_cells, cut_strata

_CHOICE = 10  # times as many unsure posts as are drawn to train on, so that they differ
_SPARE_DEVIATIONS, _SPARE_POSTS = 6, 30  # more candidates than are drawn, so that they suffice


def make_frame(
    scored: ScoredPosts, labels_wanted: int, question: Question, per_cell: int | None = None
) -> SamplingFrame:
    """Return the corpus as `labels_wanted` posts are to be drawn from it.

    Args:
        scored: the corpus.
        labels_wanted: posts to draw.
        question: the groups and periods that are asked about later.
        per_cell: the fewest posts to draw of each group and period; None: they are not drawn apart.

    Raises:
        InputError: there are no posts.
    """
    own = question if per_cell is not None else Question()
    counts = count_posts(divide(scored, own), len(scored.labels), own)
    return _cut_frame(scored, counts, labels_wanted, own, per_cell)


def measure_alike(scored: ScoredPosts) -> SamplingFrame:
    """Return the corpus as one stratum."""
    return _measure_frame(
        ALL_ALIKE, count_posts(divide(scored, Question()), len(scored.labels), Question()), Question()
    )


def draw_from(scored: ScoredPosts, labels_wanted: int, question: Question, per_cell: int | None, seed: int) -> Design:
    """Draw posts from a corpus as `make_frame` cuts it.

    Raises:
        InputError: there are no posts.
    """
    frame = make_frame(scored, labels_wanted, question, per_cell)
    return draw_posts(scored, frame, choose_numbers(frame, labels_wanted, per_cell), seed)


def _cut_frame(
    scored: ScoredPosts, counts: Counts, labels_wanted: int, own: Question, per_cell: int | None
) -> SamplingFrame:
    if not counts.posts.sum():
        raise InputError(f"{', '.join(scored.names[:3])} holds no post with an answer: there is nothing to draw from.")
    if not own.keys:
        return _measure_frame(cut_strata(counts.posts[0], labels_wanted), counts, own)
    in_cell = counts.posts.sum(axis=(1, 2))
    wanted = np.maximum(per_cell or 0, np.floor(labels_wanted * in_cell / in_cell.sum()).astype(np.int64))
    return _measure_frame(cut_cells(counts.posts, counts.cells, wanted), counts, own)


def frame_unsure(scored: ScoredPosts, labels_wanted: int) -> tuple[SamplingFrame, Ints]:
    """Return the corpus cut between posts that the model is sure and unsure of, and how many to draw of each stratum.

    Raises:
        InputError: there are no posts.
    """
    counts = count_posts(divide(scored, Question()), len(scored.labels), Question())
    histogram = counts.posts[0]
    if not histogram.sum():
        raise InputError(f"{', '.join(scored.names[:3])} holds no post with an answer: there is nothing to draw from.")
    each = -(-labels_wanted // len(histogram))
    cuts = []
    for row in histogram:
        above = row[::-1].cumsum()[::-1]  # posts at least so unsure
        enough = np.flatnonzero(above >= min(_CHOICE * each, int(row.sum())))
        cuts.append((int(enough[-1]),) if len(enough) and enough[-1] > 0 and above[enough[-1]] < row.sum() else ())
    strata = Strata(((None, None),), (tuple(cuts),))
    frame = _measure_frame(strata, counts, Question())
    numbers = np.zeros(len(strata), np.int64)
    last = np.cumsum([len(steps) + 1 for steps in cuts]) - 1  # the most unsure of each label
    numbers[last] = np.minimum(frame.sizes[last], each)
    return frame, numbers


def choose_numbers(frame: SamplingFrame, labels_wanted: int, per_cell: int | None = None) -> Ints:
    """Return how many posts to draw of each stratum, int64 (strata,).

    Args:
        frame: the corpus.
        labels_wanted: of the whole sheet.
        per_cell: the fewest of each cell; None: cells are not drawn apart.
    """
    if per_cell is None:
        return allocate(frame.sizes, frame.uncertainty, labels_wanted)
    found = np.zeros(len(frame.sizes), np.int64)
    edges = [*frame.strata.firsts, len(frame.sizes)]
    for first, end in pairwise(edges):
        own = frame.sizes[first:end]
        wanted = max(per_cell, int(labels_wanted * own.sum() / frame.sizes.sum()))
        few = end - first == 1
        found[first:end] = np.minimum(own, wanted) if few else allocate(own, frame.uncertainty[first:end], wanted)
    return found


def draw_posts(scored: ScoredPosts, frame: SamplingFrame, numbers: Ints, seed: int) -> Design:
    """Draw so many posts of each stratum.

    Args:
        scored: the corpus.
        frame: how it is told apart.
        numbers: posts to draw of each stratum, int64 (strata,).
        seed: the same seed draws the same posts.
    """
    chosen = _find_candidates(scored, frame, numbers, seed, spare=True)
    if (_count_rows(chosen, len(numbers)) < numbers).any():  # once in many millions of draws
        chosen = _find_candidates(scored, frame, numbers, seed, spare=False)
    ranked = chosen.sort("random").with_columns(rank=pl.int_range(pl.len()).over("stratum"))
    limits = pl.DataFrame({"stratum": np.arange(len(numbers)), "most": numbers})
    drawn = ranked.join(limits, on="stratum").filter(pl.col("rank") < pl.col("most")).sort("place")
    names = {f"f{k}": f"p_{label}" for k, label in enumerate(scored.labels)}
    return Design(
        drawn.select("place", "stratum", *names).rename(names),
        frame,
        scored.labels,
        seed,
        scored.bundle,
        scored.fingerprint,
        model=scored.model,
    )


def _find_candidates(
    scored: ScoredPosts, frame: SamplingFrame, numbers: Ints, seed: int, *, spare: bool
) -> pl.DataFrame:
    """Find posts with small random numbers: of each stratum a few more than are drawn, or all."""
    share = np.ones(len(numbers))
    if spare:
        most = numbers + _SPARE_DEVIATIONS * np.sqrt(numbers) + _SPARE_POSTS
        share = np.where(numbers > 0, np.minimum(1.0, most / np.maximum(frame.sizes, 1)), 0.0)
    # The loosest limit first: nearly all posts are not even read.
    early = choose_early(scored, seed, float(share.max()))
    placed = _place(divide(early, frame.question).with_columns(make_random(seed).alias("random")), frame)
    limits = pl.Series(map(find_limit, share.tolist()), dtype=pl.UInt64)
    own = pl.col("stratum").replace_strict(list(range(len(limits))), limits, return_dtype=pl.UInt64)
    return placed.filter(pl.col("random") <= own).collect(engine="streaming")


def _place(posts: pl.LazyFrame, frame: SamplingFrame) -> pl.LazyFrame:
    """Return place, stratum, random number and probabilities of posts."""
    own = frame.question
    renamed = posts.rename({name: f"own_{name}" for name in own.keys})
    placed = renamed.with_columns(place_strata(frame.strata, own).cast(pl.Int64).alias("stratum"))
    return placed.select(pl.col(PLACE).cast(pl.Int64).alias("place"), "stratum", "random", "^f[0-9]+$")


def _count_rows(chosen: pl.DataFrame, strata: int) -> Ints:
    return np.bincount(chosen["stratum"].to_numpy(), minlength=strata)


def _measure_frame(strata: Strata, counts: Counts, question: Question) -> SamplingFrame:
    sizes = _add_up(strata, counts, counts.posts)[:, 0].astype(np.int64)
    posts = np.maximum(sizes, 1)[:, None]
    return SamplingFrame(
        strata,
        sizes,
        _add_up(strata, counts, counts.p) / posts,
        _add_up(strata, counts, counts.uncertainty)[:, 0] / posts[:, 0],
        _add_up(strata, counts, counts.spread) / posts,
        question,
    )


def _add_up(strata: Strata, counts: Counts, values: npt.NDArray[Any]) -> Floats:
    """Add what was counted by cell, label and step up by stratum: float64 (strata, columns)."""
    cells, labels, steps = counts.posts.shape
    cell, label, step = (axis.ravel() for axis in np.indices((cells, labels, steps)))
    stratum = strata.place(label, step, cell if len(strata.cells) > 1 else None)
    columns = values.reshape(cells * labels * steps, -1).astype(np.float64)
    return np.stack(
        [np.bincount(stratum, columns[:, k], minlength=len(strata)) for k in range(columns.shape[1])], axis=1
    )


def choose_early(scored: ScoredPosts, seed: int, share: float) -> ScoredPosts:
    """Return the posts with the smallest random numbers, about a `share` of all; little is read of the others."""
    limit = pl.lit(find_limit(share), dtype=pl.UInt64)
    return replace(scored, frame=scored.frame.filter(make_random(seed) <= limit))


def find_limit(share: float) -> int:
    """Return the random number up to which a share of all posts lies."""
    largest = (1 << 64) - 1
    return min(largest, int(share * largest))  # 1.0 times it would be one more


def make_random(seed: int) -> pl.Expr:
    """Return the permanent random number of each post, UInt64: SplitMix64 (Steele, Lea and Flood, 2014) of its place.

    It is the same for ever; polars' own hash may change.
    """
    start = np.uint64(int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8], "little"))

    def mix(place: pl.Series) -> pl.Series:
        mixed = place.cast(pl.UInt64).to_numpy(writable=True)
        mixed += np.uint64(1)  # arrays wrap around at 2^64
        mixed *= np.uint64(0x9E3779B97F4A7C15)
        mixed += start
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed ^= mixed >> np.uint64(shift)
            mixed *= np.uint64(factor)
        return pl.Series(mixed ^ (mixed >> np.uint64(31)))

    # As an expression of polars it took three times as long: each step would be written out twice in the next.
    return pl.col(PLACE).map_batches(mix, return_dtype=pl.UInt64, is_elementwise=True)
