"""`sentimm features`: the vectors by which the model knows texts and images."""

from __future__ import annotations

from typing import Annotated

from sentimm.cli.options_from import options_from
from sentimm.cli.scoring import AsJson, limit_threads
from sentimm.findings.features.options import FeaturesOptions
from sentimm.option_fields import Panel, option


@options_from(FeaturesOptions, without=("infer_types", "columns", "prefix"))
def features(
    options: FeaturesOptions,
    *,
    quiet: Annotated[bool, option(Panel.RUNNING, "No progress.", "-q")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the model's vectors of texts and images to Parquet, for search, clusters and embedding viewers.

    Each distinct text and image is one row, with vectors of float16: of the text, of the image, null where there is
    none.

    Example: sentimm features tweets.csv --images photos/ -o features.parquet
    """
    limit_threads(options.threads)
    from sentimm.console.scoring.progress import ScoreConsole
    from sentimm.console.sheets import print_features
    from sentimm.findings.features.write import write_features

    with ScoreConsole(quiet=quiet) as progress:
        found = write_features(options, progress.show)
    print_features(found, as_json=as_json)
