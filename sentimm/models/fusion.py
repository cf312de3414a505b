"""The fusions of the paper, and the model that joins encoders, fusion and heads.

Paper: "Multimodal Sentiment Analysis Based on BERT and ResNet", section 3. F_T and F_I are the encoders' feature
vectors, (batch, width) both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sentimm.errors import UsageError
from sentimm.models.encoders import ImageEncoder, TextEncoder


@dataclass(frozen=True)
class FusionConfig:
    """A fusion by `name` (a key of `FUSIONS`), and the `heads` ("text", "image") beside it."""

    name: str
    width: int
    heads: tuple[str, ...] = ()
    attention_heads: int = 12
    dropout: float = 0.1


class Scores(NamedTuple):
    """Class scores, float (posts, labels) each; those of the heads are None where there is no such head.

    `scores` is the answer: the fusion's for complete posts, and for posts of one modality that modality's head's where
    there is one. `fused` is what the fusion alone says of every post.
    """

    scores: Tensor
    fused: Tensor
    text_scores: Tensor | None
    image_scores: Tensor | None


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


class NativeCat(nn.Module):
    """`native-cat`: Classifier([F_T; F_I])."""

    modalities = ("text", "image")

    def __init__(self, config: FusionConfig, labels: int) -> None:
        super().__init__()
        self.classifier = Classifier(2 * config.width, config.width, labels, config.dropout)

    def forward(self, text: Tensor, image: Tensor) -> Tensor:
        """Score (batch, width) feature vectors: (batch, labels)."""
        scores: Tensor = self.classifier(torch.cat([text, image], dim=1))
        return scores


class OutputTransformerEncoder(nn.Module):
    """`ote`: a transformer encoder over the one token [F_I, F_T] of width 2d, then a classifier.

    Attention over one token gives back that token's values: what is learned is the layer's feed-forward part.
    """

    modalities = ("text", "image")

    def __init__(self, config: FusionConfig, labels: int) -> None:
        super().__init__()
        if 2 * config.width % config.attention_heads:
            raise UsageError(
                f"--width {config.width} does not fit {config.attention_heads} attention heads: twice the width must "
                "be a multiple of their number."
            )
        layer = nn.TransformerEncoderLayer(
            d_model=2 * config.width,
            nhead=config.attention_heads,
            dim_feedforward=4 * config.width,
            dropout=config.dropout,
            batch_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)
        self.classifier = Classifier(2 * config.width, config.width, labels, config.dropout)

    def forward(self, text: Tensor, image: Tensor) -> Tensor:
        """Score (batch, width) feature vectors: (batch, labels)."""
        token = torch.cat([image, text], dim=1).unsqueeze(1)
        scores: Tensor = self.classifier(self.encoder(token).squeeze(1))
        return scores


class SingleModality(nn.Module):
    """`bert` and `resnet`: Classifier(F) of one modality."""

    modalities: tuple[str, ...] = ()

    def __init__(self, config: FusionConfig, labels: int) -> None:
        super().__init__()
        self.classifier = Classifier(config.width, config.width, labels, config.dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Score (batch, width) feature vectors: (batch, labels)."""
        scores: Tensor = self.classifier(features)
        return scores


class TextOnly(SingleModality):
    """`bert`: the text encoder alone."""

    modalities = ("text",)


class ImageOnly(SingleModality):
    """`resnet`: the image encoder alone."""

    modalities = ("image",)


FUSIONS: dict[str, type[NativeCat] | type[OutputTransformerEncoder] | type[SingleModality]] = {
    "ote": OutputTransformerEncoder,
    "native-cat": NativeCat,
    "bert": TextOnly,
    "resnet": ImageOnly,
}


class SentimentModel(nn.Module):
    """At most one text encoder, at most one image encoder, a fusion, and heads.

    Args:
        config: the fusion and its heads.
        labels: number of labels.
        text: the text encoder, None where the fusion does not use texts.
        image: the image encoder, None where the fusion does not use images.
    """

    def __init__(self, config: FusionConfig, labels: int, text: TextEncoder | None, image: ImageEncoder | None) -> None:
        super().__init__()
        self.config = config
        self.labels = labels
        self.text = text
        self.image = image
        self.fusion = FUSIONS[config.name](config, labels)
        self.modalities = self.fusion.modalities
        # What the fusion sees in place of a modality that a post does not have.
        self.missing_text = nn.Parameter(torch.zeros(1, config.width))
        self.missing_image = nn.Parameter(torch.zeros(1, config.width))
        self.text_head = nn.Linear(config.width, labels) if "text" in config.heads else None
        self.image_head = nn.Linear(config.width, labels) if "image" in config.heads else None

    def fuse(
        self,
        text_features: Tensor | None,
        image_features: Tensor | None,
        text_index: Tensor | None,
        image_index: Tensor | None,
    ) -> Scores:
        """Score posts, given the feature vectors of distinct texts and images and which of them each post has.

        Args:
            text_features: float (texts, width), None where the model has no text encoder.
            image_features: float (images, width), None where the model has no image encoder.
            text_index: int64 (posts,), a row of `text_features`, or their number where a post has no text.
            image_index: int64 (posts,), likewise for images.
        """
        inputs, present = [], []
        for features, index, missing in (
            (text_features, text_index, self.missing_text),
            (image_features, image_index, self.missing_image),
        ):
            if features is not None and index is not None:
                inputs.append(torch.cat([features, missing])[index])
                present.append((index < features.shape[0]).unsqueeze(1))
        scores = fused = self.fusion(*inputs)
        text_scores = None if self.text_head is None else self.text_head(inputs[0])
        image_scores = None if self.image_head is None else self.image_head(inputs[-1])
        if text_scores is not None:
            scores = torch.where(present[0] & ~present[1], text_scores, scores)
        if image_scores is not None:
            scores = torch.where(present[1] & ~present[0], image_scores, scores)
        return Scores(scores, fused, text_scores, image_scores)
