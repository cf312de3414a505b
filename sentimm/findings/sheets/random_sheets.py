"""Labelled posts without a design file, taken for a simple random sample because the user says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from sentimm.errors import UsageError
from sentimm.findings.designs import Design, LabelledSample
from sentimm.findings.drawing import measure_alike
from sentimm.findings.options import SheetOptions
from sentimm.findings.population import divide
from sentimm.findings.question import Question
from sentimm.findings.scored import PLACE, ScoredPosts
from sentimm.findings.sheets.labels import Labels, join_labels, number_judgements, read_sheet


def read_random_sample(options: SheetOptions, scored: ScoredPosts) -> tuple[LabelledSample, Labels]:
    """Read labelled posts, which are told by the ids that they have in the corpus.

    Raises:
        InputError, ColumnError, TableError: see `read_sheets`.
        UsageError: the corpus has no ids, or does not hold the labelled posts; or an id stands for several posts.
    """
    judgements = [(Path(name), each) for name in options.labels for each in read_sheet(Path(name))]
    design = make_random_design(list(dict.fromkeys(each.sheet_id for _, each in judgements)), scored)
    labels = number_judgements(judgements, design)
    return join_labels(design, labels), labels


def make_random_design(ids: Sequence[str], scored: ScoredPosts) -> Design:
    """Return the design of a simple random sample of posts.

    Raises:
        UsageError: as `read_random_sample`.
    """
    column = scored.options.get("id_column") or "id"
    if column not in scored.columns:
        raise UsageError(
            f"--assume random finds the labelled posts by their ids, but {scored.names[0]} has no column {column!r}: "
            "score with --columns that keep it."
        )
    places = (
        scored.frame.select(PLACE, pl.col(column).cast(pl.String).alias("sheet_id"))
        .filter(pl.col("sheet_id").is_in(pl.Series(ids, dtype=pl.String).implode()))
        .collect(engine="streaming")
        .sort(PLACE)
    )
    if 2 * places["sheet_id"].n_unique() < len(ids):
        unknown = next(each for each in ids if each not in set(places["sheet_id"]))
        raise UsageError(
            f"With --assume random, the sheet's `sheet_id` or `id` is the {column!r} of a scored post, but there is no "
            f"post {unknown!r}, and {len(ids):,} ids name {places['sheet_id'].n_unique():,} posts."
        )
    if len(doubles := places.filter(pl.col("sheet_id").is_duplicated())):
        raise UsageError(
            f"The id {doubles['sheet_id'][0]!r} stands for several scored posts: labels need ids that stand for one."
        )
    taken = divide(scored.take(places[PLACE].to_numpy(), scored.name_probabilities()), Question()).collect()
    names = {f"f{k}": f"p_{label}" for k, label in enumerate(scored.labels)}
    posts = taken.join(places, on=PLACE, maintain_order="left").select(
        pl.col(PLACE).cast(pl.Int64).alias("place"), pl.lit(0, pl.Int64).alias("stratum"), "sheet_id", *names
    )
    return Design(posts.rename(names), measure_alike(scored), scored.labels, 0, scored.bundle, scored.fingerprint)
