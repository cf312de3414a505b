"""What both encoders share: their output, and the projection to the width that the fusion works in.

An encoder works in two steps, so that the output of a frozen backbone can be computed once and cached: `extract` runs
the backbone and, where the fusion takes feature vectors alone, pools its output; `finish` pools what is not pooled yet,
and projects (the projection is always trained).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class EncoderOutput:
    """What an encoder makes of some texts or images.

    Attributes:
        features: F, float (rows, width).
        sequence: H, float (rows, tokens, width), where the fusion attends, else None.
        mask: bool or integer (rows, tokens), which tokens are real; None: all of them (an image's cells), or no H.
    """

    features: Tensor
    sequence: Tensor | None = None
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.features)


class Projection(nn.Sequential):
    """Dropout, a linear layer and ReLU: (..., channels) to (..., width)."""

    def __init__(self, channels: int, width: int, dropout: float) -> None:
        super().__init__(nn.Dropout(dropout), nn.Linear(channels, width), nn.ReLU())
