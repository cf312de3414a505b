"""Designs: which posts were drawn for a sheet, and how, so that their labels can speak for the whole corpus.

A design lies beside its sheet as Parquet, a row for each drawn post; its metadata holds what an estimate needs besides.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sentimm.errors import InputError, TableError, UsageError
from sentimm.findings.question import Question
from sentimm.findings.scored import ScoredPosts
from sentimm.findings.statistics.estimators import Floats, Ints
from sentimm.findings.statistics.strata import Strata
from sentimm.storage.atomic import commit_file

SUFFIX = ".design.parquet"

_METADATA = b"sentimm.design"
_FORMAT = 1


@dataclass(frozen=True)
class SamplingFrame:
    """A corpus as posts are drawn from it.

    Attributes:
        strata: how posts are told apart.
        sizes: posts of each stratum, int64 (strata,).
        means: their mean probabilities, float64 (strata, labels).
        uncertainty: the mean of sqrt(sum of p (1 - p)), float64 (strata,).
        variance: the mean of p (1 - p), float64 (strata, labels).
        question: what tells the cells of the strata apart, where cells are drawn apart.
    """

    strata: Strata
    sizes: Ints
    means: Floats
    uncertainty: Floats
    variance: Floats
    question: Question = field(default_factory=Question)


@dataclass(frozen=True)
class Design:
    """How the posts of a sheet were drawn.

    Attributes:
        posts: a row for each drawn post: `place` and `stratum`, Int64, and `p_<label>`, Float64; once the sheet is made
            also `sheet_id`, `source`, `row` and `content`.
        frame: the corpus.
        labels: of the model.
        seed: of the draw.
        bundle, fingerprint: the model and the corpus; None: not stated.
        is_random: False for sheets of posts chosen to train on, which say nothing of the corpus.
        model: the digest of the model; None: not stated.
    """

    posts: pl.DataFrame
    frame: SamplingFrame
    labels: tuple[str, ...]
    seed: int
    bundle: str | None = None
    fingerprint: str | None = None
    is_random: bool = True
    model: str | None = None

    @property
    def drawn(self) -> Ints:
        """Drawn posts of each stratum, int64 (strata,)."""
        return np.bincount(self.posts["stratum"].to_numpy(), minlength=len(self.frame.sizes)).astype(np.int64)


@dataclass(frozen=True)
class LabelledSample:
    """Labels of drawn posts.

    Attributes:
        design: how they were drawn.
        votes: a row for each labelled post of the design: `place`, Int64, and `y_<label>`, Float64, shares of votes.
    """

    design: Design
    votes: pl.DataFrame


def write_design(path: Path, design: Design) -> None:
    """Write a design beside its sheet.

    Raises:
        OutputError: it can't be written.
    """
    sizes, drawn = design.frame.sizes, design.drawn
    stratum = design.posts["stratum"].to_numpy()
    posts = design.posts.with_columns(
        N_h=pl.Series(sizes[stratum]),
        n_h=pl.Series(drawn[stratum]),
        weight=pl.Series(sizes[stratum] / drawn[stratum]),
    )
    facts = {
        "format": _FORMAT,
        "labels": design.labels,
        "seed": design.seed,
        "bundle": design.bundle,
        "fingerprint": design.fingerprint,
        "is_random": design.is_random,
        "model": design.model,
        "cells": design.frame.strata.cells,
        "cuts": design.frame.strata.cuts,
        "sizes": sizes.tolist(),
        "means": design.frame.means.tolist(),
        "uncertainty": design.frame.uncertainty.tolist(),
        "variance": design.frame.variance.tolist(),
        "question": asdict(design.frame.question),
        "digest": _digest(posts),
    }
    table = posts.to_arrow()
    table = table.replace_schema_metadata({_METADATA: json.dumps(facts)})
    with commit_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_design(path: Path) -> Design:
    """Read a design.

    Raises:
        InputError: it is not there.
        TableError: it is no design, or was edited.
    """
    try:
        with pq.ParquetFile(path) as file:  # `read_table` would import pandas where that is installed
            table = file.read()
    except FileNotFoundError as error:
        raise InputError(
            f"There is no design file {path}, which says how the sheet was drawn: put it beside the sheet, or name it "
            "with --design."
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path} can't be read as Parquet: {error}.") from error
    try:
        facts: dict[str, Any] = json.loads((table.schema.metadata or {})[_METADATA])
        posts = pl.from_arrow(table)
        assert isinstance(posts, pl.DataFrame)
        if facts["digest"] != _digest(posts):
            raise TableError(f"{path} was edited after `sentimm sample` wrote it: restore the original file.")
        strata = Strata(
            tuple((group, period) for group, period in facts["cells"]),
            tuple(None if cuts is None else tuple(map(tuple, cuts)) for cuts in facts["cuts"]),
        )
        frame = SamplingFrame(
            strata,
            np.array(facts["sizes"], np.int64),
            np.array(facts["means"], np.float64),
            np.array(facts["uncertainty"], np.float64),
            np.array(facts["variance"], np.float64),
            Question(**facts["question"]),
        )
        return Design(
            posts.drop("N_h", "n_h", "weight"),
            frame,
            tuple(facts["labels"]),
            facts["seed"],
            facts["bundle"],
            facts["fingerprint"],
            facts["is_random"],
            facts.get("model"),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise TableError(f"{path} is no design file that `sentimm sample` wrote.") from error


def check_design(design: Design, scored: ScoredPosts, path: Path) -> None:
    """Check that a design is of this corpus and model, and can speak for it.

    Raises:
        UsageError: it is not.
    """
    check_random(design, path)
    if design.labels != scored.labels:
        raise UsageError(
            f"{path} was drawn from posts with the labels {', '.join(design.labels)}; these have "
            f"{', '.join(scored.labels)}: give the scored posts that the sheet was drawn from."
        )
    if design.fingerprint != scored.fingerprint:
        raise UsageError(
            f"{path} was drawn from another corpus, or one scored by another model, than {scored.names[0]}: give the "
            "scored posts that it was drawn from, in the same order."
        )


def check_random(design: Design, path: Path) -> None:
    """Check that the posts of a design can speak for their corpus.

    Raises:
        UsageError: they were chosen to train on.
    """
    if not design.is_random:
        raise UsageError(
            f"{path} holds posts chosen for training (--for-training), which say nothing of the corpus: draw a sheet "
            "without that option."
        )


def _digest(posts: pl.DataFrame) -> str:
    ordered: Sequence[str] = sorted(posts.columns)
    content = posts.select(ordered).write_csv(float_precision=9)
    return hashlib.sha256(content.encode()).hexdigest()
