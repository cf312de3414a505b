"""What is printed of labelling sheets, and of features: what a model is worth on posts, and how it is adapted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sentimm.console.evaluation import FIGURES
from sentimm.console.terminal import make_console, make_line, make_table, print_block, print_json

if TYPE_CHECKING:
    from sentimm.findings.adaptation.adapt import Adapted
    from sentimm.findings.features.write import Features
    from sentimm.findings.quality.assess import SheetAssessment
    from sentimm.findings.quality.figures import Figure, Quality

_METHODS = {"prior": "shares of the labels", "vector": "scale and bias of each label", "head": "and a head on features"}


def print_sheet_assessment(assessment: SheetAssessment, folder: Path | None, *, as_json: bool = False) -> None:
    """Print an evaluation, for a person or as one JSON object; `folder` is the report's, if it was written."""
    if as_json:
        print_json(assessment.to_json())
        return
    console = make_console(sys.stdout)
    title = f"Evaluation of {assessment.model or 'the model'} on {', '.join(assessment.inputs)}"
    console.print(make_line(title, "bold"), soft_wrap=True)
    for sentence in _describe(assessment):
        console.print(make_line(sentence), soft_wrap=True)
    for part in (_draw_figures(assessment.report), _draw_labels(assessment.report), _draw_confusion(assessment.report)):
        console.print()
        print_block(console, part)
    console.print(make_line("Ranges are 95% intervals from 2,000 bootstrap samples.", "dim"), soft_wrap=True)
    for note in assessment.notes:
        console.print(make_line(f"Note: {note}"), soft_wrap=True)
    if folder is not None:
        console.print(make_line(f"Written to {folder}: report.json, confusion.png"), soft_wrap=True)


def print_features(features: Features, *, as_json: bool = False) -> None:
    """Print what was written."""
    if as_json:
        print_json(features.to_json())
        return
    console = make_console(sys.stdout)
    widths = " and ".join(f"{width:,} numbers of the {name}" for name, width in features.widths.items())
    console.print(
        make_line(
            f"{features.contents:,} distinct contents of {features.posts:,} posts: {widths}, by {features.model}."
        ),
        soft_wrap=True,
    )
    if features.empty:
        console.print(make_line(f"Left out, as the model reads nothing of them: {features.empty:,}."), soft_wrap=True)
    console.print(make_line(f"Written to {features.output}"), soft_wrap=True)


def print_adapted(adapted: Adapted, *, as_json: bool = False) -> None:
    """Print what adapting gains, and what was written."""
    if as_json:
        print_json(adapted.to_json())
        return
    console, compared = make_console(sys.stdout), adapted.compared
    console.print(
        make_line(f"{adapted.model} by {adapted.labels:,} labels, which speak for {adapted.posts:,} posts:"),
        soft_wrap=True,
    )
    table = make_table("corrected by", "log loss", "gain", "95% interval", "accuracy")
    table.add_row("nothing", f"{compared.log_loss:.4f}", "", "", f"{compared.accuracy:.1%}")
    for each in compared.candidates:
        low, high = each.gain.low, each.gain.high
        between = "" if low is None or high is None else f"{low:+.4f} to {high:+.4f}"
        cells = [f"{each.log_loss:.4f}", f"{each.gain.value:+.4f}", between, f"{each.accuracy:.1%}"]
        table.add_row(_METHODS[each.method], *cells)
    print_block(console, table)
    for note in adapted.notes:
        console.print(make_line(f"Note: {note}"), soft_wrap=True)
    if not compared.is_gain:
        sentence = "Nothing gained: no correction is better for certain on labels that it was not fitted to."
        console.print(make_line(sentence), soft_wrap=True)
    if adapted.output is None:
        console.print(make_line("No bundle was written. More labels may show a gain; --anyway writes one."))
        return
    console.print(make_line(f"Written to {adapted.output}"), soft_wrap=True)
    console.print(make_line(f"Next: sentimm score POSTS --model {adapted.output}"), soft_wrap=True)


def _describe(assessment: SheetAssessment) -> list[str]:
    sentences = [
        f"{assessment.labelled:,} labelled texts and images speak for the {assessment.posts:,} posts that they were "
        "drawn from."
    ]
    if assessment.report.n_effective is not None:
        sentences.append(
            f"For the accuracy they say as much as {assessment.report.n_effective:,.0f} labels drawn simply at random."
        )
    if assessment.unsure:
        sentences.append(f"{assessment.unsure:,} labels were marked as unsure.")
    if assessment.alpha is not None and assessment.alpha_ordinal is not None:
        sentences.append(
            f"{assessment.annotators} people agree with an alpha (Krippendorff's) of {assessment.alpha:.2f}, and of "
            f"{assessment.alpha_ordinal:.2f} where neighbouring labels count as near."
        )
    return sentences


def _draw_figures(report: Quality) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right", style="bold")
    table.add_column(style="dim")
    for name, field in FIGURES:
        figure: Figure = getattr(report, field)
        table.add_row(name, f"{figure.value:.1%}", _range(figure))
    loss = report.log_loss
    between = "" if loss.low is None or loss.high is None else f"{loss.low:.3f} to {loss.high:.3f}"
    table.add_row("log loss", f"{loss.value:.3f}", between)
    table.add_row("calibration error", f"{report.calibration_error:.3f}", f"mean confidence {report.confidence:.1%}")
    return table


def _draw_labels(report: Quality) -> RenderableType:
    table = make_table("label", "labelled", "precision", "", "recall", "", "F1", "")
    for each in report.labels:
        cells = [
            cell
            for figure in (each.precision, each.recall, each.f1)
            for cell in (Text(f"{figure.value:.1%}"), Text(_range(figure), style="dim"))
        ]
        table.add_row(make_line(each.label), f"{each.labelled:,}", *cells)
    return table


def _draw_confusion(report: Quality) -> RenderableType:
    names = [each.label for each in report.labels]
    table = make_table("posts: label \\ answer", *names)
    for row, (name, posts) in enumerate(zip(names, report.confusion, strict=True)):
        cells = [Text(f"{number:,.0f}", style="bold" if row == column else "") for column, number in enumerate(posts)]
        table.add_row(make_line(name), *cells)
    return table


def _range(figure: Figure) -> str:
    return "" if figure.low is None or figure.high is None else f"{figure.low:.1%} to {figure.high:.1%}"
