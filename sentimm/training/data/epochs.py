"""How often an epoch sees which posts: by the weights of their tables, and balanced over the values of a column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sentimm.training.data.posts import Int64Array, LabelledPosts
from sentimm.training.options import TrainOptions, split_balance


@dataclass(frozen=True)
class EpochDraw:
    """What an epoch draws: so many posts of each cell, all of them equally often.

    Attributes:
        cell: the cell of each post, int64 (posts,).
        counts: how many posts of each cell an epoch sees, int64 (cells,).
        frequencies: how often it sees each post on average, float64 (posts,).
    """

    cell: Int64Array
    counts: Int64Array
    frequencies: npt.NDArray[np.float64]


def plan_draw(posts: LabelledPosts, options: TrainOptions) -> EpochDraw:
    """Return what an epoch draws of the posts to train on.

    With `options.balance`, a value that n posts of an epoch would have gets a share of it like n to the power that the
    option names; the epoch is as long as without, and the tables' weights hold among the posts of a value.
    """
    weights = np.asarray(options.table_weights or (1.0,) * len(options.inputs), dtype=np.float64)
    sizes = np.bincount(posts.table, minlength=len(weights))
    counts = np.asarray(
        [count_epoch_posts(*each) for each in zip(sizes.tolist(), weights, strict=True)], dtype=np.int64
    )
    frequencies = weights[posts.table]
    if options.balance is None or posts.group is None:
        return EpochDraw(posts.table, counts, frequencies)
    before = np.bincount(posts.group, weights=frequencies)
    power = np.where(before > 0, np.maximum(before, 1e-9) ** split_balance(options.balance)[1], 0.0)
    frequencies = frequencies * (before.sum() * power / power.sum() / np.maximum(before, 1e-9))[posts.group]
    _, cell = np.unique(posts.group * len(weights) + posts.table, return_inverse=True)
    exact = np.bincount(cell, weights=frequencies).astype(np.float64)
    return EpochDraw(cell.astype(np.int64), _round_counts(exact, int(counts.sum())), frequencies)


def note_balance(posts: LabelledPosts, options: TrainOptions) -> tuple[str, ...]:
    """Return notes on how `options.balance` changes an epoch: the values that gain and lose the most."""
    if options.balance is None or posts.group is None:
        return ()
    frequencies = plan_draw(posts, options).frequencies
    sizes = np.bincount(posts.group, minlength=len(posts.group_names))
    seen = np.bincount(posts.group, weights=frequencies, minlength=len(posts.group_names)) / np.maximum(sizes, 1)
    there = np.flatnonzero(sizes)
    extremes = (there[np.argmax(seen[there])], there[np.argmin(seen[there])])
    shown = " and ".join(f"{posts.group_names[row]} ({sizes[row]:,} posts) {seen[row]:.2g} times" for row in extremes)
    column = split_balance(options.balance)[0]
    return (f"An epoch is balanced over the {len(there):,} values of {column}: it sees {shown}.",)


def count_epoch_posts(posts: int, weight: float) -> int:
    """Return how many posts of a table an epoch has."""
    return round(posts * weight)


def _round_counts(exact: npt.NDArray[np.float64], total: int) -> Int64Array:
    """Round numbers of posts so that they are `total` together: down, then those up that lost the most."""
    exact = exact * (total / exact.sum())
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    return counts
