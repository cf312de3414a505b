"""An evaluation: its figures, labels, confusion matrix and groups of posts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sentimm.console.terminal import count_posts, make_console, make_line, make_table, print_block, print_json

if TYPE_CHECKING:
    from sentimm.evaluation.assess import Assessment
    from sentimm.metrics.intervals import Interval
    from sentimm.metrics.report import Report

_GROUPS = {"text+image": "text and image", "text": "text only", "image": "image only"}
_FEW_POSTS = 50  # an interval of a share is then 28 points wide
FIGURES = (  # what is printed, and the fields of a report
    ("accuracy", "accuracy"),
    ("macro recall", "macro_recall"),
    ("macro F1", "macro_f1"),
    ("weighted precision", "weighted_precision"),
    ("weighted recall", "weighted_recall"),
    ("weighted F1", "weighted_f1"),
)


def print_assessment(assessment: Assessment, folder: Path | None, *, as_json: bool = False) -> None:
    """Print an evaluation, for a person or as one JSON object; `folder` is the report's, if it was written."""
    if as_json:
        print_json(assessment.to_json())
        return
    console = make_console(sys.stdout)
    console.print(
        make_line(f"Evaluation of {assessment.model} on {', '.join(assessment.inputs)}", "bold"), soft_wrap=True
    )
    for sentence in _list_posts(assessment):
        console.print(make_line(sentence), soft_wrap=True)
    console.print()
    print_block(console, _draw_report(assessment))
    if folder is not None:
        console.print()
        console.print(make_line(f"Written to {folder}: report.json, confusion.png"), soft_wrap=True)


def _list_posts(assessment: Assessment) -> list[str]:
    sentences = [f"{count_posts(assessment.posts)} with a label and an answer."]
    left_out = {
        "without a label": assessment.unlabelled,
        "unreadable": assessment.unreadable,
        "without an answer": assessment.unanswered,
    }
    if any(left_out.values()):
        counts = [f"{number:,} {reason}" for reason, number in left_out.items() if number]
        sentences.append(f"Left out: {', '.join(counts)}.")
    if assessment.seen_in is not None:
        sentences.append(
            f"Left out because they are in {assessment.seen_in} too: {assessment.seen:,} "
            f"({assessment.seen_texts:,} by text, {assessment.seen_images:,} by image)."
        )
        if assessment.images_compared == 0:
            sentences.append(
                "No images were compared: name the folder of the posts' images with --images, and that of "
                f"{assessment.seen_in} with --seen-images."
            )
    return [*sentences, *(f"Note: {note}" for note in assessment.notes)]


def _draw_report(assessment: Assessment) -> RenderableType:
    parts: list[RenderableType] = [_draw_figures(assessment.report), Text(), _draw_labels(assessment.report)]
    parts += [Text(), _draw_confusion(assessment.report)]
    groups = {_GROUPS.get(name, name): report for name, report in assessment.modalities.items()}
    if set(assessment.modalities) != {"text+image"}:
        parts += [Text(), _draw_groups("Scored by", groups)]
    if set(assessment.statuses) != {"ok"}:
        parts += [Text(), _draw_groups("Status", assessment.statuses)]
    if assessment.by is not None:
        parts += [Text(), _draw_values(assessment.by, assessment.values)]
    if assessment.alone:
        alone = {f"{modality} alone, against {modality}_label": report for modality, report in assessment.alone.items()}
        parts += [Text(), _draw_groups("One modality", alone)]
    if assessment.conflict is not None:
        parts += [Text(), _draw_conflict(assessment, assessment.conflict)]
    return Group(*parts)


def _draw_figures(report: Report) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right", style="bold")
    table.add_column(style="dim")
    for name, field in FIGURES:
        interval: Interval = getattr(report, field)
        table.add_row(name, f"{interval.value:.1%}", f"{interval.low:.1%} to {interval.high:.1%}")
    if report.calibration_error is not None and report.confidence is not None:
        note = f"mean confidence {report.confidence:.1%}"
        table.add_row("calibration error", f"{report.calibration_error:.3f}", note)
    note = "Ranges are 95% intervals of 2,000 bootstrap samples."
    return Group(table, Text(note, style="dim"))


def _draw_labels(report: Report) -> RenderableType:
    table = make_table("label", "posts", "precision", "recall", "F1")
    for each in report.labels:
        table.add_row(
            make_line(each.label),
            f"{each.posts:,}",
            *(f"{interval.value:.1%}" for interval in (each.precision, each.recall, each.f1)),
        )
    return table


def _draw_confusion(report: Report) -> RenderableType:
    names = [each.label for each in report.labels]
    table = make_table("label \\ answer", *names)
    for row, (name, counts) in enumerate(zip(names, report.confusion, strict=True)):
        cells = [Text(f"{count:,}", style="bold" if row == column else "") for column, count in enumerate(counts)]
        table.add_row(make_line(name), *cells)
    return table


def _draw_groups(title: str, reports: Mapping[str, Report]) -> RenderableType:
    table = make_table(title, "posts", "accuracy", "macro recall", "macro F1", "calibration")
    for name, report in reports.items():
        error = "" if report.calibration_error is None else f"{report.calibration_error:.3f}"
        figures = (report.accuracy, report.macro_recall, report.macro_f1)
        table.add_row(name, f"{report.posts:,}", *(f"{figure.value:.1%}" for figure in figures), error)
    return table


def _draw_values(by: str, reports: Mapping[str, Report]) -> RenderableType:
    """Draw a table of the values of a column, with intervals, the mean over them, and which have few posts."""
    table = make_table(by, "posts", "accuracy", "macro recall", "macro F1")
    fields = ("accuracy", "macro_recall", "macro_f1")
    for name, report in reports.items():
        cells = [_draw_interval(getattr(report, field)) for field in fields]
        few = " *" if report.posts < _FEW_POSTS else ""
        table.add_row(make_line(name), f"{report.posts:,}{few}", *cells)
    if len(reports) > 1:
        means = [sum(getattr(report, field).value for report in reports.values()) / len(reports) for field in fields]
        table.add_row(make_line("mean"), "", *(f"{mean:.1%}" for mean in means))
    for column in table.columns[1:]:
        column.min_width = max(len(str(cell)) for cell in column.cells)  # names give way, not figures
    if all(report.posts >= _FEW_POSTS for report in reports.values()):
        return table
    return Group(table, Text(f"* fewer than {_FEW_POSTS} posts: too few to say much.", style="dim"))


def _draw_interval(interval: Interval) -> str:
    return f"{interval.value:.1%} ({100 * interval.low:.0f} to {100 * interval.high:.0f})"


def _draw_conflict(assessment: Assessment, area: Interval) -> Text:
    return Text(
        f"The text and image labels of {assessment.conflict_differ:,} of {assessment.conflict_posts:,} posts differ. "
        f"The column conflict finds them with an AUC of {area.value:.3f} ({area.low:.3f} to {area.high:.3f})."
    )
