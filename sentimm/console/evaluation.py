"""The report of an evaluation."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sentimm.console.terminal import count_posts, make_console, make_line, print_block, print_json

if TYPE_CHECKING:
    from sentimm.evaluation.assess import Assessment
    from sentimm.metrics.intervals import Interval
    from sentimm.metrics.report import Report

_GROUPS = {"text+image": "text and image", "text": "text only", "image": "image only"}
_FIGURES = (
    ("accuracy", "accuracy"),
    ("macro recall", "macro_recall"),
    ("macro F1", "macro_f1"),
    ("weighted precision", "weighted_precision"),
    ("weighted recall", "weighted_recall"),
    ("weighted F1", "weighted_f1"),
)


def print_assessment(found: Assessment, folder: Path | None, *, as_json: bool = False) -> None:
    """Print a report, for a person or as one JSON object; `folder` is where it was written."""
    if as_json:
        print_json(found.to_json())
        return
    console = make_console(sys.stdout)
    console.print(make_line(f"{', '.join(found.inputs)} against {found.model}", "bold"), soft_wrap=True)
    for sentence in _list_posts(found):
        console.print(make_line(sentence), soft_wrap=True)
    console.print()
    print_block(console, _draw_report(found))
    if folder is not None:
        console.print()
        console.print(make_line(f"Written to {folder}: report.json, confusion.png"), soft_wrap=True)


def _list_posts(found: Assessment) -> list[str]:
    sentences = [f"{count_posts(found.posts)} with a label and an answer."]
    if found.unlabelled:
        sentences.append(f"{found.unlabelled:,} have no label and do not count.")
    if found.unreadable:
        sentences.append(f"{found.unreadable:,} can't be read as a row and do not count.")
    if found.unanswered:
        sentences.append(f"{found.unanswered:,} have a label, but no answer, and do not count.")
    if found.seen_in is not None:
        sentences.append(
            f"{found.seen:,} that occur in {found.seen_in} are left out: {found.seen_texts:,} by their text, "
            f"{found.seen_images:,} by their image."
        )
        if found.images_compared == 0:
            sentences.append(
                "No image was compared: give the folder of the posts' images with --images, that of "
                f"{found.seen_in}'s with --seen-images."
            )
    return [*sentences, *(f"Note: {note}" for note in found.notes)]


def _draw_report(found: Assessment) -> RenderableType:
    parts: list[RenderableType] = [_draw_figures(found.report), Text(), _draw_labels(found.report)]
    parts += [Text(), _draw_confusion(found.report)]
    groups = {_GROUPS.get(name, name): report for name, report in found.modalities.items()}
    if set(found.modalities) != {"text+image"}:
        parts += [Text(), _draw_groups("What was used", groups)]
    if set(found.statuses) != {"ok"}:
        parts += [Text(), _draw_groups("Status", found.statuses)]
    if found.alone:
        alone = {f"{modality} alone, against {modality}_label": report for modality, report in found.alone.items()}
        parts += [Text(), _draw_groups("One side", alone)]
    if found.conflict is not None:
        parts += [Text(), _draw_conflict(found, found.conflict)]
    return Group(*parts)


def _draw_figures(report: Report) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right", style="bold")
    table.add_column(style="dim")
    for name, field in _FIGURES:
        interval: Interval = getattr(report, field)
        table.add_row(name, f"{interval.value:.1%}", f"{interval.low:.1%} to {interval.high:.1%}")
    if report.calibration_error is not None and report.confidence is not None:
        note = f"mean confidence {report.confidence:.1%}"
        table.add_row("calibration error", f"{report.calibration_error:.3f}", note)
    note = "Ranges hold 95% of 2,000 bootstrap samples of the posts."
    return Group(table, Text(note, style="dim"))


def _draw_labels(report: Report) -> RenderableType:
    table = _make_table("label", "posts", "precision", "recall", "F1")
    for each in report.labels:
        table.add_row(
            make_line(each.label),
            f"{each.posts:,}",
            *(f"{interval.value:.1%}" for interval in (each.precision, each.recall, each.f1)),
        )
    return table


def _draw_confusion(report: Report) -> RenderableType:
    names = [each.label for each in report.labels]
    table = _make_table("label \\ answer", *names)
    for row, (name, counts) in enumerate(zip(names, report.confusion, strict=True)):
        cells = [Text(f"{count:,}", style="bold" if row == column else "") for column, count in enumerate(counts)]
        table.add_row(make_line(name), *cells)
    return table


def _draw_groups(title: str, reports: Mapping[str, Report]) -> RenderableType:
    table = _make_table(title, "posts", "accuracy", "macro recall", "macro F1", "calibration")
    for name, report in reports.items():
        error = "" if report.calibration_error is None else f"{report.calibration_error:.3f}"
        figures = (report.accuracy, report.macro_recall, report.macro_f1)
        table.add_row(name, f"{report.posts:,}", *(f"{figure.value:.1%}" for figure in figures), error)
    return table


def _draw_conflict(found: Assessment, area: Interval) -> Text:
    return Text(
        f"conflict finds the {found.conflict_differ:,} of {found.conflict_posts:,} posts whose text and image labels "
        f"differ with an area under the ROC curve of {area.value:.3f} ({area.low:.3f} to {area.high:.3f})."
    )


def _make_table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(make_line(name), justify="right" if number else "left", no_wrap=True)
    return table
