"""`sentimm doctor`: what this machine can use, and what keeps it from more."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check whether scoring works here, and whether a GPU can be used.

    Scores a post with the default model to be sure; the exit code is 0 when that works, else 1.

    Example: sentimm doctor
    """
    from sentimm.console.doctor import print_checkup
    from sentimm.console.terminal import print_json
    from sentimm.doctor import examine_machine

    checkup = examine_machine()
    if as_json:
        print_json(checkup.to_json())
    else:
        print_checkup(checkup)
    if not checkup.works:
        raise typer.Exit(1)
