"""An exponential moving average of the weights that are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class AveragedWeights:
    """The average of a model's trained weights over its steps; frozen ones are left out.

    Args:
        model: the model, on its device.
        decay: weight of the average so far at each step; in the first steps, when there is little to average, less.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._averages = {name: weight.detach().clone() for name, weight in self._trained.items()}
        self._decay = decay
        self._steps = 0

    def update(self) -> None:
        """Add the weights after a step to the average."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        update: Any = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        update(list(self._averages.values()), list(self._trained.values()), self._steps)

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Run the block with the averages in place of the model's weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def to_state(self) -> dict[str, Any]:
        """Return the state for `load_state`."""
        return {"steps": self._steps, "weights": self._averages}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Load the state that `to_state` returned."""
        self._steps = int(state["steps"])
        for name, average in state["weights"].items():
            self._averages[name].copy_(average)

    @torch.no_grad()
    def _swap(self) -> None:
        for name, weight in self._trained.items():
            average = self._averages[name]
            weight.data, self._averages[name] = average, weight.data
