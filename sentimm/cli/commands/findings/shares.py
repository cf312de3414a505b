"""`sentimm shares`: what share of the posts is negative, neutral or positive, with intervals that hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sentimm.cli.options_from import options_from
from sentimm.findings.options import SharesOptions
from sentimm.option_fields import Panel, option


@options_from(SharesOptions)
def shares(
    options: SharesOptions,
    *,
    figure: Annotated[
        Path | None,
        option(Panel.OUTPUT, "Draw the shares into this file: .svg or .png.", metavar="FILE", shown=False, is_url=True),
    ] = None,
    as_json: Annotated[bool, option(Panel.OUTPUT, "Print the result as one JSON object.", "--json")] = False,
) -> None:
    """Estimate the shares of labels in a scored corpus, by group and over time, with 95% intervals from labelled posts.

    Without --labels it shows what the model counts, and how far that may be off.

    Example: sentimm shares tweets.scored.parquet --labels sheet.xlsx --by party --time created_at
    """
    from sentimm.console.findings import print_shares
    from sentimm.findings.estimation import run_shares

    if figure is not None:
        from sentimm.cli.extras import FIGURES, require
        from sentimm.findings.report.figures import check_figure, write_figure

        check_figure(figure)
        if figure.suffix.lower() == ".png":
            require("sentimm shares --figure FILE.png", FIGURES)
    found = run_shares(options)
    if figure is not None:
        write_figure(figure, found.shares, found.scored.labels)
    print_shares(found, options, figure, as_json=as_json)
    if options.max_margin is not None and found.shares.explain_margin(options.max_margin) is not None:
        raise typer.Exit(1)
