"""`sentimm score`: the main job, from a corpus to labelled Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sentimm.cli.options_from import options_from
from sentimm.cli.scoring import AsJson, limit_threads
from sentimm.cli.stopping import Stopped, StopRequest
from sentimm.events import Event, JobFinished, ModelReady
from sentimm.option_fields import Panel, option
from sentimm.options import ScoreOptions

if TYPE_CHECKING:
    from sentimm.console.scoring.progress import ScoreConsole


@options_from(ScoreOptions)
def score(
    options: ScoreOptions,
    *,
    dry_run: Annotated[bool, option(Panel.INPUT, "Show what is in the input, and stop.")] = False,
    quiet: Annotated[bool, option(Panel.RUNNING, "Print errors only.", "-q")] = False,
    as_json: AsJson = False,
) -> None:
    """Label every post of a corpus as negative, neutral or positive, with probabilities, into Parquet.

    To resume a stopped job, run the same command again.

    Example: sentimm score tweets.csv --images photos/
    """
    limit_threads(options.threads)
    from sentimm.console.scoring.progress import ScoreConsole

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
            console.hint(f"To use a model of your own, name it: --model {bundle}")
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
            f"Stopped. {progress.scored:,} of {progress.rows:,} posts are kept in {output}.job. "
            "To resume, run the same command again."
        )
    except SentimmError:
        console.warn("Stopped before any post was scored. To start over, run the same command again.")
