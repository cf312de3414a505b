"""Shares of labels under the assumption that nothing but these shares has changed since a model was trained.

The estimator is the EM algorithm of Saerens, Latinne and Decaestecker ("Adjusting the outputs of a classifier to new a
priori probabilities", Neural Computation 14, 2002), also known as EMQ. It is exact where the assumption holds and the
probabilities are calibrated, and makes errors larger elsewhere; it has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.errors import UsageError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_POINTS = 16_384  # in which the posts of a domain are told apart, about
MOST_ROWS = 4_000_000  # of the points of all domains
_MOST_ROUNDS = 10_000
_ROUNDED = 0.02  # by which given shares may miss 1
_CHANGE = 1e-9  # of a share, below which it is found


def place_point(labels: int, points: int = MOST_POINTS) -> pl.Expr:
    """Return the number of the small region in which the probabilities `f0`, `f1`, ... of each post lie, Int64.

    The algorithm takes many rounds; posts of a region go through them as one, with their mean probabilities. Measured
    with three labels whose shares shift by up to 45 points, that changes no share by 0.0001; with five, none by 0.001.
    Regions are narrower near 0, where a small probability may be multiplied by much.

    Args:
        labels: how many there are.
        points: regions, about.
    """
    free = max(1, labels - 1)  # the last probability follows from the others
    steps = max(2, int((points * math.factorial(free)) ** (1 / free)))
    number = pl.lit(0, dtype=pl.Int64)
    for k in range(free):
        number = number * (steps + 1) + (pl.col(f"f{k}").sqrt() * steps).cast(pl.Int64)
    return number


def shift_shares(p: Floats, posts: Ints, prior: Floats) -> Floats:
    """Return the shares of the labels, float64 (labels,), which sum to 1.

    Args:
        p: probabilities, float64 (points, labels).
        posts: that have them, int64 (points,).
        prior: shares of the labels in training, all above 0, float64 (labels,).
    """
    weights = posts / posts.sum()
    shares = prior
    for _ in range(_MOST_ROUNDS):
        adjusted = p * (shares / prior)
        adjusted /= adjusted.sum(axis=1, keepdims=True)
        before, shares = shares, weights @ adjusted
        if np.abs(shares - before).max() < _CHANGE:
            break
    return np.asarray(shares / shares.sum())


def read_prior(entries: Sequence[str], labels: Sequence[str]) -> Floats:
    """Return the shares of the labels in training, float64 (labels,), from entries such as `negative=0.3`.

    Raises:
        UsageError: a label is missing, or the shares do not add up to 1.
    """
    found: dict[str, float] = {}
    for entry in entries:
        name, _, value = entry.partition("=")
        try:
            found[name.strip().lower()] = share = float(value)
        except ValueError:
            raise UsageError(f"--prior has {entry!r}: write {_show_prior(labels)}.") from None
        if not 0 < share < 1:
            raise UsageError(
                f"--prior has {entry!r}: a share is more than 0 and less than 1; write {_show_prior(labels)}."
            )
    if set(found) != {label.lower() for label in labels} or len(found) < len(entries):
        raise UsageError(f"--prior names {', '.join(found)}, but the labels are {', '.join(labels)}: give each once.")
    prior = np.array([found[label.lower()] for label in labels])
    if abs(prior.sum() - 1) > _ROUNDED:
        raise UsageError(f"The shares of --prior add up to {prior.sum():g}: they must add up to 1.")
    return np.asarray(prior / prior.sum())


def _show_prior(labels: Sequence[str]) -> str:
    share = round(1 / len(labels), 2)
    return "--prior " + ",".join(f"{label}={share:g}" for label in labels)
