"""`sentimm info`: what is in a model bundle."""

from __future__ import annotations

from typing import Annotated

import typer

from sentimm.options import parse_model


def info(
    bundle: Annotated[
        str | None,
        typer.Argument(
            metavar="[BUNDLE]",
            help="The bundle's folder, its URL, or the name of one that ships.",
            show_default="the default model, and all that ship",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a model bundle and tell what is in it: labels, inputs, precisions, measured quality, origin.

    Example: sentimm info
    """
    from sentimm.bundle.bundle import list_shipped, load_bundle
    from sentimm.console.bundle import print_bundle, print_shipped
    from sentimm.console.terminal import print_json

    loaded = load_bundle(None if bundle is None else parse_model(bundle))
    if as_json:
        print_json(loaded.to_json())
    else:
        print_bundle(loaded)
    if bundle is None and not as_json:
        print_shipped({name: load_bundle(path) for name, path in list_shipped().items()})
