from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sentimm.errors import RunError
from sentimm.models.sentiment_model import FusionConfig
from sentimm.training.run_folder import Run, load_state, load_weights, save_state


class Touch:
    """What touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.path,))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A file of torch that holds code."""
    torch.save({"weights": {"head.weight": Touch(tmp_path / "ran")}, "epoch": 1}, tmp_path / "trainer.pt")
    torch.load(tmp_path / "trainer.pt", weights_only=False)
    assert (tmp_path / "ran").exists(), "the file would prove nothing"
    (tmp_path / "ran").unlink()
    return tmp_path / "trainer.pt"


def test_code_in_a_training_state_is_not_run(state: Path) -> None:
    with pytest.raises(RunError, match=r"trainer\.pt is missing or damaged"):
        load_state(state)
    assert not (state.parent / "ran").exists()


def test_a_training_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    save_state({"weights": {"head.weight": torch.ones(2)}, "epoch": 3}, tmp_path / "trainer.pt")
    read = load_state(tmp_path / "trainer.pt")
    assert torch.equal(read["weights"]["head.weight"], torch.ones(2)) and read["epoch"] == 3


def test_code_in_place_of_weights_is_not_run(state: Path) -> None:
    weights = state.rename(state.with_name("best.safetensors"))
    with pytest.raises(RunError, match=r"best\.safetensors is damaged"):
        load_weights(torch.nn.Linear(2, 2), weights)
    assert not (state.parent / "ran").exists()


def test_code_among_scores_is_not_run(tmp_path: Path) -> None:
    np.save(tmp_path / "best-scores.npy", np.array([Touch(tmp_path / "ran")], dtype=object), allow_pickle=True)
    run = Run(tmp_path, ("a", "b"), FusionConfig("bert", 8), None, None, "tweet-1", {}, {})
    with pytest.raises(RunError, match=r"best-scores\.npy is missing or damaged"):
        run.read_scores("best")
    assert not (tmp_path / "ran").exists()
