"""`sentimm evaluate`: how good a model's answers are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sentimm.cli.options_from import options_from
from sentimm.cli.scoring import AsJson, limit_threads
from sentimm.option_fields import Panel, option
from sentimm.options import EvaluateOptions

if TYPE_CHECKING:
    from sentimm.evaluation.assess import Assessment


@options_from(EvaluateOptions, without=("infer_types", "columns", "prefix"))
def evaluate(
    options: EvaluateOptions,
    *,
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

    Example: sentimm evaluate val.csv --images photos/ -o report/
    """
    from sentimm.cli.extras import FIGURES, HASHES, METRICS, require

    require("sentimm evaluate", METRICS)
    if output is not None:
        require("sentimm evaluate -o", FIGURES)
        _check_output(output)
    if options.without_seen is not None:
        require("sentimm evaluate --without-seen", HASHES)
    limit_threads(options.threads)
    from sentimm.console.evaluation import print_assessment
    from sentimm.console.scoring.progress import ScoreConsole
    from sentimm.evaluation.assess import assess_corpus

    with ScoreConsole(quiet=quiet) as progress:
        found = assess_corpus(options, progress.show)
    if output is not None:
        _write_report(found, output)
    print_assessment(found, output, as_json=as_json)


def _check_output(folder: Path) -> None:
    """Check what can be known of the report's folder before posts are scored."""
    from sentimm.errors import OutputError

    if folder.exists() and not folder.is_dir():
        raise OutputError(f"The report can't be written to {folder}, which is a file: name a folder with -o.")


def _write_report(found: Assessment, folder: Path) -> None:
    import json

    import numpy as np

    from sentimm.plots import draw_confusion
    from sentimm.storage.atomic import commit_folder, write_file

    if not folder.is_dir():
        commit_folder(folder)
    content = json.dumps(found.to_json(), indent=1, ensure_ascii=False) + "\n"
    write_file(folder / "report.json", content.encode())
    draw_confusion(np.array(found.report.confusion), found.labels, folder / "confusion.png")
