"""`sentimm sample`: posts to label by hand, drawn so that their labels can speak for the whole corpus."""

from __future__ import annotations

from typing import Annotated

from sentimm.cli.options_from import options_from
from sentimm.findings.options import SampleOptions
from sentimm.option_fields import Panel, option


@options_from(SampleOptions, without=("where",))
def sample(
    options: SampleOptions,
    *,
    as_json: Annotated[bool, option(Panel.OUTPUT, "Print the result as one JSON object.", "--json")] = False,
) -> None:
    """Draw posts to label by hand, as a sheet for a spreadsheet or a labelling tool.

    Label the sheet, then give it to `sentimm shares`. The sheet does not show the model's answers, which would sway
    you.

    Example: sentimm sample tweets.scored.parquet --labels 400 --images photos/ -o sheet.xlsx
    """
    from sentimm.console.findings import print_sampled
    from sentimm.findings.sampling import run_sample

    print_sampled(run_sample(options), options, as_json=as_json)
