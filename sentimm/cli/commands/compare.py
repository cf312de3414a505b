"""`sentimm compare`: the paper's seven models on the same posts."""

from __future__ import annotations

from typing import Annotated

import typer

from sentimm.cli.options_from import options_from
from sentimm.option_fields import Panel, option
from sentimm.training.comparison.options import CompareOptions


@options_from(
    CompareOptions,
    without=("fusion", "teacher", "teacher_weight", "seed"),
    heads={
        "help": "Heads for one modality alone, for models that take both.",
        "shown": "none, as in the paper",
        "default": (),
    },
    feature_cache={"help": "Keep frozen encoders' outputs here, for all runs.", "shown": "FOLDER/cache"},
)
def compare(
    options: CompareOptions,
    *,
    quiet: Annotated[bool, option(Panel.RUNNING, "No progress.", "-q")] = False,
    as_json: Annotated[bool, option(Panel.RUNNING, "Print the results as one JSON object.", "--json")] = False,
) -> None:
    """Train the paper's seven models on the same posts, and print their figures beside the paper's Table 4.

    To resume a stopped comparison, run the same command again; once all runs are done, it makes the table again.
    --models and --seeds may change in between: the table holds all finished runs.

    Example: sentimm compare train.csv --val val.csv --images photos/ --seeds 3 -o comparison/
    """
    from sentimm.cli.extras import HASHES, require, require_train

    require_train("compare")
    if options.without_seen:
        require("sentimm compare --without-seen", HASHES)
    _show(options, quiet=quiet, as_json=as_json)


def _show(options: CompareOptions, *, quiet: bool, as_json: bool) -> None:
    """Compare with progress on the screen, and end as a signal asks."""
    from sentimm.cli.stopping import StopRequest
    from sentimm.console.comparison import ComparisonConsole
    from sentimm.training.comparison.compare import compare_models
    from sentimm.training.run_folder import TrainingStopped

    console = ComparisonConsole(quiet=quiet, as_json=as_json)
    with StopRequest(console.say) as request:
        try:
            found = compare_models(options, console.tell, request)
        except TrainingStopped as stop:
            console.stop(stop)
            raise typer.Exit(request.exit_code) from None
    console.finish(found, options.folder)
