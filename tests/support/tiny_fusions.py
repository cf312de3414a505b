"""Fusions with random weights over two texts and three images, and five posts of these."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sentimm.models.encoder_output import EncoderOutput
from sentimm.models.sentiment_model import FUSIONS, FusionConfig, SentimentModel

WIDTH, LABELS, HEADS = 12, 3, 4
BOTH = ("text", "image")
TWO = [name for name, fusion in FUSIONS.items() if len(fusion.modalities) == 2]
# Posts: both, both, text alone, image alone, neither.
TEXT_INDEX, IMAGE_INDEX = torch.tensor([0, 1, 1, 2, 2]), torch.tensor([2, 0, 3, 1, 3])


def make_model(
    fusion: str, heads: tuple[str, ...] = (), *, literal: bool = False, composed: float = 0.0
) -> SentimentModel:
    torch.manual_seed(1)
    config = FusionConfig(fusion, WIDTH, heads, HEADS, literal=literal, composed=composed, neutral=1)
    model = SentimentModel(config, LABELS, None, None).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def make_encoded(*, seed: int = 2) -> tuple[EncoderOutput, EncoderOutput]:
    """Two texts of 3 and 5 tokens, padded to 6 with large numbers, and three images of 4 cells."""
    torch.manual_seed(seed)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]])
    sequence = torch.randn(2, 6, WIDTH).masked_fill(mask.unsqueeze(-1) == 0, 50.0)
    return (
        EncoderOutput(torch.randn(2, WIDTH), sequence, mask),
        EncoderOutput(torch.randn(3, WIDTH), torch.randn(3, 4, WIDTH)),
    )


def fuse(model: SentimentModel, text: EncoderOutput, image: EncoderOutput, posts: list[int] | None = None) -> Tensor:
    """What the model says of the posts, without heads; it is given what its fusion uses."""
    if not model.fusion.attends:
        text, image = EncoderOutput(text.features), EncoderOutput(image.features)
    rows = torch.arange(5) if posts is None else torch.tensor(posts)
    with torch.no_grad():
        return model.fuse(
            text if "text" in model.modalities else None,
            image if "image" in model.modalities else None,
            TEXT_INDEX[rows],
            IMAGE_INDEX[rows],
        ).fused


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def of_post(model: SentimentModel, text: EncoderOutput, image: EncoderOutput, post: int) -> tuple[np.ndarray, ...]:
    """A post's F_T, F_I, H_T and H_I without padding; the learned vector, as one token too, for what it lacks."""
    found = []
    for encoded, index, missing in (
        (text, TEXT_INDEX, model.missing_text),
        (image, IMAGE_INDEX, model.missing_image),
    ):
        row = int(index[post])
        if row == len(encoded):
            found.append((array(missing)[0], array(missing)))
            continue
        length = encoded.sequence.shape[1] if encoded.mask is None else int(encoded.mask[row].sum())
        found.append((array(encoded.features)[row], array(encoded.sequence)[row, :length]))
    return found[0][0], found[1][0], found[0][1], found[1][1]


def softmax(scores: list[float]) -> list[float]:
    powers = [np.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]
