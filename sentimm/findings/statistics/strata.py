"""Strata: posts that are drawn alike, and how many are drawn of each.

A stratum is a predicted label and a bin of the model's uncertainty, of about equally many posts each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sentimm.errors import UsageError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEWEST_LABELS = 25  # of a stratum: below, the sample's own variance says little
MOST_BINS = 3
_LABELS_PER_BIN = 75
_PROPORTIONAL = 0.5  # how much of a sheet is drawn in proportion; the rest goes where the model is unsure
GRID = 1024  # steps of spread, 0 to 1, in which a corpus is counted, and between which bins are cut


@dataclass(frozen=True)
class Strata:
    """How posts are told apart: by the cell (a group, a period, or both) where cells are drawn apart, and within it.

    Attributes:
        cells: what is drawn apart, with its group and period; one with neither where nothing is.
        cuts: of each cell, for each predicted label, the steps of spread (of GRID) at which a new bin begins; None
            where the cell is one stratum.
    """

    cells: tuple[tuple[str | None, str | None], ...]
    cuts: tuple[tuple[tuple[int, ...], ...] | None, ...]

    @property
    def firsts(self) -> list[int]:
        """The number of each cell's first stratum."""
        return [0, *np.cumsum([_count(cuts) for cuts in self.cuts])[:-1].tolist()]

    def __len__(self) -> int:
        return sum(map(_count, self.cuts))

    def place(self, label: Ints, step: Ints, cell: Ints | None = None) -> Ints:
        """Return the stratum of posts, int64 (posts,).

        Args:
            label: the predicted labels, int64 (posts,).
            step: the steps of spread, int64 (posts,).
            cell: the cells, int64 (posts,); None: there is only one.
        """
        found = np.empty(len(label), dtype=np.int64)
        cell = np.zeros(len(label), dtype=np.int64) if cell is None else cell
        for number, (first, cuts) in enumerate(zip(self.firsts, self.cuts, strict=True)):
            found[cell == number] = first
            for own, steps in enumerate(cuts or ()):
                chosen = (cell == number) & (label == own)
                found[chosen] = first + np.searchsorted(steps, step[chosen], side="right")
                first += len(steps) + 1
        return found


ALL_ALIKE = Strata(((None, None),), (None,))


def measure_uncertainty(p: Floats) -> Floats:
    """Return sqrt(sum_k p_k (1 - p_k)) of each post: float64 (posts,), of p, float64 (posts, labels)."""
    return np.asarray(np.sqrt(np.maximum((p * (1 - p)).sum(axis=1), 0.0)))


def find_steps(p: Floats) -> Ints:
    """Return the step of spread, sum_k p_k (1 - p_k), of each post: int64 (posts,), 0 to GRID - 1."""
    spread = 1 - (p**2).sum(axis=1)
    return np.asarray(np.clip((spread * GRID).astype(np.int64), 0, GRID - 1))


def cut_strata(histogram: Ints, labels_wanted: int) -> Strata:
    """Return the strata of a corpus whose groups and periods are drawn alike.

    Args:
        histogram: posts by predicted label and step of spread, int64 (labels, GRID).
        labels_wanted: posts that will be labelled; more of them allow for more bins.
    """
    return Strata(((None, None),), (_cut_labels(histogram, labels_wanted),))


def cut_cells(histograms: Ints, cells: Sequence[tuple[str | None, str | None]], wanted: Sequence[int] | Ints) -> Strata:
    """Return the strata of a corpus whose cells are drawn apart.

    A cell is told apart by label where its posts suffice for FEWEST_LABELS of each.

    Args:
        histograms: posts by cell, predicted label and step of spread, int64 (cells, labels, GRID).
        cells: their groups and periods.
        wanted: labels wanted of each cell.
    """
    enough = FEWEST_LABELS * histograms.shape[1]
    cuts = tuple(
        _cut_labels(histogram, number) if number >= enough else None
        for histogram, number in zip(histograms, wanted, strict=True)
    )
    return Strata(tuple(cells), cuts)


def allocate(sizes: Sequence[int] | Ints, uncertainty: Floats, labels_wanted: int) -> Ints:
    """Return how many posts to draw of each stratum: half in proportion, half also by uncertainty (Neyman).

    Every stratum gets FEWEST_LABELS, or all of its posts; where that takes more than was wanted, more are drawn.

    Args:
        sizes: posts of each stratum, (strata,).
        uncertainty: their mean, float64 (strata,).
        labels_wanted: posts to draw.
    """
    posts = np.asarray(sizes, dtype=np.int64)
    least = np.minimum(posts, FEWEST_LABELS)
    if labels_wanted >= posts.sum():
        return posts
    by_size = posts / max(posts.sum(), 1)
    by_spread = posts * uncertainty
    by_spread = by_spread / by_spread.sum() if by_spread.sum() > 0 else by_size
    share = _PROPORTIONAL * by_size + (1 - _PROPORTIONAL) * by_spread
    fixed = np.zeros(len(posts), dtype=bool)
    drawn = least.astype(np.float64)
    while True:  # what hits a bound stays there, and the rest is shared out anew
        left = labels_wanted - drawn[fixed].sum()
        free = ~fixed
        if left <= 0 or not share[free].sum() > 0:
            drawn[free] = least[free]
            break
        drawn[free] = left * share[free] / share[free].sum()
        outside = free & ((drawn < least) | (drawn > posts))
        if not outside.any():
            break
        # The lower bounds first: they take from the others.
        low = outside & (drawn < least)
        chosen = low if low.any() else outside
        drawn[chosen] = np.where(drawn < least, least, posts)[chosen]
        fixed |= chosen
    return _round(np.clip(drawn, least, posts), least, posts)


def _count(cuts: tuple[tuple[int, ...], ...] | None) -> int:
    return 1 if cuts is None else sum(len(steps) + 1 for steps in cuts)


def _cut_labels(histogram: Ints, labels_wanted: int) -> tuple[tuple[int, ...], ...]:
    bins = int(np.clip(labels_wanted // _LABELS_PER_BIN, 1, MOST_BINS))
    return tuple(_cut(row, bins) for row in histogram)


def _cut(counts: Ints, bins: int) -> tuple[int, ...]:
    """Cut steps into bins of about equally many posts; steps with many posts may leave fewer bins."""
    total = int(counts.sum())
    if total == 0:
        return ()
    below = np.cumsum(counts)
    wanted = [int(np.searchsorted(below, total * part / bins, side="left")) + 1 for part in range(1, bins)]
    return tuple(step for step in sorted(set(wanted)) if 0 < below[step - 1] < total)


def _round(drawn: Floats, least: Ints, most: Ints) -> Ints:
    """Round to whole posts with the same sum, the largest remainders up."""
    whole = np.floor(drawn).astype(np.int64)
    spare = round(float(drawn.sum())) - int(whole.sum())
    order = np.argsort(-(drawn - whole), kind="stable")
    for index in order[:spare]:
        whole[index] += 1
    return np.clip(whole, least, most)


def check_labelled(sizes: Ints, labelled: Ints) -> None:
    """Check that every stratum has labels.

    Args:
        sizes: posts of each stratum in the corpus, int64 (strata,).
        labelled: labelled posts of each, int64 (strata,).

    Raises:
        UsageError: one has none, so that nothing is known of its posts.
    """
    if missing := int(sizes[labelled == 0].sum()):
        raise UsageError(
            f"No label speaks for {missing:,} of {int(sizes.sum()):,} posts, as none of their kind is labelled: "
            "label the rest of the sheet."
        )


def note_few_labels(sizes: Ints, labelled: Ints) -> tuple[str, ...]:
    """Return a note about strata with few labels; the arguments are those of `check_labelled`."""
    few = (labelled < np.minimum(sizes, FEWEST_LABELS)) & (sizes > 0)
    if not few.any():
        return ()
    return (
        f"{int(few.sum())} of the {len(few)} kinds of posts that were drawn have fewer than {FEWEST_LABELS} labels "
        f"(the least: {int(labelled[few].min())}): the intervals may be too narrow. Label the rest of the sheet.",
    )
