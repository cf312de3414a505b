"""How far people agree: Krippendorff's alpha (Krippendorff, Content Analysis, 2004, chapter 11)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

Level = Literal["nominal", "ordinal"]


def measure_alpha(votes: pl.DataFrame, labels: int, level: Level) -> float | None:
    """Return alpha, 1 - D_o / D_e: 1 for perfect agreement, 0 for that of chance; None where no two people overlap.

    Args:
        votes: `sheet_id`, `annotator` and `label`, Int64, a row for each judgement.
        labels: how many there are, in order.
        level: `nominal`, all disagreements alike, or `ordinal`, neighbours nearer.
    """
    counts = votes.pivot("label", index="sheet_id", values="annotator", aggregate_function="len").fill_null(0)
    units = np.zeros((len(counts), labels))
    for label in range(labels):
        if str(label) in counts.columns:
            units[:, label] = counts[str(label)].to_numpy()
    people = units.sum(axis=1)
    units, people = units[people >= 2], people[people >= 2]
    if not len(units):
        return None
    coincidences = np.einsum("ui,uj->uij", units, units) - np.einsum("ui,ij->uij", units, np.eye(labels))
    observed = (coincidences / (people - 1)[:, None, None]).sum(axis=0)
    totals = observed.sum(axis=0)
    expected = (np.outer(totals, totals) - np.diag(totals)) / (totals.sum() - 1)
    distance = _find_distances(totals, level)
    disagreement = float((expected * distance).sum())
    return 1.0 - float((observed * distance).sum()) / disagreement if disagreement > 0 else 1.0


def _find_distances(totals: npt.NDArray[np.float64], level: Level) -> npt.NDArray[np.float64]:
    labels = len(totals)
    if level == "nominal":
        return 1.0 - np.eye(labels)
    distances = np.zeros((labels, labels))
    for first in range(labels):
        for second in range(first + 1, labels):
            between = totals[first : second + 1].sum() - (totals[first] + totals[second]) / 2
            distances[first, second] = distances[second, first] = between**2
    return distances
