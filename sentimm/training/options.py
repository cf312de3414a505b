"""What `sentimm train` was asked to do, with the paper's hyperparameters as defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from sentimm.bundle.bundle import list_shipped
from sentimm.errors import UsageError
from sentimm.models.published_images import find_modality
from sentimm.option_fields import (
    FRACTION,
    POSITIVE,
    SHARE,
    Bounds,
    Panel,
    at_least,
    check_options,
    option,
    split_numbers,
)
from sentimm.options import check_encoding, split_label_values
from sentimm.storage import is_remote
from sentimm.training.model_options import DEFAULT_IMAGE_ENCODER, DEFAULT_TEXT_ENCODER, ModelOptions
from sentimm.training.post_options import PostOptions

_FREEZE = re.compile(r"(text|image)(:[1-9]\d*)?")
_UNREAD = {"bert": "image", "resnet": "text"}  # what a fusion does not read
_MAX_SEED = 1 << 63
_USUAL_POWER = 0.5  # of the counts that --balance evens out


def parse_teachers(value: str) -> tuple[str, ...]:
    """Return the value of --teacher: folders or names, separated by commas.

    Raises:
        UsageError: one is empty.
    """
    names = tuple(name.strip() for name in value.split(","))
    if not all(names):
        raise UsageError("A name of --teacher is empty: is it a shell variable that is not set?")
    return names


def parse_class_weights(value: str) -> tuple[float, ...] | Literal["balanced"]:
    """Return the value of --class-weights: `balanced`, or numbers.

    Raises:
        ValueError: it is neither.
    """
    return "balanced" if value == "balanced" else split_numbers(value)


@dataclass(frozen=True)
class TrainOptions(ModelOptions, PostOptions):  # fields of the last base come first
    """Options of one training run; the paper's where it gives them.

    `table_weights` says how often the posts of each input are seen in an epoch (0.1: a random tenth of them each time),
    `balance` names a column whose values an epoch evens out (see `plan_draw`). `val_fraction`: for all inputs or one
    for each.
    Learning rates are those at the top of the warm-up; `image_lr` is for the image backbones, `head_lr` for all that is
    no pretrained backbone; None: `learning_rate`. A step moves the weights by the gradient of `accumulate` batches of
    `batch_size` posts. `ema`: the decay of a moving average of the weights, which is what is validated and saved.
    `teacher`: a run or bundle whose answers are learnt beside the labels; `teacher_weight`: its share of each target;
    both for all inputs or one for each. `normalization`: None is that of the run that the text encoder is from, else
    `tweet-1`.
    `text_encoder` and `image_encoder`: "" is that of `init`, else the paper's. `pooling`
    and `image_levels`: None is that of the run that the encoder is from, else the mean, and 1.

    `labels_by`: `table`, or a column: where posts were labelled with some of the labels only, their loss runs over
    these.

    `auxiliary`: columns of any values, with the encoder that learns them: `image:emotion`, or `emotion` where the model
    has one encoder. `auxiliary_weight`: the weight of their losses, for all or one for each.

    `labels` given as pairs (`0=negative`) become the labels alone, and `label_values` the pairs.

    `split_seed`: given where models are compared. Posts are held out by it and not by `seed`; where there are `folds`,
    the part numbered `fold` (from 0) is held out.

    Raises:
        UsageError: an option has a value that can't be used.
    """

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
    learning_rate: Annotated[
        float, option(Panel.LEARNING, "Learning rate of the pretrained encoders.", bounds=POSITIVE)
    ] = 3e-5
    image_lr: Annotated[
        float | None,
        option(Panel.LEARNING, "Learning rate of the image encoder.", shown="--learning-rate", bounds=POSITIVE),
    ] = None
    layer_decay: Annotated[
        float,
        option(
            Panel.LEARNING,
            "The learning rate of each layer of an encoder, as a share of that of the layer after it: 0.75.",
            bounds=Bounds(above=0, most=1),
        ),
    ] = 1.0
    head_lr: Annotated[
        float | None,
        option(
            Panel.LEARNING, "Learning rate of all that is not pretrained.", shown="--learning-rate", bounds=POSITIVE
        ),
    ] = None
    warmup: Annotated[
        float,
        option(
            Panel.LEARNING, "Share of the steps in which the learning rates rise; then they fall to 0.", bounds=SHARE
        ),
    ] = 0.0
    clip_norm: Annotated[
        float,
        option(Panel.LEARNING, "Clip gradients to this norm.", bounds=Bounds(above=0, is_finite=False)),
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
    auxiliary: Annotated[
        tuple[str, ...],
        option(
            Panel.LEARNING,
            "Columns that an encoder learns beside the labels, such as emotions or ratings; exports are without them.",
            metavar="image:C,text:C,...",
        ),
    ] = ()
    auxiliary_weight: Annotated[
        tuple[float, ...],
        option(
            Panel.LEARNING,
            "Weight of auxiliary columns in the loss; or one for each.",
            metavar="W,...",
            bounds=POSITIVE,
        ),
    ] = (0.5,)
    teacher: Annotated[
        tuple[str, ...],
        option(
            Panel.LEARNING,
            "Also learn the answers of this run, bundle or model that ships, such as a larger one's; of posts without "
            "a label these alone; or one for each table.",
            metavar="MODEL,...",
            parse=parse_teachers,
        ),
    ] = ()
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
        option(
            Panel.LEARNING,
            "The figure by which the best epoch is chosen: accuracy, macro_f1, macro_recall.",
            metavar="NAME",
        ),
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
    image_noise: Annotated[
        float,
        option(
            Panel.REGULARISATION,
            "Share of the images in training that lose detail: shrunk and enlarged again, and compressed as JPEG.",
            bounds=SHARE,
        ),
    ] = 0.0
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
    weight_decay: Annotated[float, option(Panel.REGULARISATION, "Weight decay of AdamW.", bounds=at_least(0))] = 0.0
    label_smoothing: Annotated[
        float, option(Panel.REGULARISATION, "Label smoothing of the cross entropy.", bounds=SHARE)
    ] = 0.0
    bert_dropout: Annotated[float, option(Panel.REGULARISATION, "Dropout inside the text encoder.", bounds=SHARE)] = 0.1
    dropout: Annotated[
        float, option(Panel.REGULARISATION, "Dropout in the projections and the fusion.", bounds=SHARE)
    ] = 0.1
    modality_dropout: Annotated[
        float,
        option(
            Panel.REGULARISATION, "Share of posts with text and image of which the fusion sees only one.", bounds=SHARE
        ),
    ] = 0.1
    save_every_s: Annotated[
        float,
        option(
            Panel.RUNNING,
            "Save what resuming needs every S seconds, besides after each epoch.",
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
        self._read_init()
        for name, usual in (("text_encoder", DEFAULT_TEXT_ENCODER), ("image_encoder", DEFAULT_IMAGE_ENCODER)):
            if not getattr(self, name):
                object.__setattr__(self, name, usual if self.init is None else str(self.init))
        if isinstance(self.val_fraction, float):  # as in the configuration of earlier runs
            object.__setattr__(self, "val_fraction", (self.val_fraction,))
        check_options(self)
        if self.encoding is not None:
            check_encoding(self.encoding)
        labels, pairs = split_label_values(self.labels)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "label_values", pairs or self.label_values)
        self._check_lists()
        if self.balance is not None:
            split_balance(self.balance)
        if self.folds is not None and self.val is not None:
            raise UsageError(
                "--folds validates with parts of INPUT in turn, and --val names a table: give one of them."
            )
        for name, is_given in (("--augment", self.augment), ("--image-noise", self.image_noise > 0)):
            if is_given and "image" in self.freeze:
                raise UsageError(
                    f"{name} changes the pictures in each epoch, and --freeze image computes the encoder's outputs "
                    "once: give one of them."
                )

    def _read_init(self) -> None:
        """Read a published network of --init as what it is: the encoder of one modality."""
        if self.init is None or (modality := find_modality(self.init)) is None:
            return
        if modality == _UNREAD.get(self.fusion):
            raise UsageError(f"--init {self.init} is a network for {modality}s, and {self.fusion} reads none.")
        if getattr(self, f"{modality}_encoder"):
            raise UsageError(
                f"--init {self.init} is a network for {modality}s, and --{modality}-encoder names another: "
                "leave one of them out."
            )
        object.__setattr__(self, f"{modality}_encoder", str(self.init))
        object.__setattr__(self, "init", None)

    def _check_lists(self) -> None:
        if self.table_weights and len(self.table_weights) != len(self.inputs):
            raise UsageError(
                f"--table-weights names {len(self.table_weights)} weights for {len(self.inputs)} tables: "
                "give one for each."
            )
        if len(self.val_fraction) not in (1, len(self.inputs)):
            raise UsageError(
                f"--val-fraction names {len(self.val_fraction)} fractions for {len(self.inputs)} tables: "
                "give one, or one for each."
            )
        if not self.teacher and self.teacher_weight != TrainOptions.teacher_weight:
            raise UsageError("--teacher-weight is a share of a teacher's answers: name the teacher with --teacher.")
        if len(self.teacher) not in (0, 1, len(self.inputs)):
            raise UsageError(
                f"--teacher names {len(self.teacher)} teachers for {len(self.inputs)} tables: give one, or one for "
                "each."
            )
        if len(self.teacher_weight) not in (1, len(self.inputs)):
            raise UsageError(
                f"--teacher-weight names {len(self.teacher_weight)} weights for {len(self.inputs)} tables: "
                "give one, or one for each."
            )
        if len(self.auxiliary_weight) not in (1, len(self.auxiliary)):
            raise UsageError(
                f"--auxiliary-weight names {len(self.auxiliary_weight)} weights for {len(self.auxiliary)} columns: "
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
        plain["teacher"] = tuple(each if each in list_shipped() else name_in_full(each) for each in self.teacher)
        return plain

    @property
    def teacher_weights(self) -> tuple[float, ...]:
        """The teacher's share for each input; 0 for all without a teacher."""
        weights = self.teacher_weight if self.teacher else (0.0,)
        return weights * len(self.inputs) if len(weights) == 1 else weights

    def list_taught(self, teacher: str) -> list[int]:
        """Return the numbers of the inputs that learn from `teacher`, one of those that are named."""
        own = self.teacher * len(self.inputs) if len(self.teacher) == 1 else self.teacher
        pairs = zip(own, self.teacher_weights, strict=True)
        return [number for number, (name, weight) in enumerate(pairs) if name == teacher and weight > 0]

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> TrainOptions:
        """Return the options of which `to_plain` made this, also after JSON made lists of its tuples."""
        stored: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()
        }
        teacher = stored.get("teacher")  # a path or nothing in earlier versions
        stored["teacher"] = (teacher,) if isinstance(teacher, str) else teacher or ()
        for name in ("images", "init", "feature_cache", "image_cache"):
            stored[name] = None if stored.get(name) is None else Path(stored[name])
        return TrainOptions(**stored)


def split_balance(balance: str) -> tuple[str, float]:
    """Return the column of --balance, and the power of its values' counts.

    Raises:
        UsageError: the power is not between 0 and 1.
    """
    column, _, power = balance.rpartition(":")
    try:
        value = float(power)
    except ValueError:
        return balance, _USUAL_POWER
    if not column:
        return balance, _USUAL_POWER
    if not 0 <= value <= 1:
        raise UsageError(
            f"--balance {balance}: the power of the counts must be between 0 (all values alike) and 1 (as they are)."
        )
    return column, value


def name_in_full(table: str) -> str:
    """Return a table's name as any folder understands it; a link keeps its own name, as its suffix may matter."""
    return table if is_remote(table) else str(Path(table).absolute())
