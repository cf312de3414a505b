"""`sentimm evaluate`: answers held against labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentimm.options import CorpusOptions, EvaluateOptions, Modality

if TYPE_CHECKING:
    from sentimm.scoring.assessment import Assessment

_COLUMNS, _RUN = "Columns and images", "Running"


def evaluate(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Tables of labelled posts; a Parquet file that `score` wrote is evaluated as it is.",
            show_default=False,
        ),
    ],
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder of the posts' images.")] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="The model bundle.", show_default="the built-in model")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="REPORT", help="Write report.json and confusion.png into this folder."),
    ] = None,
    label_column: Annotated[
        str, typer.Option(metavar="C", help="The column of labels.", rich_help_panel=_COLUMNS)
    ] = "label",
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="What the table's labels are, in the order of its numbers.",
            rich_help_panel=_COLUMNS,
            show_default="the model's",
        ),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(metavar="C", help="The column of texts.", rich_help_panel=_COLUMNS)
    ] = None,
    image_column: Annotated[
        str | None, typer.Option(metavar="C", help="The column of image names.", rich_help_panel=_COLUMNS)
    ] = None,
    id_column: Annotated[
        str | None, typer.Option(metavar="C", help="The column of ids.", rich_help_panel=_COLUMNS)
    ] = None,
    only: Annotated[
        Modality | None, typer.Option(help="Use this modality alone.", rich_help_panel=_COLUMNS, show_default=False)
    ] = None,
    without_seen: Annotated[
        str | None,
        typer.Option(
            metavar="TRAIN",
            help="Leave out posts whose text or image (by perceptual hash) occurs in this table.",
            rich_help_panel=_COLUMNS,
        ),
    ] = None,
    seen_images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The folder of TRAIN's images.", rich_help_panel=_COLUMNS, show_default="--images"
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="Read the first N posts only.", rich_help_panel=_COLUMNS)
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Go on where no post finds its image.", rich_help_panel=_COLUMNS),
    ] = False,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda", help="Where to score.", rich_help_panel=_RUN)
    ] = "auto",
    precision: Annotated[
        str, typer.Option(metavar="P", help="fp32, fp16, int8 or auto.", rich_help_panel=_RUN)
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", help="Threads of the model.", rich_help_panel=_RUN, show_default="all cores"),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", help="Texts or images in a batch.", rich_help_panel=_RUN)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_RUN)] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as one JSON object.", rich_help_panel=_RUN)
    ] = False,
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
        batch_size=batch_size,
    )
    from sentimm.cli.extras import FIGURES, HASHES, METRICS, require

    require("sentimm evaluate", METRICS)
    if output is not None:
        require("sentimm evaluate -o", FIGURES)
        _check_output(output)
    if without_seen is not None:
        require("sentimm evaluate --without-seen", HASHES)
    from sentimm.console.evaluation import EvaluationConsole
    from sentimm.scoring.assessment import assess_corpus

    console = EvaluationConsole(quiet=quiet, as_json=as_json)
    try:
        found = assess_corpus(options, console.tell)
    finally:
        console.close()
    if output is not None:
        _write_report(found, output)
    console.finish(found, output)


def _check_output(folder: Path) -> None:
    """Check what can be known of the report's folder before posts are scored."""
    from sentimm.errors import OutputError

    if folder.exists() and not folder.is_dir():
        raise OutputError(f"The report can't be written to {folder}, which is a file: name a folder with -o.")


def _write_report(found: Assessment, folder: Path) -> None:
    import json

    import numpy as np

    from sentimm.console.evaluation import describe_assessment
    from sentimm.errors import OutputError
    from sentimm.evaluation.figures import draw_confusion

    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps(describe_assessment(found), indent=1, ensure_ascii=False) + "\n"
        (folder / "report.json").write_text(content, encoding="utf-8")
        draw_confusion(np.array(found.report.confusion), found.labels, folder / "confusion.png")
    except OSError as error:
        raise OutputError(f"The report can't be written to {folder}: {error.strerror or error}.") from error
