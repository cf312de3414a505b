"""The model that a run of `sentimm train` trains: the second part of its options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from sentimm.option_fields import Bounds, Panel, at_least, option
from sentimm.options import NORMALIZATION_NAMES, Normalization

FUSION_NAMES = ("ote", "cmac", "hstec", "native-cat", "native-combine", "bert", "resnet")
DEFAULT_TEXT_ENCODER, DEFAULT_IMAGE_ENCODER = "bert-base-uncased", "resnet50"

_BELOW_ONE = Bounds(least=0, below=1)


@dataclass(frozen=True)
class ModelOptions:
    """Fusion, encoders, heads and their sizes; described in `TrainOptions`."""

    fusion: Annotated[
        str,
        option(
            Panel.MODEL,
            "The model: ote, cmac, hstec, native-cat, native-combine, bert (text alone) or resnet (images alone).",
            metavar="NAME",
            suggestions=FUSION_NAMES,
        ),
    ] = "ote"
    literal: Annotated[
        bool,
        option(Panel.MODEL, "Add up probabilities, as printed in the paper (cmac, hstec, native-combine)."),
    ] = False
    text_encoder: Annotated[
        str,
        option(
            Panel.MODEL,
            "A BERT by hub name, its folder, or that of a classifier or run to take it from.",
            metavar="NAME|PATH",
            shown=f"{DEFAULT_TEXT_ENCODER}, or that of --init",
        ),
    ] = ""
    image_encoder: Annotated[
        str,
        option(
            Panel.MODEL,
            "resnet18 ... resnet152, timm:NAME, NAME=FILE for a local state dict, a classifier's folder, A+B for a "
            "pair, or a run.",
            metavar="NAME|PATH",
            shown=f"{DEFAULT_IMAGE_ENCODER}, or that of --init",
        ),
    ] = ""
    init: Annotated[
        Path | None,
        option(
            Panel.MODEL,
            "Start from the weights of this run, as far as they fit, or from the encoder of a published classifier.",
            metavar="RUN|FOLDER",
        ),
    ] = None
    heads: Annotated[
        tuple[str, ...] | None,
        option(
            Panel.MODEL,
            "Heads for one modality alone.",
            metavar="text,image",
            shown="those that have labels",
            suggestions=("text", "image", "text,image"),
        ),
    ] = None
    composed: Annotated[
        float,
        option(
            Panel.MODEL,
            "Share of the heads' joint answer in those to complete posts; where one says neutral, the other decides.",
            bounds=_BELOW_ONE,
        ),
    ] = 0.0
    freeze: Annotated[
        tuple[str, ...],
        option(
            Panel.MODEL,
            "Encoders to leave unchanged; their outputs are computed once. text:6: its embeddings and first 6 layers.",
            metavar="text,image,text:N",
            suggestions=("text", "image", "text,image"),
        ),
    ] = ()
    width: Annotated[int, option(Panel.MODEL, "Width of the feature vectors.", bounds=at_least(1))] = 384
    pooling: Annotated[
        Literal["mean", "cls"] | None,
        option(
            Panel.MODEL,
            "How a text's vector is made.",
            metavar="mean|cls",
            shown="mean, or that of the run that the text encoder is from",
        ),
    ] = None
    max_tokens: Annotated[
        int,
        option(
            Panel.MODEL,
            "Longer texts are cut.",
            bounds=at_least(3, "every text begins and ends with a token of its own"),
        ),
    ] = 96
    normalization: Annotated[
        Normalization | None,
        option(
            Panel.MODEL,
            f"How texts are normalised: {', '.join(NORMALIZATION_NAMES)}.",
            metavar="NAME",
            shown="tweet-1, or that of the run that the text encoder is from",
        ),
    ] = None
    image_size: Annotated[
        int | None,
        option(
            Panel.MODEL,
            "Side of the square images, in pixels.",
            shown="what the image encoder was trained with: 224 for most",
            bounds=at_least(1),
        ),
    ] = None
    image_levels: Annotated[
        int | None,
        option(
            Panel.MODEL,
            "From how many resolutions to use the image encoder's last map; 1: the coarsest only.",
            shown="1, or that of the run that the image encoder is from",
            bounds=at_least(1),
        ),
    ] = None
