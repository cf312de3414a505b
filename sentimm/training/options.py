"""What `sentimm train` was asked to do, with the paper's hyperparameters as defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from sentimm.errors import UsageError
from sentimm.option_fields import (
    FRACTION,
    POSITIVE,
    SHARE,
    Bounds,
    Panel,
    argument,
    at_least,
    check_options,
    option,
    split_numbers,
)
from sentimm.options import QUOTES_HELP, SENTIMENTS, Quotes, check_encoding, split_label_values
from sentimm.storage import is_remote

FUSION_NAMES = ("ote", "cmac", "hstec", "native-cat", "native-combine", "bert", "resnet")
DEFAULT_TEXT_ENCODER, DEFAULT_IMAGE_ENCODER = "bert-base-uncased", "resnet50"

_FREEZE = re.compile(r"(text|image)(:[1-9]\d*)?")
_BELOW_ONE = Bounds(least=0, below=1)
_MAX_SEED = 1 << 63


def parse_class_weights(value: str) -> tuple[float, ...] | Literal["balanced"]:
    """Return the value of --class-weights: `balanced`, or numbers.

    Raises:
        ValueError: it is neither.
    """
    return "balanced" if value == "balanced" else split_numbers(value)


@dataclass(frozen=True)
class TrainOptions:
    """Options of one training run; the paper's where it gives them.

    `table_weights` says how often the posts of each input are seen in an epoch (0.1: a random tenth of them each time).
    Learning rates are those at the top of the warm-up; `image_lr` is for the image backbones, `head_lr` for all that is
    no pretrained backbone; None: `learning_rate`. A step moves the weights by the gradient of `accumulate` batches of
    `batch_size` posts. `ema`: the decay of a moving average of the weights, which is what is validated and saved.
    `teacher`: a run whose answers are learnt beside the labels; `teacher_weight`: its share of each target, for
    all inputs or one for each. `normalization`: None is that of the run that the text encoder is from, else `tweet-1`.
    `text_encoder` and `image_encoder`: "" is that of `init`, else the paper's. `pooling`
    and `image_levels`: None is that of the run that the encoder is from, else the mean, and 1.

    `labels` given as pairs (`0=negative`) become the labels alone, and `label_values` the pairs.

    `split_seed`: given where models are compared. Posts are held out by it and not by `seed`, before those that lack
    the model's modality are left out; where there are `folds`, the part numbered `fold` (from 0) is held out.

    Raises:
        UsageError: an option has a value that can't be used.
    """

    inputs: Annotated[tuple[str, ...], argument("Tables of labelled posts.", metavar="INPUT...", shown=False)]
    images: Annotated[
        Path | None, option(Panel.POSTS, "The folder of the posts' images, or its URL.", metavar="DIR", is_url=True)
    ] = None
    val: Annotated[
        str | None, option(Panel.POSTS, "A table to validate with; else some posts are held out.", metavar="FILE")
    ] = None
    val_fraction: Annotated[
        float,
        option(
            Panel.POSTS,
            "How much of the posts to hold out; repeated texts and images stay on one side.",
            bounds=FRACTION,
        ),
    ] = 0.1
    split_seed: int | None = None
    folds: Annotated[
        int | None,
        option(
            Panel.COMPARISON,
            "Validate with each of K parts of INPUT in turn; repeated texts and images stay in one.",
            metavar="K",
            shown="one split",
            bounds=at_least(2),
        ),
    ] = None
    fold: int = 0
    labels: Annotated[
        tuple[str, ...],
        option(
            Panel.POSTS,
            "The labels, in the order of the output; or what the tables' values stand for.",
            metavar="A,B,...|VALUE=A,...",
        ),
    ] = SENTIMENTS
    label_values: tuple[str, ...] = ()
    label_column: Annotated[str, option(Panel.POSTS, "The column of labels.", metavar="C")] = "label"
    text_column: Annotated[str | None, option(Panel.POSTS, "The column of texts.", metavar="C")] = None
    image_column: Annotated[str | None, option(Panel.POSTS, "The column of image names.", metavar="C")] = None
    id_column: Annotated[str | None, option(Panel.POSTS, "The column of ids.", metavar="C")] = None
    encoding: Annotated[
        str | None,
        option(Panel.POSTS, "The encoding of CSV, TSV and NDJSON files.", metavar="NAME", shown="UTF-8, else a guess"),
    ] = None
    no_header: Annotated[
        bool, option(Panel.POSTS, "CSV and TSV files have no header: the columns are column_1, column_2 and so on.")
    ] = False
    quotes: Annotated[
        Quotes | None,
        option(Panel.POSTS, QUOTES_HELP, shown="doubled, or escaped where that explains the file"),
    ] = None
    union: Annotated[
        bool,
        option(Panel.POSTS, "Where the files of one input differ in columns that are used, fill what lacks with null."),
    ] = False
    table_weights: Annotated[
        tuple[float, ...],
        option(
            Panel.POSTS,
            "How often an epoch sees each table's posts (0.1: a random tenth).",
            metavar="W,...",
            bounds=POSITIVE,
        ),
    ] = ()
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
            "A BERT by hub name, its folder, or a run to take it from.",
            metavar="NAME|PATH",
            shown=f"{DEFAULT_TEXT_ENCODER}, or that of --init",
        ),
    ] = ""
    image_encoder: Annotated[
        str,
        option(
            Panel.MODEL,
            "resnet18 ... resnet152, timm:NAME, NAME=FILE for a local state dict, A+B for a pair, or a run.",
            metavar="NAME|PATH",
            shown=f"{DEFAULT_IMAGE_ENCODER}, or that of --init",
        ),
    ] = ""
    init: Annotated[
        Path | None, option(Panel.MODEL, "Start from the weights of this run, as far as they fit.", metavar="RUN")
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
            "Share of what the heads make together in answers to complete posts; neutral yields to the rest.",
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
        Literal["none", "cardiff", "tweet-1", "tweet-2", "tweet-2-names"]
        | None,  # those of sentimm.text, which is slow to import
        option(
            Panel.MODEL,
            "How texts are normalised: none, cardiff, tweet-1, tweet-2, tweet-2-names.",
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
    epochs: Annotated[int, option(Panel.LEARNING, "How often to go through the posts.", bounds=at_least(1))] = 20
    batch_size: Annotated[
        int, option(Panel.LEARNING, "Posts in a batch, which several processes share.", bounds=at_least(1))
    ] = 16
    accumulate: Annotated[
        int,
        option(
            Panel.LEARNING,
            "Batches in a step: the same as a batch that much larger, in less memory.",
            bounds=at_least(1),
        ),
    ] = 1
    learning_rate: Annotated[float, option(Panel.LEARNING, "Of the pretrained encoders.", bounds=POSITIVE)] = 3e-5
    image_lr: Annotated[
        float | None, option(Panel.LEARNING, "Of the image encoder.", shown="--learning-rate", bounds=POSITIVE)
    ] = None
    layer_decay: Annotated[
        float,
        option(
            Panel.LEARNING,
            "Each layer of an encoder learns at this share of the rate of the one behind it, such as 0.75.",
            bounds=Bounds(above=0, most=1),
        ),
    ] = 1.0
    head_lr: Annotated[
        float | None,
        option(Panel.LEARNING, "Of all that is not pretrained.", shown="--learning-rate", bounds=POSITIVE),
    ] = None
    warmup: Annotated[
        float, option(Panel.LEARNING, "Share of the steps in which rates rise; then they fall to 0.", bounds=SHARE)
    ] = 0.0
    clip_norm: Annotated[
        float,
        option(Panel.LEARNING, "Longest gradient; longer ones are cut to it.", bounds=Bounds(above=0, is_finite=False)),
    ] = 1.0
    class_weights: Annotated[
        tuple[float, ...] | Literal["balanced"],
        option(
            Panel.LEARNING,
            "Each label's weight in the loss; balanced: rare ones count more.",
            metavar="W,...",
            bounds=POSITIVE,
            parse=parse_class_weights,
            suggestions=("balanced",),
        ),
    ] = ()
    head_weight: Annotated[float, option(Panel.LEARNING, "Weight of the heads in the loss.", bounds=at_least(0))] = 0.5
    teacher: Annotated[
        Path | None, option(Panel.LEARNING, "Also learn this run's answers, such as a larger encoder's.", metavar="RUN")
    ] = None
    teacher_weight: Annotated[
        tuple[float, ...],
        option(
            Panel.LEARNING,
            "Share of the teacher's answers in what is learnt; or one for each table.",
            metavar="W,...",
            bounds=SHARE,
        ),
    ] = (0.5,)
    metric: Annotated[
        Literal["accuracy", "macro_f1", "macro_recall"],
        option(Panel.LEARNING, "What makes an epoch the best: accuracy, macro_f1, macro_recall.", metavar="NAME"),
    ] = "accuracy"
    patience: Annotated[
        int | None,
        option(
            Panel.LEARNING,
            "Stop after N epochs without improvement.",
            metavar="N",
            shown="never",
            bounds=at_least(1),
        ),
    ] = None
    seed: Annotated[
        int,
        option(Panel.LEARNING, "The same seed gives the same model.", bounds=Bounds(least=0, below=_MAX_SEED)),
    ] = 0
    augment: Annotated[
        bool, option(Panel.REGULARISATION, "Train on parts of the images, mirrored and recoloured at random.")
    ] = False
    ema: Annotated[
        float | None,
        option(
            Panel.REGULARISATION,
            "Validate and save a moving average of the weights, with this decay (0.999).",
            metavar="DECAY",
            shown="the weights themselves",
            bounds=FRACTION,
        ),
    ] = None
    weight_decay: Annotated[float, option(Panel.REGULARISATION, "AdamW's.", bounds=at_least(0))] = 0.0
    label_smoothing: Annotated[float, option(Panel.REGULARISATION, "Of the cross entropy.", bounds=SHARE)] = 0.0
    bert_dropout: Annotated[float, option(Panel.REGULARISATION, "Inside the text encoder.", bounds=SHARE)] = 0.1
    dropout: Annotated[float, option(Panel.REGULARISATION, "In projections and fusion.", bounds=SHARE)] = 0.1
    modality_dropout: Annotated[
        float,
        option(
            Panel.REGULARISATION, "Share of complete posts of which the fusion sees one modality alone.", bounds=SHARE
        ),
    ] = 0.1
    save_every_s: Annotated[
        float,
        option(
            Panel.RUNNING,
            "Seconds after which to save what resuming needs, besides each epoch.",
            "--save-every",
            metavar="S",
            bounds=at_least(0),
        ),
    ] = 300.0
    feature_cache: Annotated[
        Path | None, option(Panel.RUNNING, "Keep frozen encoders' outputs here, for several runs.", metavar="DIR")
    ] = None
    image_cache: Annotated[
        Path | None, option(Panel.RUNNING, "Keep decoded images here: 150 kB each at 224 pixels.", metavar="DIR")
    ] = None
    device: Annotated[
        str,
        option(Panel.RUNNING, "Where to train.", metavar="auto|cpu|cuda|cuda:N", suggestions=("auto", "cpu", "cuda")),
    ] = "auto"
    mixed_precision: Annotated[
        Literal["no", "bf16", "fp16"],
        option(
            Panel.RUNNING,
            "Precision of the encoders' products: bf16 on CPUs with AMX and on GPUs, fp16 on GPUs only.",
            metavar="no|bf16|fp16",
        ),
    ] = "no"

    def __post_init__(self) -> None:
        for name, usual in (("text_encoder", DEFAULT_TEXT_ENCODER), ("image_encoder", DEFAULT_IMAGE_ENCODER)):
            if not getattr(self, name):
                object.__setattr__(self, name, usual if self.init is None else str(self.init))
        check_options(self)
        if self.encoding is not None:
            check_encoding(self.encoding)
        labels, pairs = split_label_values(self.labels)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "label_values", pairs or self.label_values)
        self._check_lists()
        if self.folds is not None and self.val is not None:
            raise UsageError(
                "--folds validates with parts of INPUT in turn, and --val names a table: give one of them."
            )
        if self.augment and "image" in self.freeze:
            raise UsageError(
                "--augment changes the pictures in each epoch, and --freeze image computes the encoder's outputs once: "
                "give one of them."
            )

    def _check_lists(self) -> None:
        if self.table_weights and len(self.table_weights) != len(self.inputs):
            raise UsageError(
                f"--table-weights names {len(self.table_weights)} weights for {len(self.inputs)} tables: "
                "give one for each."
            )
        if self.teacher is None and self.teacher_weight != TrainOptions.teacher_weight:
            raise UsageError("--teacher-weight is a share of a teacher's answers: name the teacher with --teacher.")
        if len(self.teacher_weight) not in (1, len(self.inputs)):
            raise UsageError(
                f"--teacher-weight names {len(self.teacher_weight)} weights for {len(self.inputs)} tables: "
                "give one, or one for each."
            )
        if len({label.lower() for label in self.labels}) != len(self.labels) or len(self.labels) < 2:
            raise UsageError(
                "--labels needs two or more different labels, separated by commas; upper and lower case are the same."
            )
        if heads := set(self.heads or ()) - {"text", "image"}:
            raise UsageError(f"--heads takes text, image or both, not {', '.join(sorted(heads))}.")
        if unknown := [value for value in self.freeze if not _FREEZE.fullmatch(value)]:
            raise UsageError(f"--freeze takes text, image, or some of their layers (text:6), not {', '.join(unknown)}.")
        if self.class_weights and self.class_weights != "balanced" and len(self.class_weights) != len(self.labels):
            raise UsageError(
                f"--class-weights names {len(self.class_weights)} weights for {len(self.labels)} labels: give one "
                "for each, or `balanced`."
            )

    def to_plain(self) -> dict[str, Any]:
        """Return the options as JSON can hold them, with full paths: a run is resumed from any folder."""
        plain = {key: str(value.resolve()) if isinstance(value, Path) else value for key, value in asdict(self).items()}
        plain["inputs"] = tuple(map(name_in_full, self.inputs))
        plain["val"] = None if self.val is None else name_in_full(self.val)
        return plain

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> TrainOptions:
        """Return the options of which `to_plain` made this, also after JSON made lists of its tuples."""
        stored: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()
        }
        for name in ("images", "init", "teacher", "feature_cache", "image_cache"):
            stored[name] = None if stored.get(name) is None else Path(stored[name])
        return TrainOptions(**stored)


def name_in_full(table: str) -> str:
    """Return a table's name as any folder understands it; a link keeps its own name, as its suffix may matter."""
    return table if is_remote(table) else str(Path(table).absolute())
