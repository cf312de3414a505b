"""`sentimm train`: a model from labelled posts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sentimm.errors import UsageError
from sentimm.training.options import TrainOptions

if TYPE_CHECKING:
    from sentimm.training.events import TrainingListener
    from sentimm.training.run import Run

_DEFAULTS = TrainOptions(inputs=())
_POSTS, _MODEL, _LEARNING = "Posts", "Model", "Learning"
_REGULARISATION, _RUNNING = "Against overfitting", "Running"

_NEEDS = """sentimm train needs a table of labelled posts, and for models that look at images their folder:

    sentimm train posts.csv --images photos/ -o runs/mine

The table (CSV, TSV, NDJSON, Parquet) has a column `label` (negative, neutral, positive), and `text`, `image` or both.
Text alone: --fusion bert. Images alone: --fusion resnet. All options: sentimm train --help"""


def _option(panel: str, help_text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help_text, rich_help_panel=panel, **more)


def train(
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT...", help="Tables of labelled posts.", show_default=False)
    ] = None,
    images: Annotated[Path | None, _option(_POSTS, "The folder of the posts' images.", metavar="DIR")] = None,
    val: Annotated[
        str | None, _option(_POSTS, "A table to validate with; else some posts are held out.", metavar="FILE")
    ] = None,
    val_fraction: Annotated[
        float, _option(_POSTS, "How much of the posts to hold out; repeated texts and images stay on one side.")
    ] = _DEFAULTS.val_fraction,
    labels: Annotated[str, _option(_POSTS, "The labels, in the order of the output.", metavar="A,B,...")] = ",".join(
        _DEFAULTS.labels
    ),
    label_column: Annotated[str, _option(_POSTS, "The column of labels.", metavar="C")] = _DEFAULTS.label_column,
    text_column: Annotated[str | None, _option(_POSTS, "The column of texts.", metavar="C")] = None,
    image_column: Annotated[str | None, _option(_POSTS, "The column of image names.", metavar="C")] = None,
    id_column: Annotated[str | None, _option(_POSTS, "The column of ids.", metavar="C")] = None,
    table_weights: Annotated[
        str, _option(_POSTS, "How often an epoch sees each table's posts (0.1: a random tenth).", metavar="W,...")
    ] = "",
    fusion: Annotated[
        str,
        _option(
            _MODEL,
            "The model: ote, cmac, hstec, native-cat, native-combine, bert (text alone) or resnet (images alone).",
            metavar="NAME",
        ),
    ] = _DEFAULTS.fusion,
    literal: Annotated[
        bool,
        _option(_MODEL, "Add up probabilities, as printed in the paper (cmac, hstec, native-combine).", "--literal"),
    ] = False,
    text_encoder: Annotated[
        str | None,
        _option(
            _MODEL,
            "A BERT by hub name, its folder, or a run to take it from.",
            metavar="NAME|PATH",
            show_default=f"{_DEFAULTS.text_encoder}, or that of --init",
        ),
    ] = None,
    image_encoder: Annotated[
        str | None,
        _option(
            _MODEL,
            "resnet18 ... resnet152, timm:NAME, NAME=FILE for a local state dict, A+B for a pair, or a run.",
            metavar="NAME|PATH",
            show_default=f"{_DEFAULTS.image_encoder}, or that of --init",
        ),
    ] = None,
    init: Annotated[
        Path | None, _option(_MODEL, "Begin with the weights of this run, as far as they fit.", metavar="RUN")
    ] = None,
    heads: Annotated[
        str | None,
        _option(_MODEL, "Heads for one modality alone.", metavar="text,image", show_default="those that have labels"),
    ] = None,
    freeze: Annotated[
        str,
        _option(_MODEL, "Encoders to leave as they are; their outputs are computed once.", metavar="text,image"),
    ] = "",
    width: Annotated[int, _option(_MODEL, "Width of the feature vectors.")] = _DEFAULTS.width,
    pooling: Annotated[str, _option(_MODEL, "How a text's vector is made.", metavar="mean|cls")] = _DEFAULTS.pooling,
    max_tokens: Annotated[int, _option(_MODEL, "Longer texts are cut.")] = _DEFAULTS.max_tokens,
    image_size: Annotated[int, _option(_MODEL, "Side of the square images, in pixels.")] = _DEFAULTS.image_size,
    epochs: Annotated[int, _option(_LEARNING, "How often to go through the posts.")] = _DEFAULTS.epochs,
    batch_size: Annotated[
        int, _option(_LEARNING, "Posts in a batch, which several processes share.")
    ] = _DEFAULTS.batch_size,
    accumulate: Annotated[
        int, _option(_LEARNING, "Batches in a step: the same as a batch that much larger, in less memory.")
    ] = _DEFAULTS.accumulate,
    learning_rate: Annotated[float, _option(_LEARNING, "Of the pretrained encoders.")] = _DEFAULTS.learning_rate,
    image_lr: Annotated[
        float | None, _option(_LEARNING, "Of the image encoder.", show_default="--learning-rate")
    ] = None,
    head_lr: Annotated[
        float | None, _option(_LEARNING, "Of all that is not pretrained.", show_default="--learning-rate")
    ] = None,
    warmup: Annotated[
        float, _option(_LEARNING, "Share of the steps in which rates rise; then they fall to 0.")
    ] = _DEFAULTS.warmup,
    clip_norm: Annotated[
        float, _option(_LEARNING, "Longest gradient; longer ones are cut to it.")
    ] = _DEFAULTS.clip_norm,
    class_weights: Annotated[
        str, _option(_LEARNING, "Each label's weight in the loss; balanced: rare ones count more.", metavar="W,...")
    ] = "",
    head_weight: Annotated[float, _option(_LEARNING, "Weight of the heads in the loss.")] = _DEFAULTS.head_weight,
    metric: Annotated[
        str, _option(_LEARNING, "What makes an epoch the best: accuracy, macro_f1, macro_recall.", metavar="NAME")
    ] = _DEFAULTS.metric,
    patience: Annotated[
        int | None,
        _option(_LEARNING, "Stop when so many epochs brought nothing better.", metavar="N", show_default="never"),
    ] = None,
    seed: Annotated[int, _option(_LEARNING, "The same seed gives the same model.")] = _DEFAULTS.seed,
    augment: Annotated[
        bool, _option(_REGULARISATION, "Train on parts of the images, mirrored and recoloured at random.", "--augment")
    ] = False,
    ema: Annotated[
        float | None,
        _option(
            _REGULARISATION,
            "Validate and save a moving average of the weights, with this decay (0.999).",
            metavar="DECAY",
            show_default="the weights themselves",
        ),
    ] = None,
    weight_decay: Annotated[float, _option(_REGULARISATION, "AdamW's.")] = _DEFAULTS.weight_decay,
    label_smoothing: Annotated[float, _option(_REGULARISATION, "Of the cross entropy.")] = _DEFAULTS.label_smoothing,
    bert_dropout: Annotated[float, _option(_REGULARISATION, "Inside the text encoder.")] = _DEFAULTS.bert_dropout,
    dropout: Annotated[float, _option(_REGULARISATION, "In projections and fusion.")] = _DEFAULTS.dropout,
    modality_dropout: Annotated[
        float, _option(_REGULARISATION, "Share of complete posts of which the fusion sees one modality alone.")
    ] = _DEFAULTS.modality_dropout,
    output: Annotated[
        Path | None,
        _option(
            _RUNNING, "The run folder to write.", "--output", "-o", metavar="RUN", show_default="runs/<fusion>-<n>"
        ),
    ] = None,
    resume: Annotated[
        Path | None, _option(_RUNNING, "Go on with this run where it was stopped.", metavar="RUN")
    ] = None,
    save_every: Annotated[
        float, _option(_RUNNING, "Seconds after which to save what resuming needs, besides each epoch.", metavar="S")
    ] = _DEFAULTS.save_every_s,
    feature_cache: Annotated[
        Path | None,
        _option(_RUNNING, "Keep frozen encoders' outputs here, for several runs.", metavar="DIR"),
    ] = None,
    image_cache: Annotated[
        Path | None, _option(_RUNNING, "Keep decoded images here: 150 kB each at 224 pixels.", metavar="DIR")
    ] = None,
    device: Annotated[str, _option(_RUNNING, "Where to train.", metavar="auto|cpu|cuda")] = _DEFAULTS.device,
    mixed_precision: Annotated[
        str,
        _option(
            _RUNNING,
            "Precision of the encoders' products: bf16 on CPUs with AMX and on GPUs, fp16 on GPUs alone.",
            metavar="no|bf16|fp16",
        ),
    ] = _DEFAULTS.mixed_precision,
    quiet: Annotated[bool, _option(_RUNNING, "No progress.", "--quiet", "-q")] = False,
) -> None:
    """Train a model on labelled posts, and write a run folder.

    On several GPUs: accelerate launch --multi_gpu -m sentimm train posts.csv --images photos/

    Example: sentimm train posts.csv --images photos/ -o runs/mine
    """
    if not inputs and resume is None:
        raise UsageError(_NEEDS)
    if inputs and resume is not None:
        raise UsageError("--resume goes on with the run's own tables and options: leave INPUT away.")
    from sentimm.cli.extras import require_train

    require_train("train")
    from sentimm.training.trainer import resume_run, start_run

    if resume is not None:
        _show(lambda tell, should_stop: resume_run(resume, tell, should_stop), quiet=quiet)
        return
    options = TrainOptions(
        inputs=tuple(inputs or ()),
        images=images,
        val=val,
        val_fraction=val_fraction,
        fusion=fusion,
        literal=literal,
        text_encoder=text_encoder or str(init or _DEFAULTS.text_encoder),
        image_encoder=image_encoder or str(init or _DEFAULTS.image_encoder),
        init=init,
        heads=None if heads is None else _split(heads),
        labels=_split(labels),
        text_column=text_column,
        image_column=image_column,
        id_column=id_column,
        label_column=label_column,
        table_weights=_split_numbers("--table-weights", table_weights),
        freeze=_split(freeze),
        feature_cache=feature_cache,
        image_cache=image_cache,
        width=width,
        pooling=_choose("--pooling", pooling, ("mean", "cls")),
        max_tokens=max_tokens,
        image_size=image_size,
        bert_dropout=bert_dropout,
        dropout=dropout,
        modality_dropout=modality_dropout,
        augment=augment,
        ema=ema,
        epochs=epochs,
        batch_size=batch_size,
        accumulate=accumulate,
        learning_rate=learning_rate,
        image_lr=image_lr,
        head_lr=head_lr,
        weight_decay=weight_decay,
        warmup=warmup,
        clip_norm=clip_norm,
        label_smoothing=label_smoothing,
        class_weights="balanced" if class_weights == "balanced" else _split_numbers("--class-weights", class_weights),
        head_weight=head_weight,
        metric=_choose("--metric", metric, ("accuracy", "macro_f1", "macro_recall")),
        patience=patience,
        save_every_s=save_every,
        seed=seed,
        device=device,
        mixed_precision=_choose("--mixed-precision", mixed_precision, ("no", "bf16", "fp16")),
    )
    _show(lambda tell, should_stop: start_run(options, output, tell, should_stop), quiet=quiet)


def _show(work: Callable[[TrainingListener, Callable[[], bool]], Run], *, quiet: bool) -> None:
    """Train with progress on the screen, and end as a signal asks."""
    from sentimm.cli.stopping import StopRequest
    from sentimm.console.training import TrainingConsole
    from sentimm.training.run import TrainingStopped

    # Of several processes (accelerate sets RANK), the main one speaks.
    console = TrainingConsole(quiet=quiet, silent=os.environ.get("RANK", "0") != "0")
    with StopRequest(console.say) as request:
        try:
            run = work(console.tell, request)
        except TrainingStopped as stop:
            console.stop(stop)
            raise typer.Exit(request.exit_code) from None
    console.finish(run)


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _split_numbers(option: str, value: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in _split(value))
    except ValueError as error:
        raise UsageError(f"{option} {value!r} is not a list of numbers such as 1,0.1.") from error


def _choose(option: str, value: str, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise UsageError(f"{option} {value!r} is not one of {', '.join(allowed)}.")
    return value
