"""`sentimm shares`: what share of the posts is negative, neutral or positive, with intervals that hold."""

from __future__ import annotations

from typing import Annotated

import typer

from sentimm.cli.options_from import options_from
from sentimm.findings.options import SharesOptions
from sentimm.option_fields import Panel, option


@options_from(SharesOptions)
def shares(
    options: SharesOptions,
    *,
    as_json: Annotated[bool, option(Panel.OUTPUT, "Print the result as one JSON object.", "--json")] = False,
) -> None:
    """Estimate the shares of labels in a scored corpus, by group and over time, with 95% intervals from labelled posts.

    Without --labels it shows what the model counts, and how far that may be off.

    Example: sentimm shares tweets.scored.parquet --labels sheet.xlsx --by party --time created_at
    """
    from sentimm.console.findings import print_shares
    from sentimm.findings.estimation import run_shares

    found = run_shares(options)
    print_shares(found, options, as_json=as_json)
    widest = found.shares.widest_margin
    if options.max_margin is not None and (widest is None or widest > options.max_margin):
        raise typer.Exit(1)
