"""Shares of labels as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from sentimm.findings.population import AnswerSums
from sentimm.findings.question import Cells, Question
from sentimm.findings.sheets.spreadsheets import disarm_cells, write_workbook
from sentimm.findings.statistics.estimators import Estimate, Floats, estimate_difference, find_margins
from sentimm.storage.atomic import commit_file

LEVEL = 0.95
_FEWEST_IN_DOMAIN = 10  # labels, below which no interval of a group is given: nothing is there to see how labels vary
_SCHEMA = {
    "group": pl.String,
    "period": pl.String,
    "label": pl.String,
    "posts": pl.Int64,
    "labels": pl.Int64,
    "share": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "method": pl.String,
    "share_counted": pl.Float64,
    "share_mean_p": pl.Float64,
    "n_effective": pl.Float64,
    "note": pl.String,
}


@dataclass(frozen=True)
class Shares:
    """What came of it.

    Attributes:
        table: `group, period, label, posts, labels, share, low, high, method, share_counted, share_mean_p, n_effective,
            note`, a row for each domain and label; all posts first.
        differences: `group, period, to_group, to_period, label, difference, low, high, note`; None: not asked for.
        coefficient: lambda; None: without labels.
        question: what was asked.
        level: of the intervals.
        notes: what a reader must know besides, in sentences.
    """

    table: pl.DataFrame
    differences: pl.DataFrame | None
    coefficient: float | None
    question: Question
    level: float = LEVEL
    notes: tuple[str, ...] = ()

    @property
    def widest_margin(self) -> float | None:
        """Half the width of the widest interval, in points; None: there is none."""
        widths = (self.table["high"] - self.table["low"]).drop_nulls()
        return None if not len(widths) else float(widths.max()) * 50  # type: ignore[arg-type]

    def explain_margin(self, points: float) -> str | None:
        """Return why not every share is known within so many points; None: they are."""
        widest, missing = self.widest_margin, self.table["low"].null_count() // self.table["label"].n_unique()
        if widest is None:
            return "there is no interval"
        if widest > points:
            return f"the widest is ± {widest:.1f} points"
        return f"{missing:,} of the groups and periods have no interval" if missing else None


def tabulate_sums(labels: Sequence[str], sums: AnswerSums) -> pl.DataFrame:
    """Return a row for each domain and label, without an estimate."""
    rows = [_make_row(labels, sums, d, k) for d in range(len(sums.cells)) for k in range(len(labels))]
    return pl.DataFrame(rows, schema=_SCHEMA)


def tabulate_estimate(
    labels: Sequence[str], sums: AnswerSums, estimate: Estimate, alone: Estimate, margins: Floats
) -> pl.DataFrame:
    """Return a row for each domain and label.

    Args:
        labels: of the model.
        sums: what it says of the domains.
        estimate: their shares.
        alone: their shares by the labelled posts alone.
        margins: half the widths of the intervals, float64 (domains, labels).
    """
    rows = []
    for d in range(len(sums.cells)):
        few = estimate.labels[d] < min(_FEWEST_IN_DOMAIN, sums.posts[d])
        for k in range(len(labels)):
            row = _make_row(labels, sums, d, k) | {"labels": int(estimate.labels[d]), "method": "GREG"}
            if few:
                row["note"] = f"too few labels ({int(estimate.labels[d])}) for an interval: label more of this group"
            else:
                share, margin, variance = (float(each[d, k]) for each in (estimate.share, margins, estimate.variance))
                gain = float(alone.variance[d, k]) / variance if variance > 0 else None
                ends = share, share - margin, share + margin  # where a correction is large, even a share is below 0
                row |= zip(("share", "low", "high"), (min(1.0, max(0.0, end)) for end in ends), strict=True)
                row["n_effective"] = None if gain is None else float(estimate.labels[d]) * gain
            rows.append(row)
    return pl.DataFrame(rows, schema=_SCHEMA)


def tabulate_differences(
    labels: Sequence[str], cells: Cells, estimate: Estimate, pairs: Sequence[tuple[int, int]], intervals: int
) -> pl.DataFrame:
    """Return a row for each pair of domains and label.

    Args:
        labels: of the model.
        cells: group and period of each domain.
        estimate: the domains' shares.
        pairs: numbers of domains: the share of the first less that of the second.
        intervals: that are to hold together.
    """
    rows = []
    for first, second in pairs:
        difference, variance = estimate_difference(estimate, first, second)
        margins: Floats = find_margins(variance, estimate.drawn, LEVEL, intervals)
        few = min(estimate.labels[first], estimate.labels[second]) < _FEWEST_IN_DOMAIN
        for k, label in enumerate(labels):
            value, margin = float(difference[k]), float(margins[k])
            rows.append(
                {
                    "group": cells[first][0],
                    "period": cells[first][1],
                    "to_group": cells[second][0],
                    "to_period": cells[second][1],
                    "label": label,
                    "difference": None if few else value,
                    "low": None if few else max(-1.0, value - margin),
                    "high": None if few else min(1.0, value + margin),
                    "note": "too few labels for an interval" if few else None,
                }
            )
    types = dict.fromkeys(("group", "period", "to_group", "to_period", "label", "note"), pl.String)
    numbers = dict.fromkeys(("difference", "low", "high"), pl.Float64)
    order = ("group", "period", "to_group", "to_period", "label", "difference", "low", "high", "note")
    return pl.DataFrame(rows, schema={name: (types | numbers)[name] for name in order})


def write_table(path: Path, shares: Shares) -> None:
    """Write shares as Parquet, CSV or Excel; differences into a second file, or a second sheet.

    Raises:
        MissingExtraError: xlsxwriter is not installed.
        OutputError: it can't be written.
    """
    tables = {"shares": shares.table}
    if shares.differences is not None:
        tables["differences"] = shares.differences
    suffix = path.suffix.lower()
    if suffix == ".xlsx":
        write_workbook(path, tables)
        return
    for name, table in tables.items():
        target = path if name == "shares" else path.with_name(f"{path.stem}.{name}{path.suffix}")
        with commit_file(target) as temporary:
            if suffix == ".csv":
                disarm_cells(table).write_csv(temporary)
            else:
                table.write_parquet(temporary)


def _make_row(labels: Sequence[str], sums: AnswerSums, d: int, k: int) -> dict[str, object]:
    group, period = sums.cells[d]
    posts = int(sums.posts[d])
    return dict.fromkeys(_SCHEMA) | {
        "group": group,
        "period": period,
        "label": labels[k],
        "posts": posts,
        "labels": 0,
        "method": "counted",
        "share_counted": float(sums.labels[d, k]) / posts,
        "share_mean_p": float(sums.p[d, k]) / posts,
    }
