"""`sentimm status`: how far a job is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sentimm.option_fields import parse_location


def status(
    output: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The output that a `sentimm score` command writes.", parser=parse_location),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show how far a job is: done, running, or stopped.

    Example: sentimm status tweets.scored.parquet
    """
    from sentimm.console.scoring.summary import print_progress
    from sentimm.console.terminal import print_json
    from sentimm.scoring.job_folder.progress import read_progress

    progress = read_progress(output)
    if as_json:
        print_json(progress.to_json())
    else:
        print_progress(progress)
