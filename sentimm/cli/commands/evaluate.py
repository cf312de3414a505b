"""`sentimm evaluate`: answers held against labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentimm.cli import scoring_options as shared
from sentimm.cli.declare import declare, parse_path
from sentimm.options import CorpusOptions, EvaluateOptions

if TYPE_CHECKING:
    from sentimm.evaluation.assess import Assessment


def evaluate(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Tables of labelled posts; a Parquet file that `score` wrote is evaluated as it is.",
            show_default=False,
        ),
    ],
    images: shared.Images = None,
    label_column: Annotated[str, declare(shared.INPUT, "The column of labels.", metavar="C")] = "label",
    labels: Annotated[
        str | None,
        declare(
            shared.INPUT,
            "What the table's labels are, in the order of its numbers.",
            metavar="A,B,...",
            show_default="the model's",
        ),
    ] = None,
    text_column: shared.TextColumn = None,
    image_column: shared.ImageColumn = None,
    id_column: shared.IdColumn = None,
    only: shared.Only = None,
    without_seen: Annotated[
        str | None,
        declare(
            shared.INPUT,
            "Leave out posts whose text or image (by perceptual hash) occurs in this table.",
            metavar="TRAIN",
        ),
    ] = None,
    seen_images: Annotated[
        Path | None,
        declare(
            shared.INPUT, "The folder of TRAIN's images.", metavar="DIR", show_default="--images", parser=parse_path
        ),
    ] = None,
    limit: shared.Limit = None,
    allow_missing: shared.AllowMissing = False,
    output: Annotated[
        Path | None,
        declare(
            shared.OUTPUT,
            "Write report.json and confusion.png into this folder.",
            "--output",
            "-o",
            metavar="REPORT",
        ),
    ] = None,
    model: shared.Model = None,
    device: shared.Device = "auto",
    precision: shared.Precision = "auto",
    threads: shared.Threads = None,
    batch_size: shared.BatchSize = None,
    quiet: Annotated[bool, declare(shared.RUNNING, "No progress.", "--quiet", "-q")] = False,
    as_json: shared.AsJson = False,
) -> None:
    """Measure a model on labelled posts: accuracy, precision, recall, F1, calibration, with 95% intervals.

    Where the table has the columns `text_label` and `image_label`, each side is also held against its own label.

    Example: sentimm evaluate val.csv --images photos/ -o report/
    """
    options = EvaluateOptions(
        inputs=tuple(inputs),
        corpus=CorpusOptions(
            images=images,
            text_column=text_column,
            image_column=image_column,
            id_column=id_column,
            limit=limit,
            only=only,
            allow_missing=allow_missing,
        ),
        label_column=label_column,
        labels=None if labels is None else tuple(label.strip() for label in labels.split(",") if label.strip()),
        model=model,
        without_seen=without_seen,
        seen_images=seen_images,
        device=device,
        precision=precision,
        threads=threads,
        batch_size=shared.parse_batch_size(batch_size),
    )
    from sentimm.cli.extras import FIGURES, HASHES, METRICS, require

    require("sentimm evaluate", METRICS)
    if output is not None:
        require("sentimm evaluate -o", FIGURES)
        _check_output(output)
    if without_seen is not None:
        require("sentimm evaluate --without-seen", HASHES)
    shared.limit_threads(threads)
    from sentimm.console.evaluation import print_assessment
    from sentimm.console.scoring import ScoreConsole
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

    from sentimm.console.evaluation import describe_assessment
    from sentimm.plots import draw_confusion
    from sentimm.storage.atomic import commit_folder, write_file

    if not folder.is_dir():
        commit_folder(folder)
    content = json.dumps(describe_assessment(found), indent=1, ensure_ascii=False) + "\n"
    write_file(folder / "report.json", content.encode())
    draw_confusion(np.array(found.report.confusion), found.labels, folder / "confusion.png")
