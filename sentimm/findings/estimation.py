"""Shares of labels in a corpus, by group and period, with intervals from a labelled sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from sentimm.errors import UsageError
from sentimm.findings.designs import LabelledSample, SamplingFrame, check_design
from sentimm.findings.options import Compare, SharesOptions
from sentimm.findings.population import Domains, divide, find_cells, list_columns, place_strata, sum_population
from sentimm.findings.question import Question
from sentimm.findings.scored import ScoredPosts, open_scored
from sentimm.findings.sheets.labels import read_labelled_sample
from sentimm.findings.sheets.spreadsheets import write_workbook
from sentimm.findings.statistics.estimators import (
    Estimate,
    Floats,
    Ints,
    Population,
    Sample,
    choose_coefficient,
    estimate_difference,
    estimate_shares,
    find_margins,
)
from sentimm.findings.statistics.strata import ALL_ALIKE, FEWEST_LABELS
from sentimm.storage.atomic import commit_file

Cells = Sequence[tuple[str | None, str | None]]

LEVEL = 0.95
_FEWEST_IN_DOMAIN = 10  # labels, below which no interval of a group is given: nothing is there to see how labels vary


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


@dataclass(frozen=True)
class Answer:
    """What one `shares` command found.

    Attributes:
        shares: the estimates.
        scored: the posts.
        labelled: rows of the sheets that have a label; None: no sheet.
        unsure: judgements that were marked as unsure.
    """

    shares: Shares
    scored: ScoredPosts
    labelled: int | None = None
    unsure: int = 0

    def to_json(self) -> dict[str, object]:
        """Return the estimates as JSON has them."""
        shares, differences = self.shares, self.shares.differences
        return {
            "format": 1,
            "shares": shares.table.to_dicts(),
            "differences": None if differences is None else differences.to_dicts(),
            "lambda": shares.coefficient,
            "level": shares.level,
            "widest_margin": shares.widest_margin,
            "notes": list(shares.notes),
        }


def run_shares(options: SharesOptions) -> Answer:
    """Estimate what was asked, and write the table where that is wanted.

    Raises:
        SentimmError: see `open_scored`, `read_labelled_sample` and `estimate_corpus`.
        OutputError: the table can't be written.
    """
    scored = open_scored(options.inputs)
    if not options.labels:
        answer = Answer(count_corpus(scored, options.question), scored)
    else:
        sample, labels, path = read_labelled_sample([Path(name) for name in options.labels], options.design)
        check_design(sample.design, scored, path)
        found = estimate_corpus(
            scored, options.question, sample, compare=options.compare, simultaneous=options.simultaneous
        )
        found = replace(found, notes=(*labels.notes, *found.notes))
        answer = Answer(found, scored, labels.votes["sheet_id"].n_unique(), labels.unsure)
    if options.output is not None:
        write_table(options.output, answer.shares)
    return answer


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
                table.write_csv(temporary)
            else:
                table.write_parquet(temporary)


def estimate_corpus(
    scored: ScoredPosts,
    question: Question,
    sample: LabelledSample,
    *,
    compare: Compare | None = None,
    simultaneous: bool = False,
) -> Shares:
    """Estimate the shares of labels in all posts of a corpus, and in its groups and periods.

    Args:
        scored: the corpus.
        question: which posts, and how they are divided.
        sample: labels of posts that were drawn from the corpus.
        compare: differences to the first domain, to the one before, or between all.
        simultaneous: make the intervals so wide that all of them hold together with 95%.

    Raises:
        UsageError: the labels can't speak for the corpus.
        InputError: no post is asked about.
    """
    frame = sample.design.frame
    posts, placed = divide(scored, question, frame.question), place_strata(frame.strata, frame.question)
    cells, domains = sum_population(posts, placed, frame.sizes, frame.means, question)
    drawn = _find_labelled(scored, question, sample, domains)
    _check_strata(frame, drawn)
    whole = Population(
        cells.sizes,
        cells.means,
        *(each.sum(axis=1, keepdims=True) for each in (cells.posts, cells.p, cells.p_squared, cells.variance)),
    )
    inside = np.where(drawn.domain >= 0, 0, -1)
    all_posts = Sample(drawn.stratum, inside, drawn.p, drawn.y)
    coefficient = choose_coefficient(whole, all_posts)
    estimates: list[tuple[Population, Sample, Ints, Cells]] = [
        (whole, all_posts, domains.counted.sum(axis=0, keepdims=True), ((None, None),))
    ]
    if domains.has_groups or domains.has_periods:
        estimates.append((cells, drawn, domains.counted, domains.cells))
    pairs = _list_pairs(domains, compare)
    rows = sum(len(names) for *_, names in estimates)
    intervals = (rows + len(pairs)) * len(scored.labels) if simultaneous else 1
    tables, last = [], None
    for population, labelled, counted, names in estimates:
        last = estimate_shares(population, labelled, coefficient)
        alone = estimate_shares(population, labelled, 0.0)
        tables.append(_tabulate(scored.labels, names, population, last, alone, counted, labelled, intervals))
    assert last is not None
    differences = _tabulate_differences(scored.labels, domains, last, drawn, pairs, intervals) if pairs else None
    return Shares(pl.concat(tables), differences, coefficient, question, LEVEL, tuple(_note_strata(frame, drawn)))


def count_corpus(scored: ScoredPosts, question: Question) -> Shares:
    """Count a corpus by the model's labels, without any labels by hand: no interval can be given.

    Raises:
        InputError: no post is asked about.
    """
    labels = len(scored.labels)
    population, domains = sum_population(
        divide(scored, question),
        place_strata(ALL_ALIKE, Question()),
        np.zeros(1, np.int64),
        np.zeros((1, labels)),
        question,
    )
    p, posts = population.p.sum(axis=0), population.posts.sum(axis=0)
    parts: list[tuple[Floats, Ints, Ints, Cells]] = [
        (
            p.sum(axis=0, keepdims=True),
            posts.sum(keepdims=True),
            domains.counted.sum(axis=0, keepdims=True),
            ((None, None),),
        )
    ]
    if domains.has_groups or domains.has_periods:
        parts.append((p, posts, domains.counted, domains.cells))
    rows = [
        _make_row(names[d], label, int(size[d]), counted[d, k] / size[d], sums[d, k] / size[d])
        for sums, size, counted, names in parts
        for d in range(len(names))
        for k, label in enumerate(scored.labels)
    ]
    return Shares(pl.DataFrame(rows, schema=_SCHEMA), None, None, question)


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


def _find_labelled(scored: ScoredPosts, question: Question, sample: LabelledSample, domains: Domains) -> Sample:
    """Join the labels to the cells of their posts."""
    posts = sample.design.posts.join(sample.votes, on="place", how="inner", maintain_order="left")
    if not len(posts):
        raise UsageError("The sheet has no labels yet: label some posts first.")
    taken = scored.take(posts["place"].to_numpy(), list_columns(scored, question))
    found = divide(taken, question).collect()
    p = posts.select(f"p_{label}" for label in scored.labels).to_numpy().astype(np.float64)
    y = posts.select(f"y_{label}" for label in scored.labels).to_numpy().astype(np.float64)
    return Sample(
        posts["stratum"].to_numpy().astype(np.int64),
        find_cells(domains, found, question),
        p,
        y / y.sum(axis=1, keepdims=True),
    )


def _check_strata(frame: SamplingFrame, sample: Sample) -> None:
    """Check that every stratum has labels.

    Raises:
        UsageError: one has none, so that nothing is known of its posts.
    """
    labelled = np.bincount(sample.stratum, minlength=len(frame.sizes))
    if missing := int(frame.sizes[labelled == 0].sum()):
        raise UsageError(
            f"No label speaks for {missing:,} of {int(frame.sizes.sum()):,} posts, as none of their kind is labelled: "
            "label the rest of the sheet."
        )


def _note_strata(frame: SamplingFrame, sample: Sample) -> list[str]:
    labelled = np.bincount(sample.stratum, minlength=len(frame.sizes))
    few = (labelled < np.minimum(frame.sizes, FEWEST_LABELS)) & (frame.sizes > 0)
    if not few.any():
        return []
    return [
        f"{int(few.sum())} of the {len(few)} kinds of posts that were drawn have fewer than {FEWEST_LABELS} labels "
        f"(the least: {int(labelled[few].min())}): the intervals may be too narrow. Label the rest of the sheet."
    ]


def _tabulate(
    labels: Sequence[str],
    names: Cells,
    population: Population,
    found: Estimate,
    alone: Estimate,
    counted: Ints,
    sample: Sample,
    intervals: int,
) -> pl.DataFrame:
    drawn = np.bincount(sample.stratum, minlength=len(population.sizes))
    margins = find_margins(found.strata_variance, drawn, LEVEL, intervals)
    posts, p = population.posts.sum(axis=0), population.p.sum(axis=0)
    rows = []
    for d, name in enumerate(names):
        for k, label in enumerate(labels):
            row = _make_row(name, label, int(posts[d]), counted[d, k] / posts[d], p[d, k] / posts[d])
            row |= {"labels": int(found.labels[d]), "method": "GREG"}
            few = found.labels[d] < _FEWEST_IN_DOMAIN and found.labels[d] < posts[d]
            if few:
                row |= {"note": f"too few labels ({int(found.labels[d])}) for an interval: label more of this group"}
            else:
                share, margin = float(found.share[d, k]), float(margins[d, k])
                variance = float(found.variance[d, k])
                gain = float(alone.variance[d, k]) / variance if variance > 0 else None
                row |= {
                    "share": share,
                    "low": max(0.0, share - margin),
                    "high": min(1.0, share + margin),
                    "n_effective": None if gain is None else float(found.labels[d]) * gain,
                }
            rows.append(row)
    return pl.DataFrame(rows, schema=_SCHEMA)


def _make_row(
    name: tuple[str | None, str | None], label: str, posts: int, counted: float, mean: float
) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(_SCHEMA)
    return row | {
        "group": name[0],
        "period": name[1],
        "label": label,
        "posts": posts,
        "labels": 0,
        "method": "counted",
        "share_counted": float(counted),
        "share_mean_p": float(mean),
    }


def _list_pairs(domains: Domains, compare: Compare | None) -> list[tuple[int, int]]:
    """List the domains that are compared: periods within a group, else groups."""
    if compare is None:
        return []
    if not (domains.has_groups or domains.has_periods):
        raise UsageError("--compare needs groups or periods: give --by or --time.")
    numbers = range(len(domains.cells))
    lines: list[list[int]] = [list(numbers)]
    if domains.has_periods and domains.has_groups:
        groups = dict.fromkeys(group for group, _ in domains.cells)
        lines = [[n for n in numbers if domains.cells[n][0] == group] for group in groups]
    if compare == "first":
        return [(n, line[0]) for line in lines for n in line[1:]]
    if compare == "previous":
        return [(n, before) for line in lines for before, n in pairwise(line)]
    return [(n, before) for line in lines for index, n in enumerate(line) for before in line[:index]]


def _tabulate_differences(
    labels: Sequence[str],
    domains: Domains,
    found: Estimate,
    sample: Sample,
    pairs: Sequence[tuple[int, int]],
    intervals: int,
) -> pl.DataFrame:
    strata = len(found.strata_variance)
    drawn = np.bincount(sample.stratum, minlength=strata)
    rows = []
    for first, second in pairs:
        difference, variance = estimate_difference(found, first, second)
        margins: Floats = find_margins(variance, drawn, LEVEL, intervals)
        few = min(found.labels[first], found.labels[second]) < _FEWEST_IN_DOMAIN
        for k, label in enumerate(labels):
            value, margin = float(difference[k]), float(margins[k])
            rows.append(
                {
                    "group": domains.cells[first][0],
                    "period": domains.cells[first][1],
                    "to_group": domains.cells[second][0],
                    "to_period": domains.cells[second][1],
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
