"""The run folder: what `train` writes and `export` reads.

    config.json             options, labels, encoders, fusion: all that rebuilds the model
    tokenizer.json          the text encoder's, where there is one
    best.safetensors        weights of the epoch with the best validation figure
    last.safetensors        weights of the last epoch
    best-scores.npy         scores of the validation posts in the best epoch, before softmax
    last-scores.npy         those of the last epoch
    metrics.ndjson          one line for each epoch
    curves.png              loss and figures over the epochs
    confusion.png           the confusion matrix of the best epoch
    calibration.parquet     training posts, for the scales of int8
    held-out.parquet        labelled validation posts, for the check of an export
    trainer.pt              the state to resume from: weights, optimiser, position
    initial.safetensors     weights before the first epoch; removed after it

Every file is written durably: a run can be resumed after a kill or a power loss at any moment.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sentimm.errors import OutputError, RunError, RunNotFoundError
from sentimm.models.image_encoder import ImageEncoder, ImageEncoderConfig
from sentimm.models.sentiment_model import FusionConfig, SentimentModel
from sentimm.models.text_encoder import TextEncoder, TextEncoderConfig
from sentimm.storage.atomic import commit_file, write_file

FORMAT = 1
Weights = Literal["best", "last"]


class TrainingStopped(Exception):  # noqa: N818 - not an error
    """Training stopped on request, after `step` steps of an epoch (from 1); the run at `path` can be resumed."""

    def __init__(self, path: Path, epoch: int, step: int) -> None:
        super().__init__(f"stopped in epoch {epoch} after step {step}")
        self.path = path
        self.epoch = epoch
        self.step = step


@dataclass(frozen=True)
class Run:
    """A run folder and its configuration."""

    path: Path
    labels: tuple[str, ...]
    fusion: FusionConfig
    text: TextEncoderConfig | None
    image: ImageEncoderConfig | None
    normalization: str
    options: dict[str, Any]
    provenance: dict[str, Any]

    @property
    def tokenizer(self) -> Path:
        """The path of tokenizer.json."""
        return self.path / "tokenizer.json"

    def write_config(self) -> None:
        """Write config.json, which makes the folder a run."""
        fields = {
            "format": FORMAT,
            "labels": self.labels,
            "fusion": asdict(self.fusion),
            "text": None if self.text is None else asdict(self.text),
            "image": None if self.image is None else asdict(self.image),
            "normalization": self.normalization,
            "options": self.options,
            "provenance": self.provenance,
        }
        write_file(self.path / "config.json", (json.dumps(fields, indent=1) + "\n").encode())

    def build_model(self, weights: Weights | None = None) -> SentimentModel:
        """Build the model, with saved weights on request.

        Raises:
            RunError: the weights are missing or don't fit.
        """
        model = SentimentModel(
            self.fusion,
            len(self.labels),
            None if self.text is None else TextEncoder(self.text),
            None if self.image is None else ImageEncoder(self.image),
        )
        if weights is not None:
            load_weights(model, self.path / f"{weights}.safetensors")
        return model.eval()

    def read_metrics(self) -> list[dict[str, Any]]:
        """Read the lines of metrics.ndjson, oldest first."""
        path = self.path / "metrics.ndjson"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def read_scores(self, weights: Weights) -> npt.NDArray[np.float32]:
        """Read the scores of the validation posts in the best or the last epoch: float32 (posts, labels).

        Raises:
            RunError: the file is missing or damaged.
        """
        path = self.path / f"{weights}-scores.npy"
        try:
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is missing or damaged: train again.") from error

    def is_finished(self) -> bool:
        """Check whether training is over: all epochs are done, or the last ones brought no improvement."""
        records = self.read_metrics()
        patience = self.options.get("patience")
        return len(records) >= self.options["epochs"] or count_stale_epochs(records) >= (patience or float("inf"))


def open_run(path: Path) -> Run:
    """Open a run folder.

    Raises:
        RunNotFoundError: there is no run at `path`.
        RunError: its config.json is damaged or of a newer format.
    """
    file = path / "config.json"
    if not file.is_file():
        raise RunNotFoundError(
            f"{path} is not a training run (it has no config.json): name a folder that `sentimm train` wrote."
        )
    try:
        fields = json.loads(file.read_text())
        if "model_type" in fields:
            raise RunNotFoundError(
                f"{path} is not a training run, but a model of transformers: name a folder that `sentimm train` wrote."
            )
        if fields["format"] != FORMAT:
            raise RunError(
                f"{file} has format {fields['format']}, and this version of sentimm reads {FORMAT}: update sentimm."
            )
        image = fields["image"]
        return Run(
            path=path,
            labels=tuple(fields["labels"]),
            fusion=FusionConfig(**{**fields["fusion"], "heads": tuple(fields["fusion"]["heads"])}),
            text=None if fields["text"] is None else TextEncoderConfig(**fields["text"]),
            image=None if image is None else ImageEncoderConfig(**{**image, "backbones": tuple(image["backbones"])}),
            normalization=fields["normalization"],
            options=fields["options"],
            provenance=fields["provenance"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} is damaged ({error!r}): train again, or restore the file.") from error


def find_newest_run(folder: Path) -> Path:
    """Return the newest run in `folder`.

    Raises:
        RunNotFoundError: there is no run.
    """
    runs = [path for path in folder.glob("*") if is_run(path)] if folder.is_dir() else []
    if not runs:
        raise RunNotFoundError(
            f"There is no training run in {folder}/: train one with `sentimm train`, or name a run folder."
        )
    return max(runs, key=lambda path: (path / "config.json").stat().st_mtime)


def is_run(path: Path) -> bool:
    """Check whether `path` is a run folder (a folder of transformers has a config.json too)."""
    try:
        return "fusion" in json.loads((path / "config.json").read_text())
    except (OSError, ValueError):
        return False


def count_stale_epochs(records: Sequence[Mapping[str, Any]]) -> int:
    """Count the epochs since the best one; `records` are the lines of metrics.ndjson."""
    scores = [record["score"] for record in records]
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0


def save_scores(scores: npt.NDArray[np.float32], path: Path) -> None:
    """Save scores of posts, float32 (posts, labels)."""
    buffer = io.BytesIO()
    np.save(buffer, scores, allow_pickle=False)
    write_file(path, buffer.getvalue())


def save_weights(model: torch.nn.Module, path: Path) -> None:
    """Save a model's tensors as safetensors, durably.

    Raises:
        OutputError: they can't be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with commit_file(path) as temporary:
        try:
            save_file(tensors, temporary)
        except SafetensorError as error:
            raise OutputError(f"{path} can't be written: {error}.") from error


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Load the file that `save_weights` wrote.

    Raises:
        RunError: the file is missing, damaged or of another model.
    """
    try:
        model.load_state_dict(load_file(path))
    except FileNotFoundError as error:
        raise RunError(
            f"{path} does not exist: the run has no finished epoch yet. Continue it with `sentimm train --resume`."
        ) from error
    except (SafetensorError, RuntimeError, OSError) as error:
        raise RunError(f"{path} is damaged or of another model: train again, or restore the file.") from error


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Save a state to resume from: tensors, numbers, strings, lists and dicts."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_file(path, buffer.getvalue())


def load_state(path: Path) -> dict[str, Any]:
    """Load the file that `save_state` wrote, without running code.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on damaged files
        raise RunError(f"{path} is missing or damaged, so the run can't be resumed: train again.") from error
    return state
