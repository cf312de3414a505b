"""What `sample` and `shares` print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.table import Table

from sentimm.console.terminal import make_console, make_line, print_block, print_json

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from sentimm.findings.estimation import Answer
    from sentimm.findings.options import SampleOptions, SharesOptions
    from sentimm.findings.report.report import Report
    from sentimm.findings.sampling import Sampled

_USUAL_ACCURACY = 75  # percent, of which the hard bound is shown: what the default has on MVSA-Single


def print_sampled(sampled: Sampled, options: SampleOptions, *, as_json: bool = False) -> None:
    """Print what was drawn, or what numbers of labels give."""
    if as_json:
        print_json(sampled.to_json())
        return
    console = make_console(sys.stdout)
    if sampled.plans:
        table = Table(box=None, pad_edge=False)
        table.add_column("labels", justify="right")
        table.add_column("the corpus", justify="right")
        has_groups = sampled.plans[0].group_margin is not None
        if has_groups:
            table.add_column("its smallest group or period", justify="right")
        for plan in sampled.plans:
            cells = [f"{plan.labels:,}", f"± {plan.margin:.1f} points"]
            if plan.group_margin is not None:
                cells.append(f"± {plan.group_margin:.1f} points" if plan.group_margin < 50 else "too few labels")
            table.add_row(*cells)
        console.print(make_line(f"What margin to expect of shares of {sampled.corpus:,} posts:"), soft_wrap=True)
        print_block(console, table)
        return
    console.print(
        make_line(
            f"{sampled.contents:,} texts and images to label, for {sampled.posts:,} of {sampled.corpus:,} posts."
        ),
        soft_wrap=True,
    )
    if sampled.margin is not None:
        console.print(make_line(f"Shares of the corpus will be known within about {sampled.margin:.1f} points."))
    for path in sampled.sheets:
        console.print(make_line(f"Sheet:  {path}"), soft_wrap=True)
    console.print(make_line(f"Design: {sampled.design} (keep it: it says how the posts were drawn)"), soft_wrap=True)
    for note in sampled.notes:
        console.print(make_line(f"Note: {note}"), soft_wrap=True)
    if options.for_training:
        console.print(make_line("For training only: these posts say nothing of the corpus."), soft_wrap=True)
        return
    earlier = () if options.add is None else (options.add,)
    sheets = ",".join(map(str, (*earlier, *sampled.sheets)))
    if options.sheet_format not in ("csv", "excel"):  # the tool exports the labels into a file of another name
        sheets = ",".join([*map(str, earlier), "EXPORT"]) + f" --design {sampled.design}"
    command = f"sentimm shares {' '.join(options.inputs)} --labels {sheets}"
    console.print(make_line(f"Next: label it, then {command}"), soft_wrap=True)


def print_shares(answer: Answer, options: SharesOptions, figure: Path | None = None, *, as_json: bool = False) -> None:
    """Print shares as a table, and what they say in a sentence."""
    shares = answer.shares
    if as_json:
        print_json(answer.to_json())
        return
    console = make_console(sys.stdout)
    console.print(make_line(_describe(answer, options)), soft_wrap=True)
    console.print()
    print_block(console, _draw_shares(shares.table))
    if shares.differences is not None:
        console.print()
        print_block(console, _draw_differences(shares.differences))
    console.print()
    for note in shares.notes:
        console.print(make_line(f"Note: {note}"), soft_wrap=True)
    if answer.unsure:
        console.print(make_line(f"Note: {answer.unsure:,} labels were marked as unsure."), soft_wrap=True)
    if answer.labelled is None:
        for line in _explain_no_labels(answer, options):
            console.print(make_line(line), soft_wrap=True)
    for path in (options.output, figure):
        if path is not None:
            console.print(make_line(f"Written to {path}"), soft_wrap=True)
    if options.max_margin is not None and (reason := shares.explain_margin(options.max_margin)) is not None:
        console.print(make_line(f"--max-margin {options.max_margin:g} is not reached: {reason}."), soft_wrap=True)


def print_report(report: Report, *, as_json: bool = False) -> None:
    """Print what was written."""
    if as_json:
        print_json(report.to_json())
        return
    console = make_console(sys.stdout)
    console.print(make_line(f"Written to {report.page} ({report.bytes / 1e3:,.0f} kB)"), soft_wrap=True)
    if report.figures:
        folder = report.figures[0].parent
        console.print(make_line(f"Figures in {folder}: {len(report.figures) // 2}, as SVG and CSV"), soft_wrap=True)


def _describe(answer: Answer, options: SharesOptions) -> str:
    """Return the first result in words that a newspaper could print."""
    first = answer.shares.table.head(len(answer.scored.labels)).to_dicts()
    posts = f"{first[0]['posts']:,} posts"
    if answer.labelled is None and first[0]["share"] is not None:
        parts = [f"{_percent(row['share'])} {row['label']}" for row in first]
        return f"If only the labels' shares have changed since training: {', '.join(parts)} of {posts}. No interval."
    if answer.labelled is None:
        parts = [f"{row['share_counted']:.0%} {row['label']}" for row in first]
        return f"The model counts {', '.join(parts)} of {posts}. How far that is off is not known."
    parts = [
        f"{_percent(row['share'])} {row['label']} ({_percent(row['low'])} to {_percent(row['high'])})"
        for row in first
        if row["share"] is not None
    ]
    labels = f"{answer.labelled:,} labelled posts"
    holds = "Each interval holds the true share"
    if options.simultaneous:
        holds = "All intervals together hold the true shares"
    return f"Of {posts}: {', '.join(parts)}. {holds} with 95% confidence; {labels}."


def _draw_shares(table: pl.DataFrame) -> Table:
    has_groups, has_periods = table["group"].null_count() < len(table), table["period"].null_count() < len(table)
    drawn = Table(box=None, pad_edge=False)
    for name, shown in (("group", has_groups), ("period", has_periods)):
        if shown:
            drawn.add_column(name)
    drawn.add_column("label")
    for name in ("posts", "labels", "share", "95% interval", "counted"):
        drawn.add_column(name, justify="right")
    before: tuple[object, object] = (object(), None)
    for row in table.iter_rows(named=True):
        domain = (row["group"], row["period"])
        is_first, before = domain != before, domain
        asked = [value for value, has in zip(domain, (has_groups, has_periods), strict=True) if has]
        names = [str(value or "all") if is_first else "" for value in asked]
        numbers = [f"{row['posts']:,}" if is_first else "", f"{row['labels']:,}" if is_first else ""]
        drawn.add_row(*names, row["label"], *numbers, *_show_share(row), _percent(row["share_counted"]))
    return drawn


def _show_share(row: dict[str, Any]) -> tuple[str, str]:
    """Return a share and its interval, or why there is none."""
    if row["share"] is None:
        return "", row["note"] or ""
    if row["low"] is None:
        return _percent(row["share"]), "none"
    return _percent(row["share"]), f"{_percent(row['low'])} to {_percent(row['high'])}"


def _draw_differences(table: pl.DataFrame) -> Table:
    drawn = Table(box=None, pad_edge=False)
    for name in ("", "less", "label"):
        drawn.add_column(name)
    for name in ("difference", "95% interval"):
        drawn.add_column(name, justify="right")
    for row in table.iter_rows(named=True):
        first = " ".join(str(row[name]) for name in ("group", "period") if row[name] is not None)
        second = " ".join(str(row[name]) for name in ("to_group", "to_period") if row[name] is not None)
        if row["difference"] is None:
            drawn.add_row(first, second, row["label"], "", row["note"])
            continue
        interval = f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}"
        drawn.add_row(first, second, row["label"], f"{100 * row['difference']:+.1f} points", interval)
    return drawn


def _explain_no_labels(answer: Answer, options: SharesOptions) -> list[str]:
    """Return what can be said without labels: the hard bound, and the way to an interval."""
    row = answer.shares.table.row(0, named=True)
    most = 1 - _USUAL_ACCURACY / 100
    inputs = " ".join(options.inputs)
    low, high = max(0.0, row["share_counted"] - most), min(1.0, row["share_counted"] + most)
    return [
        f"If the model is right on {_USUAL_ACCURACY}% of your posts, the true share of {row['label']} lies anywhere "
        f"from {_percent(low)} to {_percent(high)}.",
        f"For an interval: sentimm sample {inputs} -o sheet.xlsx, label it, and give it with --labels.",
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
