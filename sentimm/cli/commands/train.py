"""`sentimm train`: a model from labelled posts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentimm.cli import training_options as shared
from sentimm.cli.declare import declare
from sentimm.errors import UsageError

if TYPE_CHECKING:
    from sentimm.training.events import TrainingListener
    from sentimm.training.run_folder import Run

_NEEDS = """sentimm train needs a table of labelled posts, and for models that look at images their folder:

    sentimm train posts.csv --images photos/ -o runs/mine

The table (CSV, TSV, NDJSON, Parquet) has a column `label` (negative, neutral, positive), and `text`, `image` or both.
Text alone: --fusion bert. Images alone: --fusion resnet. All options: sentimm train --help"""

_WITH_RESUME = ("inputs", "resume", "quiet", "verbose", "log_file")


def train(
    context: typer.Context,
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT...", help="Tables of labelled posts.", show_default=False)
    ] = None,
    images: shared.Images = None,
    val: shared.Val = None,
    val_fraction: shared.ValFraction = shared.DEFAULTS.val_fraction,
    labels: shared.Labels = shared.DEFAULT_LABELS,
    label_column: shared.LabelColumn = shared.DEFAULTS.label_column,
    text_column: shared.TextColumn = None,
    image_column: shared.ImageColumn = None,
    id_column: shared.IdColumn = None,
    table_weights: shared.TableWeights = "",
    fusion: Annotated[
        str,
        declare(
            shared.MODEL,
            "The model: ote, cmac, hstec, native-cat, native-combine, bert (text alone) or resnet (images alone).",
            metavar="NAME",
        ),
    ] = shared.DEFAULTS.fusion,
    literal: shared.Literal = False,
    text_encoder: shared.TextEncoder = None,
    image_encoder: shared.ImageEncoder = None,
    init: shared.Init = None,
    heads: shared.Heads = None,
    composed: shared.Composed = shared.DEFAULTS.composed,
    freeze: shared.Freeze = "",
    width: shared.Width = shared.DEFAULTS.width,
    pooling: shared.Pooling = None,
    max_tokens: shared.MaxTokens = shared.DEFAULTS.max_tokens,
    image_size: shared.ImageSize = shared.DEFAULTS.image_size,
    image_levels: shared.ImageLevels = None,
    epochs: shared.Epochs = shared.DEFAULTS.epochs,
    batch_size: shared.BatchSize = shared.DEFAULTS.batch_size,
    accumulate: shared.Accumulate = shared.DEFAULTS.accumulate,
    learning_rate: shared.LearningRate = shared.DEFAULTS.learning_rate,
    image_lr: shared.ImageLr = None,
    head_lr: shared.HeadLr = None,
    warmup: shared.Warmup = shared.DEFAULTS.warmup,
    clip_norm: shared.ClipNorm = shared.DEFAULTS.clip_norm,
    class_weights: shared.ClassWeights = "",
    head_weight: shared.HeadWeight = shared.DEFAULTS.head_weight,
    teacher: shared.Teacher = None,
    teacher_weight: shared.TeacherWeight = shared.DEFAULT_TEACHER_WEIGHT,
    metric: shared.Metric = shared.DEFAULTS.metric,
    patience: shared.Patience = None,
    seed: Annotated[int, declare(shared.LEARNING, "The same seed gives the same model.")] = shared.DEFAULTS.seed,
    augment: shared.Augment = False,
    ema: shared.Ema = None,
    weight_decay: shared.WeightDecay = shared.DEFAULTS.weight_decay,
    label_smoothing: shared.LabelSmoothing = shared.DEFAULTS.label_smoothing,
    bert_dropout: shared.BertDropout = shared.DEFAULTS.bert_dropout,
    dropout: shared.Dropout = shared.DEFAULTS.dropout,
    modality_dropout: shared.ModalityDropout = shared.DEFAULTS.modality_dropout,
    output: Annotated[
        Path | None,
        declare(
            shared.RUNNING,
            "The run folder to write.",
            "--output",
            "-o",
            metavar="RUN",
            show_default="runs/<fusion>-<n>",
        ),
    ] = None,
    resume: Annotated[
        Path | None, declare(shared.RUNNING, "Go on with this run where it was stopped.", metavar="RUN")
    ] = None,
    save_every: shared.SaveEvery = shared.DEFAULTS.save_every_s,
    feature_cache: shared.FeatureCache = None,
    image_cache: shared.ImageCache = None,
    device: shared.Device = shared.DEFAULTS.device,
    mixed_precision: shared.MixedPrecision = shared.DEFAULTS.mixed_precision,
    quiet: shared.Quiet = False,
) -> None:
    """Train a model on labelled posts, and write a run folder.

    On several GPUs: accelerate launch --multi_gpu -m sentimm train posts.csv --images photos/

    Example: sentimm train posts.csv --images photos/ -o runs/mine
    """
    given = locals()  # the parameters: nothing else is there yet
    if not inputs and resume is None:
        raise UsageError(_NEEDS)
    if resume is not None and (others := _list_others(context, inputs)):
        raise UsageError(
            f"--resume goes on with the run's own tables and options: leave {', '.join(others)} away. To train it "
            f"differently, begin a new run with --init {resume}."
        )
    from sentimm.cli.extras import require_train

    require_train("train")
    from sentimm.training.train import resume_run, start_run

    if resume is not None:
        _show(lambda tell, should_stop: resume_run(resume, tell, should_stop), quiet=quiet)
        return
    options = shared.read_options(given)
    _show(lambda tell, should_stop: start_run(options, output, tell, should_stop), quiet=quiet)


def _list_others(context: typer.Context, inputs: list[str] | None) -> list[str]:
    """Name what was given besides the options that go with --resume."""
    others = ["INPUT"] if inputs else []
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name in _WITH_RESUME or source is None or source.name != "COMMANDLINE":
            continue
        others.append(parameter.opts[0])
    return others


def _show(work: Callable[[TrainingListener, Callable[[], bool]], Run], *, quiet: bool) -> None:
    """Train with progress on the screen, and end as a signal asks."""
    from sentimm.cli.stopping import StopRequest
    from sentimm.console.training import TrainingConsole
    from sentimm.training.run_folder import TrainingStopped

    # Of several processes (accelerate sets RANK), the main one speaks.
    console = TrainingConsole(quiet=quiet, silent=os.environ.get("RANK", "0") != "0")
    with StopRequest(console.say) as request:
        try:
            run = work(console.tell, request)
        except TrainingStopped as stop:
            console.stop(stop)
            raise typer.Exit(request.exit_code) from None
    console.finish(run)
