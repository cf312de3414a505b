"""Training on the tiny corpus, and what came of it."""

from __future__ import annotations

from pathlib import Path

import torch

from sentimm.training.events import TrainingEvent
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import Run
from sentimm.training.train import start_run


def train(options: TrainOptions, path: Path) -> tuple[Run, list[TrainingEvent]]:
    events: list[TrainingEvent] = []
    return start_run(options, path, events.append), events


def weights(run: Run, name: str = "last") -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(run.path / f"{name}.safetensors")


def same_weights(run: Run, other: Run, name: str = "last") -> bool:
    return all(torch.equal(tensor, weights(other, name)[key]) for key, tensor in weights(run, name).items())


def losses(run: Run) -> list[float]:
    return [record["loss"] for record in run.read_metrics()]
