"""The fusions of feature vectors: `ote`, `native-cat`, `native-combine`, and one modality alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sentimm.errors import UsageError
from sentimm.models.fusions.base import Classifier, Fusion, FusionConfig, ModalityInput, SummingFusion


class NativeCat(Fusion):
    """`native-cat`: Classifier([F_T; F_I])."""

    def __init__(self, config: FusionConfig, labels: int) -> None:
        super().__init__(config, labels)
        self.classifier = Classifier(2 * config.width, config.width, labels, config.dropout)

    def forward(self, text: ModalityInput, image: ModalityInput) -> Tensor:
        """Score posts: (posts, labels)."""
        scores: Tensor = self.classifier(torch.cat([text.features, image.features], dim=1))
        return scores


class NativeCombine(SummingFusion):
    """`native-combine`: TextClassifier(F_T) + ImageClassifier(F_I), without the term of an absent modality."""

    def __init__(self, config: FusionConfig, labels: int) -> None:
        super().__init__(config, labels, config.width)

    def forward(self, text: ModalityInput, image: ModalityInput) -> Tensor:
        """Score posts: (posts, labels)."""
        text_term, image_term = self.classify(text.features, image.features)
        return text_term * text.present + image_term * image.present


class OutputTransformerEncoder(Fusion):
    """`ote`: a transformer encoder over the one token [F_I, F_T] of width 2d, then a classifier.

    Attention over one token gives back that token's values: what is learned is the layer's feed-forward part.
    """

    def __init__(self, config: FusionConfig, labels: int) -> None:
        super().__init__(config, labels)
        layer = nn.TransformerEncoderLayer(
            d_model=2 * config.width,
            nhead=config.attention_heads,
            dim_feedforward=4 * config.width,
            dropout=config.dropout,
            batch_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)
        self.classifier = Classifier(2 * config.width, config.width, labels, config.dropout)

    @classmethod
    def check(cls, config: FusionConfig) -> None:
        """Check that the heads divide the token's width; as `Fusion.check`."""
        super().check(config)
        if 2 * config.width % config.attention_heads:
            raise UsageError(
                f"--width {config.width} does not fit {config.attention_heads} attention heads: twice the width must "
                "be a multiple of their number."
            )

    def forward(self, text: ModalityInput, image: ModalityInput) -> Tensor:
        """Score posts: (posts, labels)."""
        token = torch.cat([image.features, text.features], dim=1).unsqueeze(1)
        scores: Tensor = self.classifier(self.encoder(token).squeeze(1))
        return scores


class SingleModality(Fusion):
    """`bert` and `resnet`: Classifier(F) of one modality."""

    def __init__(self, config: FusionConfig, labels: int) -> None:
        super().__init__(config, labels)
        self.classifier = Classifier(config.width, config.width, labels, config.dropout)

    def forward(self, modality: ModalityInput) -> Tensor:
        """Score posts: (posts, labels)."""
        scores: Tensor = self.classifier(modality.features)
        return scores


class TextOnly(SingleModality):
    """`bert`: the text encoder alone."""

    modalities = ("text",)


class ImageOnly(SingleModality):
    """`resnet`: the image encoder alone."""

    modalities = ("image",)
