"""The model that joins encoders, fusion and heads.

Paper: "Multimodal Sentiment Analysis Based on BERT and ResNet", section 3. F_T and F_I are the encoders' feature
vectors, H_T and H_I their sequences of hidden states, all of one width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from sentimm.errors import UsageError
from sentimm.models.encoders import Encoded, ImageEncoder, TextEncoder
from sentimm.models.fusions import FUSIONS, FusionConfig, Seen

__all__ = ["FUSIONS", "FusionConfig", "Scores", "SentimentModel", "check_fusion"]


class Scores(NamedTuple):
    """Class scores, float (posts, labels) each; those of the heads are None where there is no such head.

    `scores` is the answer: the fusion's for complete posts, and for posts of one modality that modality's head's where
    there is one. `fused` is what the fusion alone says of every post.
    """

    scores: Tensor
    fused: Tensor
    text_scores: Tensor | None
    image_scores: Tensor | None


def check_fusion(config: FusionConfig) -> None:
    """Check that there is such a fusion, and that it can be made so.

    Raises:
        UsageError: there is none, its attention heads don't divide the width, or it has no literal form.
    """
    if config.name not in FUSIONS:
        raise UsageError(f"--fusion {config.name!r} is not one of {', '.join(FUSIONS)}.")
    FUSIONS[config.name].check(config)


class SentimentModel(nn.Module):
    """At most one text encoder, at most one image encoder, a fusion, and heads.

    Args:
        config: the fusion and its heads.
        labels: number of labels.
        text: the text encoder, None where the fusion does not use texts.
        image: the image encoder, None where the fusion does not use images.

    Raises:
        UsageError: see `check_fusion`.
    """

    def __init__(self, config: FusionConfig, labels: int, text: TextEncoder | None, image: ImageEncoder | None) -> None:
        super().__init__()
        check_fusion(config)
        self.config = config
        self.labels = labels
        self.text = text
        self.image = image
        self.fusion = FUSIONS[config.name](config, labels)
        self.modalities = self.fusion.modalities
        # What the fusion sees in place of a modality that a post does not have: as F, and as the only token of H.
        self.missing_text = nn.Parameter(torch.zeros(1, config.width))
        self.missing_image = nn.Parameter(torch.zeros(1, config.width))
        self.text_head = nn.Linear(config.width, labels) if "text" in config.heads else None
        self.image_head = nn.Linear(config.width, labels) if "image" in config.heads else None

    def fuse(
        self,
        text: Encoded | None,
        image: Encoded | None,
        text_index: Tensor | None,
        image_index: Tensor | None,
    ) -> Scores:
        """Score posts, given distinct texts and images, encoded, and which of them each post has.

        Args:
            text: what the text encoder gave, None where the model has none.
            image: what the image encoder gave, None where the model has none.
            text_index: int64 (posts,), a row of `text`, or the number of its rows where a post has no text.
            image_index: int64 (posts,), likewise for images.
        """
        seen = self._see(text, image, text_index, image_index)
        scores = fused = self.fusion(*seen.values())
        text_scores, image_scores = self._ask_heads(seen)
        if text_scores is not None:
            scores = torch.where(seen["text"].present & ~seen["image"].present, text_scores, scores)
        if image_scores is not None:
            scores = torch.where(seen["image"].present & ~seen["text"].present, image_scores, scores)
        return Scores(scores, fused, text_scores, image_scores)

    def ask_heads(
        self, text: Encoded | None, image: Encoded | None, text_index: Tensor | None, image_index: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Give what the heads alone say of posts (see `fuse`): text_scores and image_scores, as in `Scores`."""
        return self._ask_heads(self._see(text, image, text_index, image_index))

    def _see(
        self, text: Encoded | None, image: Encoded | None, text_index: Tensor | None, image_index: Tensor | None
    ) -> dict[str, Seen]:
        seen = {}
        for modality, encoded, index, missing in (
            ("text", text, text_index, self.missing_text),
            ("image", image, image_index, self.missing_image),
        ):
            if encoded is not None and index is not None:
                seen[modality] = _gather(encoded, index, missing)
        return seen

    def _ask_heads(self, seen: dict[str, Seen]) -> tuple[Tensor | None, Tensor | None]:
        return (
            None if self.text_head is None else self.text_head(seen["text"].features),
            None if self.image_head is None else self.image_head(seen["image"].features),
        )


def _gather(encoded: Encoded, index: Tensor, missing: Tensor) -> Seen:
    """Give each post its row of `encoded`, or `missing` (1, width) where `index` is the number of rows."""
    features = torch.cat([encoded.features, missing])[index]
    present = (index < encoded.features.shape[0]).unsqueeze(1)
    if encoded.sequence is None:
        return Seen(features, present)
    rows, tokens = encoded.sequence.shape[:2]
    device = encoded.sequence.device
    sequence = torch.cat([encoded.sequence, missing.unsqueeze(1).expand(1, tokens, -1)])[index]
    mask = torch.ones(rows, tokens, dtype=torch.bool, device=device) if encoded.mask is None else encoded.mask.bool()
    only_first = (torch.arange(tokens, device=device) == 0).unsqueeze(0)
    return Seen(features, present, sequence, torch.cat([mask, only_first])[index])
