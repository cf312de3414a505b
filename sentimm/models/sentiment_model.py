"""The model that joins encoders, fusion and heads.

Paper: "Multimodal Sentiment Analysis Based on BERT and ResNet", section 3. F_T and F_I are the encoders' feature
vectors, H_T and H_I their sequences of hidden states, all of one width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from sentimm.errors import UsageError
from sentimm.models.fusions import FUSIONS, FusionConfig, Seen
from sentimm.models.text_encoder import Encoded, ImageEncoder, TextEncoder

__all__ = ["FUSIONS", "FusionConfig", "Scores", "SentimentModel", "check_fusion"]


_LEAST = 1e-12  # of a probability before its logarithm


class Scores(NamedTuple):
    """Class scores, float (posts, labels) each; those of the heads are None where there is no such head.

    `scores` is the answer: `fused` for complete posts, and for posts of one modality that modality's head's where there
    is one. `fused` is what the fusion says of every post, mixed for complete ones with what the heads make together
    where the fusion is `composed`.
    """

    scores: Tensor
    fused: Tensor
    text_scores: Tensor | None
    image_scores: Tensor | None


def check_fusion(config: FusionConfig) -> None:
    """Check that there is such a fusion, and that it can be made so.

    Raises:
        UsageError: there is none, its attention heads don't divide the width, it has no literal form, or there are not
            both heads, or no neutral label, for it to be composed with.
    """
    if config.name not in FUSIONS:
        raise UsageError(f"--fusion {config.name!r} is not one of {', '.join(FUSIONS)}.")
    FUSIONS[config.name].check(config)
    if not config.composed:
        return
    if config.literal:
        raise UsageError("--literal is the paper's formula, which --composed is not: leave one of them away.")
    if len(config.heads) < 2:
        raise UsageError(
            "--composed needs both heads, and a fusion of text and image: give posts with a text_label and an "
            "image_label, or with a text or an image alone, or leave it away."
        )
    if config.neutral is None:
        raise UsageError("--composed needs a label named `neutral`, which yields to the others: leave it away.")


def compose(text: Tensor, image: Tensor, neutral: int) -> Tensor:
    """Give what the labels of a text and of an image make together: probabilities, (posts, labels).

    Both are the same, or one of them is the label at index `neutral` and yields; pairs of two others that differ are
    left out. That is how MVSA's pairs of labels were made one (Xu and Mao, "MultiSentiNet", CIKM 2017).

    Args:
        text: probabilities, float (posts, labels).
        image: the same.
        neutral: the index of the label that yields.
    """
    text_neutral, image_neutral = text[:, neutral : neutral + 1], image[:, neutral : neutral + 1]
    is_neutral = torch.arange(text.shape[1], device=text.device) == neutral
    same = text * image
    together = torch.where(is_neutral, same, same + text * image_neutral + text_neutral * image)
    return together / together.sum(dim=1, keepdim=True).clamp(min=_LEAST)


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
        fused = self.fusion(*seen.values())
        text_scores, image_scores = self._ask_heads(seen)
        if self.config.composed and text_scores is not None and image_scores is not None:
            is_complete = seen["text"].present & seen["image"].present
            fused = torch.where(is_complete, self._mix(fused, text_scores, image_scores), fused)
        scores = fused
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

    def _mix(self, fused: Tensor, text_scores: Tensor, image_scores: Tensor) -> Tensor:
        """Mix what the fusion says with what the heads make together: logarithms of probabilities."""
        share, neutral = self.config.composed, self.config.neutral
        assert neutral is not None
        # In float32 whatever the encoders computed in: bf16 keeps 8 bits.
        said, text, image = (torch.softmax(each.float(), dim=1) for each in (fused, text_scores, image_scores))
        return torch.log(((1 - share) * said + share * compose(text, image, neutral)).clamp(min=_LEAST))

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
