"""The model: encoders, a fusion and heads put together.

Paper: "Multimodal Sentiment Analysis Based on BERT and ResNet", section 3. F_T and F_I are the encoders' feature
vectors, H_T and H_I their sequences of hidden states, all of one width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from sentimm.errors import UsageError
from sentimm.models.encoder_output import EncoderOutput
from sentimm.models.fusions import FUSIONS, FusionConfig, ModalityInput
from sentimm.models.image_encoder import ImageEncoder
from sentimm.models.text_encoder import TextEncoder

__all__ = ["FUSIONS", "FusionConfig", "ModelOutput", "SentimentModel", "check_fusion"]


_LEAST = 1e-12  # of a probability before its logarithm


class ModelOutput(NamedTuple):
    """Class scores, float (posts, labels) each; those of the heads are None where there is no such head.

    `scores` is the answer: `fused` for complete posts, and for posts of one modality the scores of its head where there
    is one. `fused` is the fusion's output for every post; where the fusion is `composed`, that of complete posts is
    mixed with what the heads make together.
    """

    scores: Tensor
    fused: Tensor
    text_scores: Tensor | None
    image_scores: Tensor | None


def check_fusion(config: FusionConfig) -> None:
    """Check that the fusion exists and can be built as configured.

    Raises:
        UsageError: there is no such fusion, its attention heads don't divide the width, it has no literal form, or it
            is composed without both heads or without a neutral label.
    """
    if config.name not in FUSIONS:
        raise UsageError(f"--fusion {config.name!r} is not one of {', '.join(FUSIONS)}.")
    FUSIONS[config.name].check(config)
    if not config.composed:
        return
    if config.literal:
        raise UsageError("--literal is the paper's formula, and --composed changes it: leave one of them out.")
    if len(config.heads) < 2:
        raise UsageError(
            "--composed needs both heads and a fusion of text and image: name posts with a text_label and an "
            "image_label, or posts of a text or an image alone, or leave it out."
        )
    if config.neutral is None:
        raise UsageError("--composed needs a label named `neutral`, which yields to the others: leave --composed out.")


def compose(text: Tensor, image: Tensor, neutral: int) -> Tensor:
    """Return the probabilities of the label that a text's and an image's labels make together: float (posts, labels).

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
        text: EncoderOutput | None,
        image: EncoderOutput | None,
        text_index: Tensor | None,
        image_index: Tensor | None,
    ) -> ModelOutput:
        """Score posts from the encoded distinct texts and images and the rows of them that each post has.

        Args:
            text: the text encoder's output, None where the model has none.
            image: the image encoder's output, None where the model has none.
            text_index: int64 (posts,), a row of `text`, or the number of its rows where a post has no text.
            image_index: int64 (posts,), likewise for images.
        """
        inputs = self._gather_inputs(text, image, text_index, image_index)
        fused = self.fusion(*inputs.values())
        text_scores, image_scores = self._apply_heads(inputs)
        if self.config.composed and text_scores is not None and image_scores is not None:
            is_complete = inputs["text"].present & inputs["image"].present
            fused = torch.where(is_complete, self._mix_with_heads(fused, text_scores, image_scores), fused)
        scores = fused
        if text_scores is not None:
            scores = torch.where(inputs["text"].present & ~inputs["image"].present, text_scores, scores)
        if image_scores is not None:
            scores = torch.where(inputs["image"].present & ~inputs["text"].present, image_scores, scores)
        return ModelOutput(scores, fused, text_scores, image_scores)

    def score_heads(
        self,
        text: EncoderOutput | None,
        image: EncoderOutput | None,
        text_index: Tensor | None,
        image_index: Tensor | None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return the scores of the heads alone (see `fuse`): `text_scores` and `image_scores`, as in `ModelOutput`."""
        return self._apply_heads(self._gather_inputs(text, image, text_index, image_index))

    def _gather_inputs(
        self,
        text: EncoderOutput | None,
        image: EncoderOutput | None,
        text_index: Tensor | None,
        image_index: Tensor | None,
    ) -> dict[str, ModalityInput]:
        inputs = {}
        for modality, encoded, index, missing in (
            ("text", text, text_index, self.missing_text),
            ("image", image, image_index, self.missing_image),
        ):
            if encoded is not None and index is not None:
                inputs[modality] = _gather(encoded, index, missing)
        return inputs

    def _mix_with_heads(self, fused: Tensor, text_scores: Tensor, image_scores: Tensor) -> Tensor:
        """Mix the fusion's answer with what the heads make together: log-probabilities, float32 (posts, labels)."""
        share, neutral = self.config.composed, self.config.neutral
        assert neutral is not None
        # In float32 whatever the encoders computed in: bf16 keeps 8 bits.
        answer, text, image = (torch.softmax(each.float(), dim=1) for each in (fused, text_scores, image_scores))
        return torch.log(((1 - share) * answer + share * compose(text, image, neutral)).clamp(min=_LEAST))

    def _apply_heads(self, inputs: dict[str, ModalityInput]) -> tuple[Tensor | None, Tensor | None]:
        return (
            None if self.text_head is None else self.text_head(inputs["text"].features),
            None if self.image_head is None else self.image_head(inputs["image"].features),
        )


def _gather(encoded: EncoderOutput, index: Tensor, missing: Tensor) -> ModalityInput:
    """Gather each post's row of `encoded`, or `missing` (1, width) where `index` is the number of rows."""
    features = torch.cat([encoded.features, missing])[index]
    present = (index < encoded.features.shape[0]).unsqueeze(1)
    if encoded.sequence is None:
        return ModalityInput(features, present)
    rows, tokens = encoded.sequence.shape[:2]
    device = encoded.sequence.device
    sequence = torch.cat([encoded.sequence, missing.unsqueeze(1).expand(1, tokens, -1)])[index]
    mask = torch.ones(rows, tokens, dtype=torch.bool, device=device) if encoded.mask is None else encoded.mask.bool()
    only_first = (torch.arange(tokens, device=device) == 0).unsqueeze(0)
    return ModalityInput(features, present, sequence, torch.cat([mask, only_first])[index])
