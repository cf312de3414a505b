"""What `sentimm import` was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from sentimm.errors import UsageError
from sentimm.option_fields import SHARE, argument, at_least, check_options, option, split_names
from sentimm.options import NORMALIZATION_NAMES, split_label_values
from sentimm_export.options import PRECISIONS, PRECISIONS_OPTION, Precision


@dataclass(frozen=True)
class ImportOptions:
    """What `sentimm import` was asked to do.

    Attributes:
        classifier: a classifier of texts or of images, by its name on the hub or its folder; None: see the next two.
        text: a classifier of texts.
        image: a classifier of images, or `timm:NAME=FILE`.
        output: the bundle's folder.
        labels: what the classifiers' own labels stand for, each as VALUE=LABEL, or the labels to keep; None: their
            names say it.
        normalization: how the classifier of texts was given links and users; None: `cardiff` for
            models of cardiffnlp, else `none`.
        max_tokens: of a text; None: the classifier's own maximum.
        composed: of two classifiers, the share of what both make together; None: all of it where there is `neutral`.
        calibration: a table of posts for int8's scales and the comparison, and with labels for temperatures.
        images: the folder of its images.
        text_column, image_column, id_column: its columns; None: they are found.
        precisions: of PRECISIONS.
        min_agreement: on how many posts a precision must give the classifier's own label.
        share_weights: store int8 weights once for int8 and fp16.
        name: the bundle's; None: that of its folder.
        overwrite: replace a bundle that is there.

    Raises:
        UsageError: an option has a value that can't be used.
    """

    output: Annotated[Path, option(None, "The bundle folder to write.", "--output", "-o", metavar="BUNDLE")]
    classifier: Annotated[
        str | None, argument("A classifier's name on the hub, or its folder.", metavar="[CLASSIFIER]")
    ] = None
    text: Annotated[str | None, option(None, "A classifier of texts.", metavar="CLASSIFIER")] = None
    image: Annotated[str | None, option(None, "A classifier of images, or timm:NAME=FILE.", metavar="CLASSIFIER")] = (
        None
    )
    labels: Annotated[
        tuple[str, ...] | None,
        option(
            None,
            "What its labels stand for (LABEL_0=negative), or those to keep.",
            metavar="L,...",
            shown="their names say it",
            parse=split_names,
        ),
    ] = None
    normalization: Annotated[
        str | None,
        option(
            None,
            f"How texts are normalised: {', '.join(NORMALIZATION_NAMES)}.",
            metavar="NAME",
            shown="cardiff for models of cardiffnlp, else none",
            suggestions=NORMALIZATION_NAMES,
        ),
    ] = None
    max_tokens: Annotated[
        int | None,
        option(None, "Longest text in tokens.", metavar="N", shown="the classifier's own", bounds=at_least(3)),
    ] = None
    composed: Annotated[
        float | None,
        option(
            None,
            "Of two classifiers: share of their joint answer; where one says neutral, the other decides.",
            metavar="W",
            shown="1 with neutral, else 0",
            bounds=SHARE,
        ),
    ] = None
    calibration: Annotated[
        Path | None,
        option(
            None,
            "A table of posts for int8's scales; with labels, for temperatures.",
            metavar="FILE",
            shown="posts that come with sentimm",
        ),
    ] = None
    images: Annotated[
        Path | None,
        option(None, "The folder of the images of --calibration, or its URL.", metavar="DIR", shown=False, is_url=True),
    ] = None
    text_column: Annotated[str | None, option(None, "The column of texts of --calibration.", metavar="C")] = None
    image_column: Annotated[str | None, option(None, "The column of image names of --calibration.", metavar="C")] = None
    id_column: Annotated[str | None, option(None, "The column of ids of --calibration.", metavar="C")] = None
    precisions: Annotated[tuple[Precision, ...], PRECISIONS_OPTION] = PRECISIONS
    min_agreement: Annotated[
        float, option(None, "On how many posts a precision must give the classifier's own label.", bounds=SHARE)
    ] = 0.97
    share_weights: Annotated[
        bool, option(None, "Store int8 weights once for int8 and fp16: a bundle half as large.")
    ] = False
    name: Annotated[str | None, option(None, "The bundle's name.", shown="that of its folder")] = None
    overwrite: Annotated[bool, option(None, "Replace an existing bundle.")] = False

    def __post_init__(self) -> None:
        check_options(self)
        if not self.precisions or set(self.precisions) - set(PRECISIONS):
            raise UsageError(f"--precision takes {', '.join(PRECISIONS)}, separated by commas.")
        if self.share_weights and not {"int8", "fp16"} <= set(self.precisions):
            raise UsageError("--share-weights shares the weights of int8 and fp16: name both in --precision.")
        if self.normalization is not None and self.normalization not in NORMALIZATION_NAMES:
            raise UsageError(f"--normalization {self.normalization!r} is not one of {', '.join(NORMALIZATION_NAMES)}.")
        if self.labels is not None:
            split_label_values(self.labels)
        self._check_sources()
        for flag, value in (
            ("--images", self.images),
            ("--text-column", self.text_column),
            ("--image-column", self.image_column),
            ("--id-column", self.id_column),
        ):
            if value is not None and self.calibration is None:
                raise UsageError(f"{flag} is about the posts of --calibration: name that table too, or leave it out.")

    def _check_sources(self) -> None:
        if self.classifier is None and self.text is None and self.image is None:
            raise UsageError(
                "sentimm import needs a classifier: a name on the hub or a folder, or --text and --image with one each."
            )
        if self.classifier is not None and (self.text is not None or self.image is not None):
            raise UsageError("A classifier is given without an option: for two of them, use --text and --image alone.")
        if self.composed is not None and (self.text is None or self.image is None):
            raise UsageError("--composed joins two classifiers: give --text and --image, or leave it out.")
