"""From labels to findings: posts to label by hand, and shares of labels in a corpus with intervals that hold.

from sentimm.findings import sample, shares

sheet, design = sample(scored, labels=400, by="group")
... label the column `label` of the sheet ...
table = shares(scored, sheet, design, by="group")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from sentimm.findings.designs import Design

__all__ = ["sample", "shares"]


def sample(
    scored: pl.DataFrame | pl.LazyFrame,
    *,
    labels: int = 400,
    by: str | None = None,
    time: str | None = None,
    every: str = "month",
    per_group: int | None = None,
    images: str | Path | None = None,
    seed: int = 1,
) -> tuple[pl.DataFrame, Design]:
    """Draw posts to label from scored posts.

    Args:
        scored: posts with the columns that `score` adds.
        labels: posts to draw.
        by: the column of groups that will be asked about.
        time: the column of times whose periods will be asked about.
        every: the length of a period: day, week, month, quarter or year.
        per_group: the fewest posts of each; None: they are not drawn apart.
        images: the folder of the posts' images.
        seed: the same seed draws the same posts.

    Returns:
        the sheet: `sheet_id`, `text`, `image`, `label`, `unsure`, `comment`, strings, a row for each distinct post; and
        how it was drawn, which `shares` needs.

    Raises:
        SentimmError: there is nothing to draw from, or a column is not there.
    """
    import polars as pl

    from sentimm.findings.options import SampleOptions
    from sentimm.findings.question import Question
    from sentimm.findings.sampling import draw_sheet
    from sentimm.findings.scored import open_scored

    folder = None if images is None else Path(images)
    options = SampleOptions(
        ("the frame",),
        plan=True,  # nothing is written
        labels=labels,
        question=Question(by=by, time=time, every=every),  # type: ignore[arg-type]  # checked there
        per_group=per_group,
        images=folder,
        seed=seed,
    )
    sheet = draw_sheet(open_scored(scored), options)
    rows = [(row.sheet_id, row.text, None if row.image is None else str(row.image)) for row in sheet.rows]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(("sheet_id", "text", "image"), pl.String), orient="row")
    return frame.with_columns(
        pl.lit(None, pl.String).alias(name) for name in ("label", "unsure", "comment")
    ), sheet.design


def shares(
    scored: pl.DataFrame | pl.LazyFrame,
    sheet: pl.DataFrame | None = None,
    design: Design | None = None,
    *,
    where: str | None = None,
    by: str | None = None,
    time: str | None = None,
    every: str = "month",
    simultaneous: bool = False,
) -> pl.DataFrame:
    """Estimate the shares of labels in scored posts.

    Args:
        scored: posts with the columns that `score` adds.
        sheet: the labelled sheet of `sample`: `sheet_id` and `label`; None: only what the model says is counted.
        design: what `sample` returned with it.
        where: a condition in SQL that posts must meet.
        by: the column of groups that shares are wanted of.
        time: the column of times whose periods they are wanted of.
        every: the length of a period: day, week, month, quarter or year.
        simultaneous: intervals that hold together with 95%.

    Returns:
        `group, period, label, posts, labels, share, low, high, method, share_counted, share_mean_p, n_effective, note`.

    Raises:
        SentimmError: the labels can't be used, or a column is not there.
    """
    from sentimm.errors import UsageError
    from sentimm.findings.estimation import count_corpus, estimate_corpus
    from sentimm.findings.question import Question
    from sentimm.findings.scored import open_scored
    from sentimm.findings.sheets.labels import join_labels, number_judgements
    from sentimm.findings.sheets.spreadsheets import read_rows

    opened, question = open_scored(scored), Question(where, by, time, every)  # type: ignore[arg-type]  # checked there
    if sheet is None:
        return count_corpus(opened, question).table
    if design is None:
        raise UsageError("The design of the sheet is needed: give what `sample` returned with it.")
    judgements = read_rows(sheet.to_dicts(), sheet.columns, Path("the sheet"))
    labels = number_judgements([(Path("the sheet"), each) for each in judgements], design)
    return estimate_corpus(opened, question, join_labels(design, labels), simultaneous=simultaneous).table
