"""Can the model be trusted here: what labelled posts say of it, each weighted by the posts that it stands for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sentimm.findings.designs import LabelledSample
from sentimm.findings.sheets.labels import Labels
from sentimm.findings.statistics.agreement import measure_alpha
from sentimm.findings.statistics.estimators import Floats

_BINS = 6


@dataclass(frozen=True)
class Trust:
    """What labelled posts say of the model.

    Attributes:
        confusion: shares of the corpus by true label (rows) and predicted one, float64 (labels, labels); sums to 1.
        reliability: mean confidence, share that is right, and labels, of each bin of confidence.
        alpha, alpha_ordinal: agreement of the annotators; None: nobody overlaps.
        people: who labelled.
        labels: contents with a label.
        posts: drawn posts that they stand for.
    """

    confusion: Floats
    reliability: tuple[tuple[float, float, int], ...]
    alpha: float | None
    alpha_ordinal: float | None
    people: int
    labels: int
    posts: int

    @property
    def accuracy(self) -> float:
        """The share of the corpus that the model labels as people do."""
        return float(np.trace(self.confusion))

    def hide_small(self, fewest: int) -> Trust:
        """Return the same without bins of fewer labels."""
        return replace(self, reliability=tuple(each for each in self.reliability if each[2] >= fewest))


def measure_trust(sample: LabelledSample, labels: Labels) -> Trust:
    """Return what labelled posts say of the model."""
    design = sample.design
    names = design.labels
    posts = design.posts.join(sample.votes, on="place", maintain_order="left")
    stratum = posts["stratum"].to_numpy()
    drawn = np.bincount(stratum, minlength=len(design.frame.sizes))
    weights = design.frame.sizes[stratum] / drawn[stratum]
    weights = weights / weights.sum()
    p = posts.select(f"p_{name}" for name in names).to_numpy()
    y = posts.select(f"y_{name}" for name in names).to_numpy()
    predicted = p.argmax(axis=1)
    confusion = np.stack(
        [(weights[:, None] * y)[predicted == label].sum(axis=0) for label in range(len(names))], axis=1
    )
    confidence, right = p.max(axis=1), y[np.arange(len(y)), predicted]
    edges = np.quantile(confidence, np.linspace(0, 1, _BINS + 1)[1:-1])
    bins = np.searchsorted(edges, confidence, side="right")
    reliability = []
    for number in range(_BINS):
        own = bins == number
        if own.any():
            share = weights[own] / weights[own].sum()
            reliability.append((float(share @ confidence[own]), float(share @ right[own]), int(own.sum())))
    return Trust(
        confusion,
        tuple(reliability),
        measure_alpha(labels.votes, len(names), "nominal"),
        measure_alpha(labels.votes, len(names), "ordinal"),
        labels.votes["annotator"].n_unique(),
        labels.votes["sheet_id"].n_unique(),
        len(posts),
    )
