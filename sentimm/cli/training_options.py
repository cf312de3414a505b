"""The options that `train` and `compare` have in common, and how their values are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from sentimm.cli.declare import declare, parse_path
from sentimm.errors import UsageError
from sentimm.training.options import TrainOptions

DEFAULTS = TrainOptions(inputs=())
DEFAULT_LABELS = ",".join(DEFAULTS.labels)
DEFAULT_TEACHER_WEIGHT = ",".join(map(str, DEFAULTS.teacher_weight))
_CHOICES = {
    "pooling": ("mean", "cls"),
    "metric": ("accuracy", "macro_f1", "macro_recall"),
    "mixed_precision": ("no", "bf16", "fp16"),
}
POSTS, MODEL, LEARNING = "Posts", "Model", "Learning"
REGULARISATION, RUNNING = "Against overfitting", "Running"

Images = Annotated[
    Path | None, declare(POSTS, "The folder of the posts' images, or its URL.", metavar="DIR", parser=parse_path)
]
Val = Annotated[str | None, declare(POSTS, "A table to validate with; else some posts are held out.", metavar="FILE")]
ValFraction = Annotated[
    float, declare(POSTS, "How much of the posts to hold out; repeated texts and images stay on one side.")
]
Labels = Annotated[str, declare(POSTS, "The labels, in the order of the output.", metavar="A,B,...")]
LabelColumn = Annotated[str, declare(POSTS, "The column of labels.", metavar="C")]
TextColumn = Annotated[str | None, declare(POSTS, "The column of texts.", metavar="C")]
ImageColumn = Annotated[str | None, declare(POSTS, "The column of image names.", metavar="C")]
IdColumn = Annotated[str | None, declare(POSTS, "The column of ids.", metavar="C")]
TableWeights = Annotated[
    str, declare(POSTS, "How often an epoch sees each table's posts (0.1: a random tenth).", metavar="W,...")
]
Literal = Annotated[
    bool,
    declare(MODEL, "Add up probabilities, as printed in the paper (cmac, hstec, native-combine).", "--literal"),
]
TextEncoder = Annotated[
    str | None,
    declare(
        MODEL,
        "A BERT by hub name, its folder, or a run to take it from.",
        metavar="NAME|PATH",
        show_default=f"{DEFAULTS.text_encoder}, or that of --init",
    ),
]
ImageEncoder = Annotated[
    str | None,
    declare(
        MODEL,
        "resnet18 ... resnet152, timm:NAME, NAME=FILE for a local state dict, A+B for a pair, or a run.",
        metavar="NAME|PATH",
        show_default=f"{DEFAULTS.image_encoder}, or that of --init",
    ),
]
Init = Annotated[Path | None, declare(MODEL, "Begin with the weights of this run, as far as they fit.", metavar="RUN")]
Heads = Annotated[
    str | None,
    declare(MODEL, "Heads for one modality alone.", metavar="text,image", show_default="those that have labels"),
]
Composed = Annotated[
    float,
    declare(MODEL, "Share of what the heads make together in answers to complete posts; neutral yields to the rest."),
]
Freeze = Annotated[
    str,
    declare(MODEL, "Encoders to leave as they are; their outputs are computed once.", metavar="text,image"),
]
Width = Annotated[int, declare(MODEL, "Width of the feature vectors.")]
Pooling = Annotated[
    str | None,
    declare(
        MODEL,
        "How a text's vector is made.",
        metavar="mean|cls",
        show_default="mean, or that of the run that the text encoder is from",
    ),
]
MaxTokens = Annotated[int, declare(MODEL, "Longer texts are cut.")]
ImageSize = Annotated[int, declare(MODEL, "Side of the square images, in pixels.")]
ImageLevels = Annotated[
    int | None,
    declare(
        MODEL,
        "Of how many resolutions to use the image encoder's last map; 1: of the coarsest.",
        show_default="1, or that of the run that the image encoder is from",
    ),
]
Epochs = Annotated[int, declare(LEARNING, "How often to go through the posts.")]
BatchSize = Annotated[int, declare(LEARNING, "Posts in a batch, which several processes share.")]
Accumulate = Annotated[
    int, declare(LEARNING, "Batches in a step: the same as a batch that much larger, in less memory.")
]
LearningRate = Annotated[float, declare(LEARNING, "Of the pretrained encoders.")]
ImageLr = Annotated[float | None, declare(LEARNING, "Of the image encoder.", show_default="--learning-rate")]
HeadLr = Annotated[float | None, declare(LEARNING, "Of all that is not pretrained.", show_default="--learning-rate")]
Warmup = Annotated[float, declare(LEARNING, "Share of the steps in which rates rise; then they fall to 0.")]
ClipNorm = Annotated[float, declare(LEARNING, "Longest gradient; longer ones are cut to it.")]
ClassWeights = Annotated[
    str, declare(LEARNING, "Each label's weight in the loss; balanced: rare ones count more.", metavar="W,...")
]
Teacher = Annotated[
    Path | None, declare(LEARNING, "Learn this run's answers, too: that of a larger encoder, say.", metavar="RUN")
]
TeacherWeight = Annotated[
    str,
    declare(LEARNING, "Share of the teacher's answers in what is learnt; or one for each table.", metavar="W,..."),
]
HeadWeight = Annotated[float, declare(LEARNING, "Weight of the heads in the loss.")]
Metric = Annotated[
    str, declare(LEARNING, "What makes an epoch the best: accuracy, macro_f1, macro_recall.", metavar="NAME")
]
Patience = Annotated[
    int | None,
    declare(LEARNING, "Stop when so many epochs brought nothing better.", metavar="N", show_default="never"),
]
Augment = Annotated[
    bool, declare(REGULARISATION, "Train on parts of the images, mirrored and recoloured at random.", "--augment")
]
Ema = Annotated[
    float | None,
    declare(
        REGULARISATION,
        "Validate and save a moving average of the weights, with this decay (0.999).",
        metavar="DECAY",
        show_default="the weights themselves",
    ),
]
WeightDecay = Annotated[float, declare(REGULARISATION, "AdamW's.")]
LabelSmoothing = Annotated[float, declare(REGULARISATION, "Of the cross entropy.")]
BertDropout = Annotated[float, declare(REGULARISATION, "Inside the text encoder.")]
Dropout = Annotated[float, declare(REGULARISATION, "In projections and fusion.")]
ModalityDropout = Annotated[
    float, declare(REGULARISATION, "Share of complete posts of which the fusion sees one modality alone.")
]
SaveEvery = Annotated[
    float, declare(RUNNING, "Seconds after which to save what resuming needs, besides each epoch.", metavar="S")
]
FeatureCache = Annotated[
    Path | None,
    declare(RUNNING, "Keep frozen encoders' outputs here, for several runs.", metavar="DIR"),
]
ImageCache = Annotated[
    Path | None, declare(RUNNING, "Keep decoded images here: 150 kB each at 224 pixels.", metavar="DIR")
]
Device = Annotated[str, declare(RUNNING, "Where to train.", metavar="auto|cpu|cuda|cuda:N")]
MixedPrecision = Annotated[
    str,
    declare(
        RUNNING,
        "Precision of the encoders' products: bf16 on CPUs with AMX and on GPUs, fp16 on GPUs alone.",
        metavar="no|bf16|fp16",
    ),
]
Quiet = Annotated[bool, declare(RUNNING, "No progress.", "--quiet", "-q")]


def read_options(given: Mapping[str, Any]) -> TrainOptions:
    """Make a run's options of the parameters of a command, which are named alike, and what else it has.

    Raises:
        UsageError: an option has a value that can't be used.
    """
    values = {field.name: given[field.name] for field in fields(TrainOptions) if field.name in given}
    for name, allowed in _CHOICES.items():
        if given[name] is not None and given[name] not in allowed:
            raise UsageError(f"--{name.replace('_', '-')} {given[name]!r} is not one of {', '.join(allowed)}.")
    for name in ("text_encoder", "image_encoder"):
        values[name] = given[name] or str(given["init"] or getattr(DEFAULTS, name))
    return TrainOptions(
        **values
        | {
            "inputs": tuple(given["inputs"] or ()),
            "labels": split_names(given["labels"]),
            "heads": None if given["heads"] is None else split_names(given["heads"]),
            "freeze": split_names(given["freeze"]),
            "table_weights": _split_numbers("--table-weights", given["table_weights"]),
            "class_weights": _read_class_weights(given["class_weights"]),
            "teacher_weight": _split_numbers("--teacher-weight", given.get("teacher_weight", DEFAULT_TEACHER_WEIGHT)),
            "save_every_s": given["save_every"],
        }
    )


def split_names(value: str) -> tuple[str, ...]:
    """Read names separated by commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _split_numbers(option: str, value: str) -> tuple[float, ...]:
    """Read numbers separated by commas.

    Raises:
        UsageError: they are not numbers.
    """
    try:
        return tuple(float(part) for part in split_names(value))
    except ValueError as error:
        raise UsageError(f"{option} {value!r} is not a list of numbers such as 1,0.1.") from error


def _read_class_weights(value: str) -> Any:
    """Read `--class-weights`: `balanced`, or numbers."""
    return "balanced" if value == "balanced" else _split_numbers("--class-weights", value)
