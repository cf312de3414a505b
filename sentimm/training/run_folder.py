"""The run folder: what `train` writes and `export` reads.

    config.json             options, labels, encoders, fusion: all that builds the model again
    tokenizer.json          the text encoder's, where there is one
    best.safetensors        weights of the epoch with the best validation figure
    last.safetensors        weights of the last epoch
    best-scores.npy         scores of the validation posts in the best epoch, before the softmax
    last-scores.npy         those of the last epoch
    metrics.ndjson          one line for each epoch
    curves.png              loss and figures over the epochs
    confusion.png           what the best epoch confused
    calibration.parquet     training posts, for the scales of int8
    held-out.parquet        labelled validation posts, for the check of an export
    trainer.pt              all that resuming needs: weights in training, optimiser, position
    initial.safetensors     weights before the first epoch; goes when that is done

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
import polars as pl
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sentimm.errors import ImageError, OutputError, RunError, RunNotFoundError
from sentimm.images import decode_image
from sentimm.models.encoders import ImageEncoder, ImageEncoderConfig, TextEncoder, TextEncoderConfig
from sentimm.models.fusion import FusionConfig, SentimentModel
from sentimm.storage.atomic import commit_file, write_file

FORMAT = 1
_LABELS = ("label", "text_label", "image_label")  # in the order of `StoredPosts`
Weights = Literal["best", "last"]


class TrainingStopped(Exception):  # noqa: N818 - nothing went wrong
    """Training was asked to stop, and did after `step` steps of an epoch (from 1); the run at `path` can be resumed."""

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
        """Build the model, with the saved weights where they are named.

        Raises:
            RunError: the weights are not there or don't fit.
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
        """Read what the best or the last epoch's weights gave the validation posts: float32 (posts, labels).

        Raises:
            RunError: the file is not there or damaged.
        """
        path = self.path / f"{weights}-scores.npy"
        try:
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is not there or damaged: train again.") from error

    def is_finished(self) -> bool:
        """Tell whether nothing is left to train: all epochs are done, or the last ones brought nothing better."""
        records = self.read_metrics()
        patience = self.options.get("patience")
        return len(records) >= self.options["epochs"] or count_stale(records) >= (patience or float("inf"))


def open_run(path: Path) -> Run:
    """Open a run folder.

    Raises:
        RunNotFoundError: there is no run at `path`.
        RunError: its config.json is damaged or newer than this version.
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
                f"{file} has format {fields['format']}, this version of sentimm reads {FORMAT}: update sentimm."
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


def newest_run(folder: Path) -> Path:
    """Find the run in `folder` that was written last.

    Raises:
        RunNotFoundError: there is none.
    """
    runs = [path for path in folder.glob("*") if is_run(path)] if folder.is_dir() else []
    if not runs:
        raise RunNotFoundError(
            f"There is no training run in {folder}/: train one with `sentimm train`, or name a run folder."
        )
    return max(runs, key=lambda path: (path / "config.json").stat().st_mtime)


def is_run(path: Path) -> bool:
    """Tell whether `path` is a run folder (a folder of transformers has a config.json too)."""
    try:
        return "fusion" in json.loads((path / "config.json").read_text())
    except (OSError, ValueError):
        return False


def count_stale(records: Sequence[Mapping[str, Any]]) -> int:
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
    """Load what `save_weights` saved.

    Raises:
        RunError: the file is not there, is damaged or does not fit the model.
    """
    try:
        model.load_state_dict(load_file(path))
    except FileNotFoundError as error:
        raise RunError(
            f"{path} is not there: the run has no finished epoch yet. Go on with `train --resume`."
        ) from error
    except (SafetensorError, RuntimeError, OSError) as error:
        raise RunError(f"{path} is damaged or is another model's: train again, or restore the file.") from error


@dataclass(frozen=True)
class StoredPosts:
    """Posts kept in a run, ready for a model: arrays of equal length, -1 says "no label".

    Attributes:
        texts: normalised texts, "" where a post has none.
        images: uint8 (3, size, size) each, None where a post has none.
        labels: what `score` is expected to answer, int64 (posts,).
        text_labels, image_labels: what one modality says by itself, int64 (posts,).
    """

    texts: tuple[str, ...]
    images: tuple[npt.NDArray[np.uint8] | None, ...]
    labels: npt.NDArray[np.int64]
    text_labels: npt.NDArray[np.int64]
    image_labels: npt.NDArray[np.int64]


def write_posts(posts: StoredPosts, path: Path) -> None:
    """Write posts as Parquet, images as PNG: the very pixels that the encoder saw."""
    frame = pl.DataFrame(
        {
            "text": list(posts.texts),
            "image": [None if image is None else _to_png(image) for image in posts.images],
            "label": posts.labels,
            "text_label": posts.text_labels,
            "image_label": posts.image_labels,
        },
        schema={"text": pl.String, "image": pl.Binary} | dict.fromkeys(_LABELS, pl.Int64),
    )
    with commit_file(path) as temporary:
        frame.write_parquet(temporary)


def read_posts(path: Path, size: int | None) -> StoredPosts:
    """Read what `write_posts` wrote; `size` is the side of the images in pixels.

    Runs of sentimm 0.1 keep no labels of one modality: there are none then.

    Raises:
        RunError: the file is not there or damaged.
    """
    try:
        frame = pl.read_parquet(path, glob=False)
        images = tuple(
            None if data is None or size is None else decode_image(data, size) for data in frame["image"].to_list()
        )
        none = pl.Series([-1] * len(frame), dtype=pl.Int64)
        labels = [(frame[name] if name in frame.columns else none).to_numpy() for name in _LABELS]
        return StoredPosts(tuple(frame["text"].to_list()), images, *labels)
    except (OSError, pl.exceptions.PolarsError, ImageError) as error:
        raise RunError(f"{path} is not there or damaged: train again, or restore the file.") from error


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Save what resuming needs: tensors, numbers, strings, lists and dicts."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_file(path, buffer.getvalue())


def load_state(path: Path) -> dict[str, Any]:
    """Load what `save_state` saved, without running code.

    Raises:
        RunError: the file is not there or damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on damaged files
        raise RunError(f"{path} is not there or damaged: the run can't be resumed, train again.") from error
    return state


def _to_png(image: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(buffer, "PNG")
    return buffer.getvalue()
