"""What `sentimm train` was asked to do, with the paper's hyperparameters as defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sentimm.errors import UsageError
from sentimm.options import SENTIMENTS


@dataclass(frozen=True)
class TrainOptions:
    """Options of one training run; the paper's where it gives them.

    `table_weights` says how often the posts of each input are seen in an epoch (0.1: a random tenth of them each time).
    Learning rates are those at the top of the warm-up; `head_lr` is for all that is not a pretrained backbone.
    """

    inputs: tuple[str, ...]
    images: Path | None = None
    val: str | None = None
    val_fraction: float = 0.1
    fusion: str = "ote"
    literal: bool = False
    text_encoder: str = "bert-base-uncased"
    image_encoder: str = "resnet50"
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
    pooling: Literal["mean", "cls"] = "mean"
    max_tokens: int = 96
    image_size: int = 224
    bert_dropout: float = 0.1
    dropout: float = 0.1
    modality_dropout: float = 0.1
    epochs: int = 20
    batch_size: int = 16
    learning_rate: float = 3e-5
    head_lr: float | None = None
    weight_decay: float = 0.0
    warmup: float = 0.0
    label_smoothing: float = 0.0
    head_weight: float = 0.5
    clip_norm: float = 1.0
    metric: Literal["accuracy", "macro_f1", "macro_recall"] = "accuracy"
    seed: int = 0
    device: str = "auto"
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"

    def __post_init__(self) -> None:
        """Check what one option says against the others.

        Raises:
            UsageError: an option has a value that can't be used.
        """
        if self.table_weights and len(self.table_weights) != len(self.inputs):
            raise UsageError(
                f"--table-weights names {len(self.table_weights)} weights for {len(self.inputs)} tables: "
                "give one for each."
            )
        if any(weight <= 0 for weight in self.table_weights):
            raise UsageError("--table-weights must all be greater than 0.")
        if len(set(self.labels)) != len(self.labels) or len(self.labels) < 2:
            raise UsageError("--labels needs two or more different labels, separated by commas.")
        if not 0 < self.val_fraction < 1:
            raise UsageError(f"--val-fraction {self.val_fraction} must lie between 0 and 1.")
        for option, values in (("--freeze", self.freeze), ("--heads", self.heads or ())):
            unknown = set(values) - {"text", "image"}
            if unknown:
                raise UsageError(f"{option} takes text, image or both, not {', '.join(sorted(unknown))}.")
        for option, count in (("--epochs", self.epochs), ("--batch-size", self.batch_size), ("--width", self.width)):
            if count < 1:
                raise UsageError(f"{option} must be at least 1.")

    def to_plain(self) -> dict[str, Any]:
        """Give the options as JSON can hold them, paths in full."""
        return {key: str(value.resolve()) if isinstance(value, Path) else value for key, value in asdict(self).items()}

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> TrainOptions:
        """Give back what `to_plain` gave, also after JSON made lists of its tuples."""
        stored: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()
        }
        for name in ("images", "feature_cache"):
            stored[name] = None if stored[name] is None else Path(stored[name])
        return TrainOptions(**stored)
