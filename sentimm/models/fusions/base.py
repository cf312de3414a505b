"""What all fusions share: their configuration, their inputs, and the classifiers they end in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from sentimm.errors import UsageError


@dataclass(frozen=True)
class FusionConfig:
    """A fusion by `name` (a key of `FUSIONS`), and the `heads` ("text", "image") beside it.

    `literal`: add up two probability vectors instead of two vectors of scores, as the paper's formulas are printed.
    `composed`: the share, in [0, 1), of what both heads make together in the answers to complete posts, where the label
    at the index `neutral` yields to any other (see `sentiment_model.compose`).
    """

    name: str
    width: int
    heads: tuple[str, ...] = ()
    attention_heads: int = 12
    dropout: float = 0.1
    literal: bool = False
    composed: float = 0.0
    neutral: int | None = None


@dataclass(frozen=True)
class ModalityInput:
    """One modality of each post, as a fusion takes it; a post without it has the learned vector of its absence.

    Attributes:
        features: F, float (posts, width).
        present: bool (posts, 1), whether the post has the modality.
        sequence: H, float (posts, tokens, width), one token of an absent modality; None where the fusion does not
            attend.
        mask: bool (posts, tokens), which tokens are real: one or more of each post; None with `sequence`.
    """

    features: Tensor
    present: Tensor
    sequence: Tensor | None = None
    mask: Tensor | None = None

    def require_sequence(self) -> tuple[Tensor, Tensor]:
        """Return sequence and mask.

        Raises:
            ValueError: there are none: the encoder was not built for a fusion that attends.
        """
        if self.sequence is None or self.mask is None:
            raise ValueError("this fusion attends over sequences: its encoders must be built with sequence=True")
        return self.sequence, self.mask


class Fusion(nn.Module):
    """Turns one `ModalityInput` for each of its modalities into scores: float (posts, labels).

    Attributes:
        modalities: the modalities it takes, in order.
        attends: whether it needs sequences.
        can_be_literal: whether the paper's formula adds up two classifiers.
    """

    modalities: ClassVar[tuple[str, ...]] = ("text", "image")
    attends: ClassVar[bool] = False
    can_be_literal: ClassVar[bool] = False

    def __init__(self, config: FusionConfig, labels: int) -> None:
        super().__init__()
        self.check(config)

    @classmethod
    def check(cls, config: FusionConfig) -> None:
        """Check that the fusion can be built as configured.

        Raises:
            UsageError: it can't.
        """
        if config.literal and not cls.can_be_literal:
            raise UsageError(
                f"--literal is for fusions that add up two classifiers (cmac, hstec, native-combine), and "
                f"{config.name} has one: leave it out."
            )
        if cls.attends and config.width % config.attention_heads:
            raise UsageError(
                f"--width {config.width} does not fit {config.attention_heads} attention heads: it must be a multiple "
                "of their number."
            )


class Classifier(nn.Sequential):
    """Two linear layers with dropout before each: (batch, inputs) to (batch, labels)."""

    def __init__(self, inputs: int, hidden: int, labels: int, dropout: float) -> None:
        super().__init__(
            nn.Dropout(dropout),
            nn.Linear(inputs, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, labels),
        )


class SummingFusion(Fusion):
    """A fusion that ends in TextClassifier(.) + ImageClassifier(.), each of which takes vectors of `inputs` numbers.

    Literally as printed, both return probabilities, whose sum is taken for scores: a second softmax follows, so no
    confidence in one of three labels exceeds e^2 / (e^2 + 2) = 0.787.
    """

    can_be_literal = True

    def __init__(self, config: FusionConfig, labels: int, inputs: int) -> None:
        super().__init__(config, labels)
        self.literal = config.literal
        self.text_classifier = Classifier(inputs, config.width, labels, config.dropout)
        self.image_classifier = Classifier(inputs, config.width, labels, config.dropout)

    def classify(self, text: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Classify (posts, inputs) vectors of both modalities: the two terms of the sum, (posts, labels) each."""
        text_term, image_term = self.text_classifier(text), self.image_classifier(image)
        if self.literal:
            return torch.softmax(text_term, dim=1), torch.softmax(image_term, dim=1)
        return text_term, image_term
