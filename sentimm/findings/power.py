"""How many labels a margin takes, and what margin a number of labels gives, before any are there.

The variance is what the model says of itself, the mean of p (1 - p), and a third more, as models are rarely as good as
they say (Cochran, Sampling Techniques, 1977, section 4.4 for the formula).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from sentimm.errors import UsageError
from sentimm.findings.designs import SamplingFrame
from sentimm.findings.statistics.strata import FEWEST_LABELS

CAUTION = 1.3
_QUANTILE = 1.96
_TABLE = (100, 200, 300, 400, 600, 800, 1000, 1500, 2000, 3000)


@dataclass(frozen=True)
class Plan:
    """What a number of labels gives.

    Attributes:
        labels: of the sheet.
        margin: half the width of a 95% interval of the corpus, in points.
        group_margin: that of its smallest group or period, in points; None: there are none.
    """

    labels: int
    margin: float
    group_margin: float | None = None


def count_labels(margin: float, variance: float, posts: int) -> int:
    """Return how many labels give a margin.

    Args:
        margin: half the width of a 95% interval, in points.
        variance: of a post, as the model says.
        posts: in the corpus.

    Raises:
        UsageError: the margin is none.
    """
    if not 0 < margin < 50:
        raise UsageError(f"--margin is {margin:g}, but it is a number of points, more than 0 and less than 50.")
    wanted = (_QUANTILE * 100 / margin) ** 2 * variance * CAUTION
    return min(posts, math.ceil(wanted / (1 + wanted / max(posts, 1))))


def find_margin(labels: int, variance: float, posts: int) -> float:
    """Return the margin that so many labels of so many posts give, in points."""
    if labels >= posts:
        return 0.0
    return 100 * _QUANTILE * math.sqrt(variance * CAUTION * (1 / max(labels, 1) - 1 / posts))


def list_plans(frame: SamplingFrame, smallest: float | None, numbers: Sequence[int] = _TABLE) -> list[Plan]:
    """Return what each number of labels gives.

    Args:
        frame: the corpus.
        smallest: share of the posts that the smallest group or period has; None: there are none.
        numbers: of labels.
    """
    variance, posts = measure_variance(frame), int(frame.sizes.sum())
    least = int(np.minimum(frame.sizes, FEWEST_LABELS).sum())
    plans = []
    for labels in sorted({min(max(number, least), posts) for number in numbers}):
        group = None
        if smallest is not None:
            group = find_margin(max(1, round(labels * smallest)), variance, max(1, round(posts * smallest)))
        plans.append(Plan(labels, find_margin(labels, variance, posts), group))
    return plans


def measure_variance(frame: SamplingFrame) -> float:
    """Return the variance of a post's label as the model says, of the label that varies most."""
    return float((frame.sizes @ frame.variance / frame.sizes.sum()).max())


def tabulate_plans(plans: Sequence[Plan]) -> pl.DataFrame:
    """Return plans as a table: `labels`, `margin`, `group_margin`, in points."""
    return pl.DataFrame(
        [(plan.labels, plan.margin, plan.group_margin) for plan in plans],
        schema={"labels": pl.Int64, "margin": pl.Float64, "group_margin": pl.Float64},
        orient="row",
    )
