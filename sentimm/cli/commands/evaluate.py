"""`sentimm evaluate`: how good a model's answers are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sentimm.cli.options_from import options_from
from sentimm.cli.scoring import AsJson, limit_threads
from sentimm.evaluation.options import EvaluateOptions
from sentimm.option_fields import Panel, option

if TYPE_CHECKING:
    from sentimm.evaluation.assess import Assessment
    from sentimm.findings.quality.assess import SheetAssessment


@options_from(EvaluateOptions, without=("infer_types", "columns", "prefix"))
def evaluate(
    options: EvaluateOptions,
    *,
    design: Annotated[
        Path | None,
        option(
            Panel.LABELS,
            "The design file of a labelling sheet.",
            metavar="FILE",
            shown="the one beside it",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        option(
            Panel.OUTPUT, "Write report.json and confusion.png into this folder.", "--output", "-o", metavar="REPORT"
        ),
    ] = None,
    quiet: Annotated[bool, option(Panel.RUNNING, "No progress.", "-q")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a model on labelled posts: accuracy, precision, recall, F1, calibration, with 95% intervals.

    Where the table has the columns `text_label` and `image_label`, each side is also compared with its own label.

    A labelling sheet that `sample` drew is compared with the answers that the scored posts had, and each of its rows
    counts as many posts as it stands for.

    Example: sentimm evaluate val.csv --images photos/ -o report/
    """
    from sentimm.cli.extras import FIGURES, HASHES, METRICS, require

    limit_threads(options.threads)
    sheets = _find_sheets(options, design)
    if sheets and options.model is None:
        _evaluate_sheet(options, design, output, as_json=as_json)
        return
    require("sentimm evaluate", METRICS)
    if output is not None:
        require("sentimm evaluate -o", FIGURES)
        _check_output(output)
    if options.without_seen is not None:
        require("sentimm evaluate --without-seen", HASHES)
    from sentimm.console.evaluation import print_assessment
    from sentimm.console.scoring.progress import ScoreConsole
    from sentimm.evaluation.assess import assess_corpus

    with ScoreConsole(quiet=quiet) as progress:
        found = assess_corpus(options, progress.show)
    if sheets:
        note = (
            f"{sheets[0]} is a labelling sheet, whose rows count alike here: without --model each counts as many posts"
        )
        found = replace(found, notes=(*found.notes, f"{note} as it stands for."))
    if output is not None:
        _write_report(found, output)
    print_assessment(found, output, as_json=as_json)


def _find_sheets(options: EvaluateOptions, design: Path | None) -> tuple[str, ...]:
    """Return those of the inputs that are labelling sheets.

    Raises:
        UsageError: other inputs are to be compared with the answers in a design too, or a model's answers are.
    """
    from sentimm.errors import UsageError
    from sentimm.findings.sheets.recognition import is_sheet

    if design is not None and options.model is not None:
        raise UsageError(
            "--design compares a labelling sheet with the answers in its design file, and --model asks for others: "
            "give one of them."
        )
    if design is not None:
        return options.inputs
    sheets = tuple(name for name in options.inputs if is_sheet(name))
    others = [name for name in options.inputs if name not in sheets]
    if sheets and others and options.model is None:
        raise UsageError(f"{sheets[0]} is a labelling sheet, and {others[0]} is none: evaluate each by itself.")
    return sheets


def _evaluate_sheet(options: EvaluateOptions, design: Path | None, output: Path | None, *, as_json: bool) -> None:
    from sentimm.cli.extras import FIGURES, require
    from sentimm.console.sheets import print_sheet_assessment
    from sentimm.findings.quality.assess import assess_sheet, check_sheet_options

    if output is not None:
        require("sentimm evaluate -o", FIGURES)
        _check_output(output)
    check_sheet_options(options)
    found = assess_sheet(options.inputs, design)
    if output is not None:
        _write_report(found, output)
    print_sheet_assessment(found, output, as_json=as_json)


def _check_output(folder: Path) -> None:
    """Check what can be known of the report's folder before posts are scored."""
    from sentimm.errors import OutputError

    if folder.exists() and not folder.is_dir():
        raise OutputError(f"The report can't be written to {folder}, which is a file: name a folder with -o.")


def _write_report(assessment: Assessment | SheetAssessment, folder: Path) -> None:
    import json

    import numpy as np

    from sentimm.plots import draw_confusion
    from sentimm.storage.atomic import commit_folder, write_file

    if not folder.is_dir():
        commit_folder(folder)
    content = json.dumps(assessment.to_json(), indent=1, ensure_ascii=False) + "\n"
    write_file(folder / "report.json", content.encode())
    draw_confusion(np.rint(assessment.report.confusion).astype(np.int64), assessment.labels, folder / "confusion.png")
