"""`sentimm train`: a model from labelled posts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentimm.cli.options_from import options_from
from sentimm.errors import UsageError
from sentimm.option_fields import Panel, option
from sentimm.training.options import TrainOptions

if TYPE_CHECKING:
    from sentimm.training.events import TrainingListener
    from sentimm.training.run_folder import Run

_NEEDS = """sentimm train needs a table of labelled posts, and for models that look at images their folder:

    sentimm train posts.csv --images photos/ -o runs/mine

The table (CSV, TSV, NDJSON, Parquet) has a column `label` (negative, neutral, positive), and `text`, `image` or both.
Text alone: --fusion bert. Images alone: --fusion resnet. All options: sentimm train --help"""

_WITH_RESUME = ("resume", "quiet", "verbose", "log_file")


@options_from(TrainOptions, without=("folds",), inputs={"default": ()})
def train(
    context: typer.Context,
    options: TrainOptions,
    *,
    output: Annotated[
        Path | None,
        option(Panel.RUNNING, "The run folder to write.", "--output", "-o", metavar="RUN", shown="runs/<fusion>-<n>"),
    ] = None,
    resume: Annotated[Path | None, option(Panel.RUNNING, "Resume this run where it stopped.", metavar="RUN")] = None,
    quiet: Annotated[bool, option(Panel.RUNNING, "No progress.", "-q")] = False,
) -> None:
    """Train a model on labelled posts, and write a run folder.

    On several GPUs: accelerate launch --multi_gpu -m sentimm train posts.csv --images photos/

    Example: sentimm train posts.csv --images photos/ -o runs/mine
    """
    if not options.inputs and resume is None:
        raise UsageError(_NEEDS)
    if resume is not None and (others := _list_others(context)):
        raise UsageError(
            f"--resume continues with the run's own tables and options: remove {', '.join(others)}. To train it "
            f"differently, start a new run with --init {resume}."
        )
    from sentimm.cli.extras import require_train

    require_train("train")
    from sentimm.training.train import resume_run, start_run

    if resume is not None:
        _show(lambda tell, should_stop: resume_run(resume, tell, should_stop), quiet=quiet)
        return
    _show(lambda tell, should_stop: start_run(options, output, tell, should_stop), quiet=quiet)


def _list_others(context: typer.Context) -> list[str]:
    """Return the names of what was given besides the options that go with --resume."""
    others = []
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name in _WITH_RESUME or source is None or source.name != "COMMANDLINE":
            continue
        others.append("INPUT" if name == "inputs" else parameter.opts[0])
    return others


def _show(work: Callable[[TrainingListener, Callable[[], bool]], Run], *, quiet: bool) -> None:
    """Train with progress on the screen, and end as a signal asks."""
    from sentimm.cli.stopping import StopRequest
    from sentimm.console.training import TrainingConsole
    from sentimm.training.run_folder import TrainingStopped

    # Of several processes (accelerate sets RANK), the main one speaks.
    console = TrainingConsole(quiet=quiet, silent=os.environ.get("RANK", "0") != "0")
    with StopRequest(console.say) as request:
        try:
            run = work(console.tell, request)
        except TrainingStopped as stop:
            console.stop(stop)
            raise typer.Exit(request.exit_code) from None
    console.finish(run)
