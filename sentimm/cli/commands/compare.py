"""`sentimm compare`: the paper's seven models on the same posts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sentimm.cli import training_options as shared
from sentimm.cli.declare import declare
from sentimm.training.options import CompareOptions

_COMPARISON = "Comparison"
_MODELS = "bert,resnet,cmac,hstec,ote,native-cat,native-combine"  # in the order of the paper's Table 4


def compare(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Tables of labelled posts.", show_default=False)
    ],
    output: Annotated[
        Path,
        declare(
            _COMPARISON,
            "Write the runs, table.md, results.json and comparison.png into this folder.",
            "--output",
            "-o",
            metavar="FOLDER",
            show_default=False,
        ),
    ],
    models: Annotated[str, declare(_COMPARISON, "The models to compare.", metavar="NAME,...")] = _MODELS,
    seeds: Annotated[int, declare(_COMPARISON, "Train each model with the seeds 1 to N.", metavar="N")] = 1,
    folds: Annotated[
        int | None,
        declare(
            _COMPARISON,
            "Validate with each of K parts of INPUT in turn; repeated texts and images stay in one.",
            metavar="K",
            show_default="one split",
        ),
    ] = None,
    without_seen: Annotated[
        bool,
        declare(
            _COMPARISON,
            "Give the figures also without validation posts whose text or image (by perceptual hash) is in training.",
            "--without-seen",
        ),
    ] = False,
    images: shared.Images = None,
    val: shared.Val = None,
    val_fraction: shared.ValFraction = shared.DEFAULTS.val_fraction,
    labels: shared.Labels = shared.DEFAULT_LABELS,
    label_column: shared.LabelColumn = shared.DEFAULTS.label_column,
    text_column: shared.TextColumn = None,
    image_column: shared.ImageColumn = None,
    id_column: shared.IdColumn = None,
    table_weights: shared.TableWeights = "",
    literal: shared.Literal = False,
    text_encoder: shared.TextEncoder = None,
    image_encoder: shared.ImageEncoder = None,
    init: shared.Init = None,
    heads: Annotated[
        str,
        declare(
            shared.MODEL,
            "Heads for one modality alone, for models that take both.",
            metavar="text,image",
            show_default="none, as in the paper",
        ),
    ] = "",
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
    metric: shared.Metric = shared.DEFAULTS.metric,
    patience: shared.Patience = None,
    augment: shared.Augment = False,
    ema: shared.Ema = None,
    weight_decay: shared.WeightDecay = shared.DEFAULTS.weight_decay,
    label_smoothing: shared.LabelSmoothing = shared.DEFAULTS.label_smoothing,
    bert_dropout: shared.BertDropout = shared.DEFAULTS.bert_dropout,
    dropout: shared.Dropout = shared.DEFAULTS.dropout,
    modality_dropout: shared.ModalityDropout = shared.DEFAULTS.modality_dropout,
    save_every: shared.SaveEvery = shared.DEFAULTS.save_every_s,
    feature_cache: Annotated[
        Path | None,
        declare(
            shared.RUNNING,
            "Keep frozen encoders' outputs here, for all runs.",
            metavar="DIR",
            show_default="FOLDER/cache",
        ),
    ] = None,
    image_cache: shared.ImageCache = None,
    device: shared.Device = shared.DEFAULTS.device,
    mixed_precision: shared.MixedPrecision = shared.DEFAULTS.mixed_precision,
    quiet: shared.Quiet = False,
    as_json: Annotated[bool, declare(shared.RUNNING, "Print the results as one JSON object.", "--json")] = False,
) -> None:
    """Train the paper's seven models on the same posts, and print their figures beside the paper's Table 4.

    The same command goes on where it was stopped, and makes the table anew where all is done. --models and --seeds may
    change in between: the table holds all runs that were finished.

    Example: sentimm compare train.csv --val val.csv --images photos/ --seeds 3 -o comparison/
    """
    given = locals()  # the parameters: nothing else is there yet
    from sentimm.cli.extras import HASHES, require, require_train

    require_train("compare")
    if without_seen:
        require("sentimm compare --without-seen", HASHES)
    wanted = CompareOptions(shared.read_options(given), output, shared.split_names(models), seeds, without_seen)
    _show(wanted, quiet=quiet, as_json=as_json)


def _show(options: CompareOptions, *, quiet: bool, as_json: bool) -> None:
    """Compare with progress on the screen, and end as a signal asks."""
    from sentimm.cli.stopping import StopRequest
    from sentimm.console.comparison import ComparisonConsole
    from sentimm.training.comparison.compare import compare_models
    from sentimm.training.run_folder import TrainingStopped

    console = ComparisonConsole(quiet=quiet, as_json=as_json)
    with StopRequest(console.say) as request:
        try:
            found = compare_models(options, console.tell, request)
        except TrainingStopped as stop:
            console.stop(stop)
            raise typer.Exit(request.exit_code) from None
    console.finish(found, options.folder)
