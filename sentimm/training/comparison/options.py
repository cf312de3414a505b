"""What `sentimm compare` was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from sentimm.errors import UsageError
from sentimm.option_fields import Panel, at_least, check_options, option
from sentimm.training.model_options import FUSION_NAMES
from sentimm.training.options import TrainOptions


@dataclass(frozen=True)
class CompareOptions:
    """What `sentimm compare` was asked to do: each of `models` trained with the seeds 1 to `seeds`, and on each fold.

    `training` holds for all runs; its `fusion`, `seed`, `fold` and `split_seed` do not count, `literal` holds for the
    models that have a literal form, and `composed` for those that take text and image. `without_seen`: give the figures
    also without posts that were seen in training.

    Raises:
        UsageError: an option has a value that can't be used.
    """

    training: TrainOptions
    folder: Annotated[
        Path,
        option(
            Panel.COMPARISON,
            "Write the runs, table.md, results.json and comparison.png into this folder.",
            "--output",
            "-o",
            metavar="FOLDER",
            shown=False,
        ),
    ]
    models: Annotated[
        tuple[str, ...],
        option(Panel.COMPARISON, "The models to compare.", metavar="NAME,...", suggestions=FUSION_NAMES),
    ] = ("bert", "resnet", "cmac", "hstec", "ote", "native-cat", "native-combine")  # as in the paper's Table 4
    seeds: Annotated[
        int, option(Panel.COMPARISON, "Train each model with the seeds 1 to N.", metavar="N", bounds=at_least(1))
    ] = 1
    without_seen: Annotated[
        bool,
        option(
            Panel.COMPARISON,
            "Also give the figures without validation posts whose text or image (by perceptual hash) is in training.",
        ),
    ] = False

    def __post_init__(self) -> None:
        check_options(self)
        if not self.models or len(set(self.models)) != len(self.models):
            raise UsageError("--models needs one or more different models, separated by commas.")
