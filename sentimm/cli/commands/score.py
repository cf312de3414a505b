"""`sentimm score`: the main job, from a corpus to labelled Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentimm.cli import scoring_options as shared
from sentimm.cli.declare import declare, parse_path
from sentimm.cli.stopping import Stopped, StopRequest
from sentimm.events import Event, JobFinished, ModelReady
from sentimm.options import CorpusOptions, ScoreOptions

if TYPE_CHECKING:
    from sentimm.console.scoring import ScoreConsole


def score(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Tables of posts (CSV, TSV, NDJSON, Parquet, Arrow; globs, braces), WebDataset shards (.tar), a "
            "folder of images and texts, of shards or of a saved Hugging Face dataset, here or in object storage "
            "(s3://...), or - for NDJSON from standard input.",
            show_default=False,
        ),
    ],
    images: shared.Images = None,
    text_column: shared.TextColumn = None,
    image_column: shared.ImageColumn = None,
    id_column: shared.IdColumn = None,
    only: shared.Only = None,
    limit: shared.Limit = None,
    allow_missing: shared.AllowMissing = False,
    dry_run: Annotated[bool, declare(shared.INPUT, "Show what is in the input, and stop.", "--dry-run")] = False,
    output: Annotated[
        Path | None,
        declare(
            shared.OUTPUT,
            "The file (.parquet) or folder to write.",
            "--output",
            "-o",
            metavar="OUT",
            parser=parse_path,
            show_default="INPUT's name, .scored.parquet",
        ),
    ] = None,
    columns: Annotated[
        str | None, declare(shared.OUTPUT, "The input's columns to keep.", metavar="C,...", show_default="all")
    ] = None,
    prefix: Annotated[str, declare(shared.OUTPUT, "Goes before the names of the added columns.", metavar="P")] = "",
    views: Annotated[
        bool,
        declare(
            shared.OUTPUT, "Add what text and image say alone: text_sentiment, image_sentiment, conflict.", "--views"
        ),
    ] = False,
    no_infer_types: Annotated[
        bool, declare(shared.OUTPUT, "Keep all columns of text formats strings.", "--no-infer-types")
    ] = False,
    problems: Annotated[
        Path | None,
        declare(
            shared.OUTPUT,
            "The CSV that lists the posts with a problem.",
            metavar="FILE",
            show_default="OUT.problems.csv",
            parser=parse_path,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        declare(shared.OUTPUT, "Replace an output that is there; it goes when scoring begins.", "--overwrite"),
    ] = False,
    retry: Annotated[
        str | None,
        declare(
            shared.OUTPUT,
            "Of a finished output, score again only posts with these statuses (image_missing, image_unreadable).",
            metavar="STATUS,...",
        ),
    ] = None,
    model: shared.Model = None,
    device: shared.Device = "auto",
    precision: shared.Precision = "auto",
    threads: shared.Threads = None,
    batch_size: shared.BatchSize = None,
    chunk_rows: Annotated[
        int | None, declare(shared.RUNNING, "Posts in a part.", metavar="N", show_default="about 15 seconds of work")
    ] = None,
    ray: Annotated[
        str | None,
        declare(
            shared.RUNNING,
            "Score on a Ray cluster: the one that runs, one of this machine's cores, or that at an address.",
            metavar="auto|local|ADDRESS",
        ),
    ] = None,
    max_failed: Annotated[
        float | None,
        declare(
            shared.RUNNING,
            "Stop where more than PCT percent of the images can't be read.",
            metavar="PCT",
            show_default="never",
        ),
    ] = None,
    no_dedupe: shared.NoDedupe = False,
    quiet: Annotated[bool, declare(shared.RUNNING, "Print errors only.", "--quiet", "-q")] = False,
    as_json: shared.AsJson = False,
) -> None:
    """Label every post of a corpus as negative, neutral or positive, with probabilities, into Parquet.

    A command that was stopped goes on where it was when it is given again.

    Example: sentimm score tweets.csv --images photos/
    """
    options = ScoreOptions(
        inputs=tuple(inputs),
        corpus=CorpusOptions(
            images=images,
            text_column=text_column,
            image_column=image_column,
            id_column=id_column,
            infer_types=not no_infer_types,
            limit=limit,
            only=only,
            allow_missing=allow_missing,
            columns=None if columns is None else tuple(name for name in columns.split(",") if name),
            prefix=prefix,
        ),
        output=output,
        model=model,
        device=device,
        precision=precision,
        threads=threads,
        batch_size=shared.parse_batch_size(batch_size),
        chunk_rows=chunk_rows,
        dedupe=not no_dedupe,
        views=views,
        overwrite=overwrite,
        retry=() if retry is None else tuple(name.strip() for name in retry.split(",") if name.strip()),
        ray=ray,
        max_failed=max_failed,
        problems=problems,
    )
    shared.limit_threads(threads)
    from sentimm.console.scoring import ScoreConsole

    with ScoreConsole(quiet=quiet, as_json=as_json) as console, StopRequest(console.hint) as request:
        try:
            _run(options, dry_run, console, request)
        except Stopped:
            console.close()
            _explain_stop(options, console)
            raise


def _run(options: ScoreOptions, dry_run: bool, console: ScoreConsole, request: StopRequest) -> None:
    from sentimm.scoring.job import run_job, survey_job

    def tell(event: Event) -> None:
        console.show(event)
        if isinstance(event, ModelReady) and options.model is None and (bundle := _find_own_bundle()):
            console.hint(f"Your own models are used with --model, such as --model {bundle}.")
        # Before the survey's first event nothing is written, but standard input may be waited for.
        if not isinstance(event, ModelReady | JobFinished) and request():
            raise Stopped(request.exit_code)

    if dry_run:
        console.show_survey(survey_job(options, tell))
    else:
        run_job(options, tell)


def _find_own_bundle() -> Path | None:
    """Find the newest bundle in ./bundles, where `sentimm export` writes them."""
    manifests = sorted(Path("bundles").glob("*/bundle.json"), key=lambda path: path.stat().st_mtime)
    return manifests[-1].parent if manifests else None


def _explain_stop(options: ScoreOptions, console: ScoreConsole) -> None:
    from sentimm.errors import SentimmError
    from sentimm.scoring.job_folder.output_paths import default_output
    from sentimm.scoring.job_folder.progress import read_progress

    output = options.output or default_output(options.inputs)
    try:
        progress = read_progress(output)
        console.warn(
            f"Stopped. {progress.scored:,} of {progress.rows:,} posts are kept in {output}.job: the same command "
            "goes on from there."
        )
    except SentimmError:
        console.warn("Stopped before anything was scored: the same command starts again.")
