"""The fusions that attend over hidden states: `cmac` and `hstec`. Attention and means ignore padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sentimm.models.fusions.base import FusionConfig, ModalityInput, SummingFusion


class CrossModalAttention(SummingFusion):
    """`cmac`: each modality's tokens attend to the other's, and the mean of the result is joined to F.

    a_IT = mean(MHA(H_I, H_T, H_T)), a_TI = mean(MHA(H_T, H_I, H_I)) (query, key, value), and
    TextClassifier([F_T; a_IT]) + ImageClassifier([F_I; a_TI]).
    """

    attends = True

    def __init__(self, config: FusionConfig, labels: int) -> None:
        super().__init__(config, labels, 2 * config.width)
        self.image_to_text = _make_attention(config)
        self.text_to_image = _make_attention(config)

    def forward(self, text: ModalityInput, image: ModalityInput) -> Tensor:
        """Score posts: (posts, labels)."""
        about_text = _attend(self.image_to_text, image, text)
        about_image = _attend(self.text_to_image, text, image)
        text_term, image_term = self.classify(
            torch.cat([text.features, about_text], dim=1), torch.cat([image.features, about_image], dim=1)
        )
        return text_term + image_term


class HiddenStateTransformerEncoder(SummingFusion):
    """`hstec`: one transformer encoder layer over the tokens of both modalities, and its mean joined to each F.

    a = mean(TransformerEncoder([H_T; H_I])), and TextClassifier([F_T; a]) + ImageClassifier([F_I; a]).
    """

    attends = True

    def __init__(self, config: FusionConfig, labels: int) -> None:
        super().__init__(config, labels, 2 * config.width)
        layer = nn.TransformerEncoderLayer(
            d_model=config.width,
            nhead=config.attention_heads,
            dim_feedforward=2 * config.width,
            dropout=config.dropout,
            batch_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)

    def forward(self, text: ModalityInput, image: ModalityInput) -> Tensor:
        """Score posts: (posts, labels)."""
        (text_sequence, text_mask), (image_sequence, image_mask) = text.require_sequence(), image.require_sequence()
        mask = torch.cat([text_mask, image_mask], dim=1)
        states = self.encoder(torch.cat([text_sequence, image_sequence], dim=1), src_key_padding_mask=~mask)
        mean = _average(states, mask)
        text_term, image_term = self.classify(
            torch.cat([text.features, mean], dim=1), torch.cat([image.features, mean], dim=1)
        )
        return text_term + image_term


def _make_attention(config: FusionConfig) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(config.width, config.attention_heads, dropout=config.dropout, batch_first=True)


def _attend(attention: nn.MultiheadAttention, source: ModalityInput, target: ModalityInput) -> Tensor:
    """Attend from the tokens of `source` to those of `target`: the mean over `source`, float (posts, width)."""
    (queries, query_mask), (values, mask) = source.require_sequence(), target.require_sequence()
    attended, _ = attention(queries, values, values, key_padding_mask=~mask, need_weights=False)
    return _average(attended, query_mask)


def _average(sequence: Tensor, mask: Tensor) -> Tensor:
    """Average (posts, tokens, width) over the real tokens: (posts, width)."""
    weights = mask.unsqueeze(-1).to(sequence.dtype)
    return (sequence * weights).sum(dim=1) / weights.sum(dim=1)
