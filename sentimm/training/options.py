"""What `sentimm train` was asked to do, with the paper's hyperparameters as defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sentimm.errors import UsageError
from sentimm.options import SENTIMENTS
from sentimm.storage import is_remote


@dataclass(frozen=True)
class TrainOptions:
    """Options of one training run; the paper's where it gives them.

    `table_weights` says how often the posts of each input are seen in an epoch (0.1: a random tenth of them each time).
    Learning rates are those at the top of the warm-up; `image_lr` is for the image backbones, `head_lr` for all that is
    no pretrained backbone; None: `learning_rate`. A step moves the weights by the gradient of `accumulate` batches of
    `batch_size` posts. `ema`: the decay of a moving average of the weights, which is what is validated and saved.
    `teacher`: a run whose answers are learnt beside the labels; `teacher_weight`: its share of each target, for
    all inputs or one for each. `pooling` and `image_levels`: None is that of the run that the encoder is from, else the
    mean, and 1.

    `split_seed`: given where models are compared. Posts are held out by it and not by `seed`, before those that lack
    the model's modality are left out; where there are `folds`, the part numbered `fold` (from 0) is held out.
    """

    inputs: tuple[str, ...]
    images: Path | None = None
    val: str | None = None
    val_fraction: float = 0.1
    split_seed: int | None = None
    folds: int | None = None
    fold: int = 0
    fusion: str = "ote"
    literal: bool = False
    text_encoder: str = "bert-base-uncased"
    image_encoder: str = "resnet50"
    init: Path | None = None
    teacher: Path | None = None
    teacher_weight: tuple[float, ...] = (0.5,)
    heads: tuple[str, ...] | None = None
    labels: tuple[str, ...] = SENTIMENTS
    text_column: str | None = None
    image_column: str | None = None
    id_column: str | None = None
    label_column: str = "label"
    table_weights: tuple[float, ...] = ()
    freeze: tuple[str, ...] = ()
    feature_cache: Path | None = None
    width: int = 384
    pooling: Literal["mean", "cls"] | None = None
    max_tokens: int = 96
    image_size: int = 224
    image_levels: int | None = None
    bert_dropout: float = 0.1
    dropout: float = 0.1
    modality_dropout: float = 0.1
    epochs: int = 20
    batch_size: int = 16
    learning_rate: float = 3e-5
    image_lr: float | None = None
    head_lr: float | None = None
    accumulate: int = 1
    weight_decay: float = 0.0
    warmup: float = 0.0
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | Literal["balanced"] = ()
    ema: float | None = None
    augment: bool = False
    head_weight: float = 0.5
    composed: float = 0.0
    clip_norm: float = 1.0
    patience: int | None = None
    save_every_s: float = 300.0
    image_cache: Path | None = None
    metric: Literal["accuracy", "macro_f1", "macro_recall"] = "accuracy"
    seed: int = 0
    device: str = "auto"
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"

    def __post_init__(self) -> None:
        """Check what one option says against the others.

        Raises:
            UsageError: an option has a value that can't be used.
        """
        self._check_lists()
        self._check_numbers()
        if self.augment and "image" in self.freeze:
            raise UsageError(
                "--augment changes the pictures in each epoch, and --freeze image computes the encoder's outputs once: "
                "leave one of them away."
            )

    def _check_lists(self) -> None:
        if self.table_weights and len(self.table_weights) != len(self.inputs):
            raise UsageError(
                f"--table-weights names {len(self.table_weights)} weights for {len(self.inputs)} tables: "
                "give one for each."
            )
        if any(not 0 < weight < math.inf for weight in self.table_weights):
            raise UsageError("--table-weights must all be greater than 0.")
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
        for option, values in (("--freeze", self.freeze), ("--heads", self.heads or ())):
            unknown = set(values) - {"text", "image"}
            if unknown:
                raise UsageError(f"{option} takes text, image or both, not {', '.join(sorted(unknown))}.")
        if self.class_weights and self.class_weights != "balanced":
            if len(self.class_weights) != len(self.labels):
                raise UsageError(
                    f"--class-weights names {len(self.class_weights)} weights for {len(self.labels)} labels: give one "
                    "for each, or `balanced`."
                )
            if any(not isinstance(weight, float) or not 0 < weight < math.inf for weight in self.class_weights):
                raise UsageError("--class-weights must all be greater than 0.")

    def _check_numbers(self) -> None:
        for option, count in (
            ("--epochs", self.epochs),
            ("--batch-size", self.batch_size),
            ("--width", self.width),
            ("--image-levels", 1 if self.image_levels is None else self.image_levels),
            ("--accumulate", self.accumulate),
            ("--patience", 1 if self.patience is None else self.patience),
            ("--image-size", self.image_size),
        ):
            if count < 1:
                raise UsageError(f"{option} must be at least 1.")
        if self.max_tokens < 3:
            raise UsageError("--max-tokens must be at least 3: every text begins and ends with a token of its own.")
        if not 0 <= self.seed < 1 << 63:
            raise UsageError(f"--seed {self.seed} must be at least 0 and less than {1 << 63}.")
        if self.folds is not None and self.val is not None:
            raise UsageError("--folds validates with parts of INPUT in turn, and --val names a table: leave one away.")
        if self.folds is not None and self.folds < 2:
            raise UsageError("--folds must be at least 2.")
        if not 0 < self.val_fraction < 1:
            raise UsageError(f"--val-fraction {self.val_fraction} must lie between 0 and 1.")
        for option, rate in (
            ("--learning-rate", self.learning_rate),
            ("--image-lr", self.image_lr),
            ("--head-lr", self.head_lr),
        ):
            if rate is not None and not 0 < rate < math.inf:
                raise UsageError(f"{option} {rate} must be a number greater than 0.")
        if not 0 <= self.composed < 1:
            raise UsageError(f"--composed {self.composed} must be at least 0 and less than 1.")
        for option, share in (
            ("--dropout", self.dropout),
            ("--bert-dropout", self.bert_dropout),
            ("--modality-dropout", self.modality_dropout),
            ("--label-smoothing", self.label_smoothing),
            ("--warmup", self.warmup),
            *(("--teacher-weight", share) for share in self.teacher_weight),
        ):
            if not 0 <= share <= 1:
                raise UsageError(f"{option} {share} must lie between 0 and 1.")
        for option, weight in (("--weight-decay", self.weight_decay), ("--head-weight", self.head_weight)):
            if not 0 <= weight < math.inf:
                raise UsageError(f"{option} {weight} must not be negative.")
        if not self.clip_norm > 0:
            raise UsageError(f"--clip-norm {self.clip_norm} must be greater than 0.")
        if self.ema is not None and not 0 < self.ema < 1:
            raise UsageError(f"--ema {self.ema} must lie between 0 and 1, such as 0.999.")
        if not self.save_every_s >= 0:
            raise UsageError("--save-every must not be negative.")

    def to_plain(self) -> dict[str, Any]:
        """Give the options as JSON can hold them, paths in full: a run is resumed from any folder."""
        plain = {key: str(value.resolve()) if isinstance(value, Path) else value for key, value in asdict(self).items()}
        plain["inputs"] = tuple(map(name_in_full, self.inputs))
        plain["val"] = None if self.val is None else name_in_full(self.val)
        return plain

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> TrainOptions:
        """Give back what `to_plain` gave, also after JSON made lists of its tuples."""
        stored: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()
        }
        for name in ("images", "init", "teacher", "feature_cache", "image_cache"):
            stored[name] = None if stored.get(name) is None else Path(stored[name])
        return TrainOptions(**stored)


def name_in_full(table: str) -> str:
    """Give a table's name as it is understood in any folder; what a link is called stays, as its suffix may matter."""
    return table if is_remote(table) else str(Path(table).absolute())


@dataclass(frozen=True)
class CompareOptions:
    """What `sentimm compare` was asked to do: each of `models` trained with the seeds 1 to `seeds`, and on each fold.

    `training` holds for all runs; its `fusion`, `seed`, `fold` and `split_seed` do not count, `literal` holds for the
    models that have a literal form, and `composed` for those that take text and image. `without_seen`: give the figures
    also without posts that were seen in training.
    """

    training: TrainOptions
    folder: Path
    models: tuple[str, ...]
    seeds: int = 1
    without_seen: bool = False

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            UsageError: an option has a value that can't be used.
        """
        if self.seeds < 1:
            raise UsageError("--seeds must be at least 1.")
        if not self.models or len(set(self.models)) != len(self.models):
            raise UsageError("--models needs one or more different models, separated by commas.")
