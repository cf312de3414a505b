"""`sentimm info`: what is in a model bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sentimm.option_fields import parse_location


def info(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            metavar="[BUNDLE]", help="The bundle's folder.", show_default="the default model", parser=parse_location
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a model bundle and tell what is in it: labels, inputs, precisions, measured quality, origin.

    Example: sentimm info
    """
    from sentimm.bundle.bundle import load_bundle
    from sentimm.console.bundle import print_bundle
    from sentimm.console.terminal import print_json

    loaded = load_bundle(bundle)
    if as_json:
        print_json(loaded.to_json())
    else:
        print_bundle(loaded)
