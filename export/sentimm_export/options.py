"""What `sentimm export` was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from sentimm.errors import UsageError
from sentimm.option_fields import SHARE, Bounds, argument, check_options, option, split_names

Precision = Literal["int8", "fp16", "fp32"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
PRECISIONS_OPTION = option(
    None,
    "fp32, fp16 (CUDA), int8 (CPUs).",
    "--precision",
    metavar="P,...",
    suggestions=PRECISIONS,
    parse=split_names,
)


@dataclass(frozen=True)
class ExportOptions:
    """What `sentimm export` was asked to do.

    Attributes:
        run: the run's folder.
        output: the bundle's folder.
        precisions: of PRECISIONS.
        weights: the best epoch's, or the last one's.
        min_agreement: on how many held-out posts a precision must give the trained model's label.
        share_weights: store int8 weights once for int8 and fp16, which makes a bundle of both less than half as large.
        calibration: a table of posts to find int8's scales with, in the place of those that the run keeps.
        images: the folder of its images.
        composed: another share of what the heads make together than the run was trained with.
        name: the bundle's; None: that of its folder.
        languages: those of the texts that the model was trained on.
        card: a file of hand-written sections for the model card.
        overwrite: replace a bundle that is there.

    Raises:
        UsageError: an option has a value that can't be used.
    """

    run: Annotated[Path, argument("The run folder.", metavar="[RUN]", shown="the newest in runs/")]
    output: Annotated[
        Path, option(None, "The bundle folder to write.", "--output", "-o", metavar="BUNDLE", shown="bundles/<run>")
    ]
    precisions: Annotated[tuple[Precision, ...], PRECISIONS_OPTION] = PRECISIONS
    weights: Annotated[Literal["best", "last"], option(None, "Which epoch's weights.", metavar="best|last")] = "best"
    min_agreement: Annotated[
        float,
        option(None, "On how many held-out posts a precision must give the trained model's label.", bounds=SHARE),
    ] = 0.97
    share_weights: Annotated[
        bool, option(None, "Store int8 weights once for int8 and fp16: a bundle half as large.")
    ] = False
    calibration: Annotated[
        Path | None,
        option(None, "A table of posts for int8's scales.", metavar="FILE", shown="those that the run keeps"),
    ] = None
    images: Annotated[
        Path | None,
        option(None, "The folder of the images of --calibration, or its URL.", metavar="DIR", shown=False, is_url=True),
    ] = None
    composed: Annotated[
        float | None,
        option(
            None,
            "Share of the heads' joint answer in the answers to posts with text and image.",
            metavar="W",
            shown="as trained",
            bounds=Bounds(least=0, below=1),
        ),
    ] = None
    name: Annotated[str | None, option(None, "The bundle's name.", shown="that of its folder")] = None
    languages: Annotated[
        tuple[str, ...],
        option(None, "The languages of the texts that it was trained on, for `sentimm info`.", metavar="L,..."),
    ] = ()
    card: Annotated[
        Path | None, option(None, "Markdown sections for the model card, such as `## Known failures`.", metavar="FILE")
    ] = None
    overwrite: Annotated[bool, option(None, "Replace an existing bundle.")] = False

    def __post_init__(self) -> None:
        check_options(self)
        if not self.precisions or set(self.precisions) - set(PRECISIONS):
            raise UsageError(f"--precision takes {', '.join(PRECISIONS)}, separated by commas.")
        if self.share_weights and not {"int8", "fp16"} <= set(self.precisions):
            raise UsageError("--share-weights shares the weights of int8 and fp16: name both in --precision.")
        if self.images is not None and self.calibration is None:
            raise UsageError(
                "--images is the folder of the images of --calibration: name that table too, or leave --images out."
            )
