"""A published classifier's scores as log probabilities of a bundle's labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Of a label that the classifier does not have: as good as never, and a finite number in fp16 too.
_NEVER = -27.0


class ClassScores(nn.Module):
    """The log probabilities of labels, each of which is the sum of some of a classifier's own, the others left out.

    Args:
        groups: for each label, the numbers of the classifier's own.
    """

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self._groups = [list(group) for group in groups]

    @property
    def labels(self) -> int:
        """The number of labels."""
        return len(self._groups)

    def forward(self, scores: Tensor) -> Tensor:
        """Turn scores before softmax, float (batch, own labels), into log probabilities (batch, labels)."""
        sums = [_add_up(scores, group) for group in self._groups if group]
        found = iter(torch.split(torch.log_softmax(torch.cat(sums, dim=1), dim=1), 1, dim=1))
        never = torch.full_like(scores[:, :1], _NEVER)
        return torch.cat([next(found) if group else never for group in self._groups], dim=1)


def _add_up(scores: Tensor, group: list[int]) -> Tensor:
    if len(group) == 1:
        return scores[:, group[0] : group[0] + 1]
    return torch.logsumexp(torch.cat([scores[:, number : number + 1] for number in group], dim=1), dim=1, keepdim=True)
