"""`sentimm report`: the findings as one page to look at."""

from __future__ import annotations

from typing import Annotated

from sentimm.cli.options_from import options_from
from sentimm.findings.options import ReportOptions
from sentimm.option_fields import Panel, option


@options_from(ReportOptions)
def report(
    options: ReportOptions,
    *,
    as_json: Annotated[bool, option(Panel.OUTPUT, "Print the result as one JSON object.", "--json")] = False,
) -> None:
    """Write a page: shares with intervals, over time and by group, whether to trust them, and posts to look at.

    It holds no script and needs no network. It shows people's posts: use --public for a page to publish.

    Example: sentimm report tweets.scored.parquet --labels sheet.xlsx --by party --images photos/ -o report.html
    """
    from sentimm.console.findings import print_report
    from sentimm.findings.report.report import write_report

    print_report(write_report(options), as_json=as_json)
