"""Labelled contents of a sheet: the model's answers, the labels, and how many posts of the corpus each stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from sentimm.findings.designs import Design, check_random, read_design
from sentimm.findings.sheets.labels import Labels, find_design, join_labels, read_sheets
from sentimm.findings.statistics.estimators import Floats, Ints
from sentimm.findings.statistics.strata import check_labelled, note_few_labels


@dataclass(frozen=True)
class LabelledContents:
    """Labelled contents, a row for each stratum that a content was drawn in.

    Attributes:
        ids: sheet ids, strings (rows,).
        stratum: int64 (rows,).
        weight: the posts of the corpus that a row stands for, float64 (rows,).
        p: the model's probabilities, float64 (rows, labels); they sum to 1.
        y: one-hot labels, or the annotators' votes as shares, float64 (rows, labels).
        sizes: posts of each stratum in the corpus, int64 (strata,).
        drawn: labelled posts of each stratum, int64 (strata,).
    """

    ids: tuple[str, ...]
    stratum: Ints
    weight: Floats
    p: Floats
    y: Floats
    sizes: Ints
    drawn: Ints

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the strata, in sentences."""
        return note_few_labels(self.sizes, self.drawn)


@dataclass(frozen=True)
class LabelledSheet:
    """A labelled sheet, as it was read without its corpus.

    Attributes:
        path: of the design.
        design: how the posts were drawn.
        labels: what people said.
        contents: the labelled contents.
    """

    path: Path
    design: Design
    labels: Labels
    contents: LabelledContents


def read_labelled_sheet(sheets: Sequence[str], design_path: Path | None = None) -> LabelledSheet:
    """Read labelled sheets and their design, which alone is needed of the corpus.

    Args:
        sheets: files of one design.
        design_path: the design file; None: the one beside the sheets.

    Raises:
        InputError, ColumnError, TableError, UsageError: see `read_design`, `read_sheets` and `weigh_contents`; the
            posts were chosen to train on.
    """
    paths = [Path(name) for name in sheets]
    path = find_design(paths, design_path)
    design = read_design(path)
    check_random(design, path)
    labels = read_sheets(paths, design)
    return LabelledSheet(path, design, labels, weigh_contents(design, labels))


def weigh_contents(design: Design, labels: Labels) -> LabelledContents:
    """Return the labelled contents of a design.

    Raises:
        UsageError: see `check_labelled`.
    """
    votes = [f"y_{label}" for label in design.labels]
    answers = [f"p_{label}" for label in design.labels]
    posts = design.posts.join(join_labels(design, labels).votes, on="place", maintain_order="left")
    posts = posts.drop_nulls(votes)
    sizes = design.frame.sizes
    drawn = np.bincount(posts["stratum"].to_numpy(), minlength=len(sizes)).astype(np.int64)
    check_labelled(sizes, drawn)
    rows = posts.group_by("stratum", "sheet_id", maintain_order=True).agg(
        pl.len().alias("posts"), pl.col(*votes, *answers).first()
    )
    stratum = rows["stratum"].to_numpy().astype(np.int64)
    p = rows.select(answers).to_numpy().astype(np.float64)
    y = rows.select(votes).to_numpy().astype(np.float64)
    return LabelledContents(
        tuple(rows["sheet_id"]),
        stratum,
        rows["posts"].to_numpy() * sizes[stratum] / drawn[stratum],
        p / p.sum(axis=1, keepdims=True),
        y / y.sum(axis=1, keepdims=True),
        sizes,
        drawn,
    )
