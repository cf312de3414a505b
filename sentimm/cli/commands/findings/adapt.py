"""`sentimm adapt`: a model that fits the posts of a sheet better."""

from __future__ import annotations

from typing import Annotated

from sentimm.cli.options_from import options_from
from sentimm.findings.adaptation.options import AdaptOptions
from sentimm.option_fields import Panel, option


@options_from(AdaptOptions)
def adapt(
    options: AdaptOptions,
    *,
    as_json: Annotated[bool, option(Panel.OUTPUT, "Print the result as one JSON object.", "--json")] = False,
) -> None:
    """Adapt the model to a corpus by the labels of a sheet, and write a bundle that `score --model` takes.

    Corrections of its probabilities are compared on labels that they were not fitted to; where none is a gain, no
    bundle is written.

    Example: sentimm adapt sheet.xlsx --features features.parquet -o bundles/adapted
    """
    from sentimm.console.sheets import print_adapted
    from sentimm.findings.adaptation.adapt import run_adapt

    print_adapted(run_adapt(options), as_json=as_json)
