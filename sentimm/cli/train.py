"""`sentimm train`: a model from labelled posts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sentimm.errors import UsageError
from sentimm.training.options import TrainOptions

_DEFAULTS = TrainOptions(inputs=())

_NEEDS = """sentimm train needs a table of labelled posts, and for models that look at images their folder:

    sentimm train posts.csv --images photos/ -o runs/mine

The table (CSV, TSV, NDJSON, Parquet) has a column `label` (negative, neutral, positive), and `text`, `image` or both.
Text alone: --fusion bert. Images alone: --fusion resnet. All options: sentimm train --help"""


def train(
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT...", help="Tables of labelled posts.", show_default=False)
    ] = None,
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder of the posts' images.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="RUN", help="The run folder to write.", show_default="runs/<fusion>-<n>"
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with this run after its last finished epoch.")
    ] = None,
    val: Annotated[
        str | None, typer.Option(metavar="FILE", help="A table to validate with; else some posts are held out.")
    ] = None,
    val_fraction: Annotated[
        float, typer.Option(help="How much of the posts to hold out; repeated texts and images stay on one side.")
    ] = _DEFAULTS.val_fraction,
    fusion: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The model: ote, cmac, hstec, native-cat, native-combine, bert (text alone) or resnet (images alone).",
        ),
    ] = _DEFAULTS.fusion,
    literal: Annotated[
        bool,
        typer.Option("--literal", help="Add up probabilities, as printed in the paper (cmac, hstec, native-combine)."),
    ] = False,
    text_encoder: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="A BERT by hub name, its folder, or a run to take it from.")
    ] = _DEFAULTS.text_encoder,
    image_encoder: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH",
            help="resnet18 ... resnet152, timm:NAME, NAME=FILE for a local state dict, A+B for a pair, or a run.",
        ),
    ] = _DEFAULTS.image_encoder,
    heads: Annotated[
        str | None,
        typer.Option(metavar="text,image", help="Heads for one modality alone.", show_default="those that have labels"),
    ] = None,
    freeze: Annotated[
        str, typer.Option(metavar="text,image", help="Encoders to leave as they are; their outputs are computed once.")
    ] = "",
    labels: Annotated[str, typer.Option(metavar="A,B,...", help="The labels, in the order of the output.")] = ",".join(
        _DEFAULTS.labels
    ),
    label_column: Annotated[str, typer.Option(metavar="C", help="The column of labels.")] = _DEFAULTS.label_column,
    text_column: Annotated[str | None, typer.Option(metavar="C", help="The column of texts.")] = None,
    image_column: Annotated[str | None, typer.Option(metavar="C", help="The column of image names.")] = None,
    id_column: Annotated[str | None, typer.Option(metavar="C", help="The column of ids.")] = None,
    table_weights: Annotated[
        str, typer.Option(metavar="W,...", help="How often an epoch sees each table's posts (0.1: a random tenth).")
    ] = "",
    epochs: Annotated[int, typer.Option(help="How often to go through the posts.")] = _DEFAULTS.epochs,
    batch_size: Annotated[int, typer.Option(help="Posts in a step.")] = _DEFAULTS.batch_size,
    learning_rate: Annotated[float, typer.Option(help="Of the pretrained encoders.")] = _DEFAULTS.learning_rate,
    head_lr: Annotated[
        float | None, typer.Option(help="Learning rate of all else.", show_default="--learning-rate")
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="AdamW's.")] = _DEFAULTS.weight_decay,
    warmup: Annotated[float, typer.Option(help="Share of the steps in which rates rise.")] = _DEFAULTS.warmup,
    label_smoothing: Annotated[float, typer.Option(help="Of the cross entropy.")] = _DEFAULTS.label_smoothing,
    head_weight: Annotated[float, typer.Option(help="Weight of the heads in the loss.")] = _DEFAULTS.head_weight,
    width: Annotated[int, typer.Option(help="Width of the feature vectors.")] = _DEFAULTS.width,
    pooling: Annotated[str, typer.Option(metavar="mean|cls", help="How a text's vector is made.")] = _DEFAULTS.pooling,
    max_tokens: Annotated[int, typer.Option(help="Longer texts are cut.")] = _DEFAULTS.max_tokens,
    image_size: Annotated[int, typer.Option(help="Side of the square images, in pixels.")] = _DEFAULTS.image_size,
    bert_dropout: Annotated[float, typer.Option(help="Inside the text encoder.")] = _DEFAULTS.bert_dropout,
    dropout: Annotated[float, typer.Option(help="In projections and fusion.")] = _DEFAULTS.dropout,
    modality_dropout: Annotated[
        float, typer.Option(help="Share of complete posts of which the fusion sees one modality alone.")
    ] = _DEFAULTS.modality_dropout,
    metric: Annotated[
        str, typer.Option(metavar="NAME", help="What makes an epoch the best: accuracy, macro_f1 or macro_recall.")
    ] = _DEFAULTS.metric,
    feature_cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep frozen encoders' outputs here, for several runs.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = _DEFAULTS.seed,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where to train.")] = _DEFAULTS.device,
    mixed_precision: Annotated[
        str,
        typer.Option(
            metavar="no|bf16|fp16", help="Precision of the encoders' products; bf16 also on CPUs, fp16 on GPUs alone."
        ),
    ] = _DEFAULTS.mixed_precision,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train a model on labelled posts, and write a run folder.

    Example: sentimm train posts.csv --images photos/ -o runs/mine
    """
    if not inputs and resume is None:
        raise UsageError(_NEEDS)
    if inputs and resume is not None:
        raise UsageError("--resume goes on with the run's own tables and options: leave INPUT away.")
    from sentimm.cli.extras import require_train

    require_train("train")
    from sentimm.console.training import TrainingConsole
    from sentimm.training.trainer import resume_run, start_run

    # Of several processes (accelerate sets RANK), the main one speaks.
    console = TrainingConsole(quiet=quiet, silent=os.environ.get("RANK", "0") != "0")
    if resume is not None:
        run = resume_run(resume, console.tell)
    else:
        options = TrainOptions(
            inputs=tuple(inputs or ()),
            images=images,
            val=val,
            val_fraction=val_fraction,
            fusion=fusion,
            literal=literal,
            text_encoder=text_encoder,
            image_encoder=image_encoder,
            heads=None if heads is None else _split(heads),
            labels=_split(labels),
            text_column=text_column,
            image_column=image_column,
            id_column=id_column,
            label_column=label_column,
            table_weights=_split_numbers(table_weights),
            freeze=_split(freeze),
            feature_cache=feature_cache,
            width=width,
            pooling=_choose("--pooling", pooling, ("mean", "cls")),  # type: ignore[arg-type]
            max_tokens=max_tokens,
            image_size=image_size,
            bert_dropout=bert_dropout,
            dropout=dropout,
            modality_dropout=modality_dropout,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            head_lr=head_lr,
            weight_decay=weight_decay,
            warmup=warmup,
            label_smoothing=label_smoothing,
            head_weight=head_weight,
            metric=_choose("--metric", metric, ("accuracy", "macro_f1", "macro_recall")),  # type: ignore[arg-type]
            seed=seed,
            device=device,
            mixed_precision=_choose("--mixed-precision", mixed_precision, ("no", "bf16", "fp16")),  # type: ignore[arg-type]
        )
        run = start_run(options, output, console.tell)
    console.finish(run)


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _split_numbers(value: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in _split(value))
    except ValueError as error:
        raise UsageError(f"--table-weights {value!r} is not a list of numbers such as 1,0.1.") from error


def _choose(option: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise UsageError(f"{option} {value!r} is not one of {', '.join(allowed)}.")
    return value
