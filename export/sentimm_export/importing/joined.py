"""Published classifiers as one of our models, without training: their log probabilities are F."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from sentimm.models.fusions.base import Classifier
from sentimm.models.image_encoder import ImageEncoder
from sentimm.models.sentiment_model import FusionConfig, SentimentModel
from sentimm.models.text_encoder import TextEncoder
from sentimm_export.importing.image_classifier import ImageClassifier
from sentimm_export.importing.text_classifier import TextClassifier

_NEUTRAL = "neutral"


def join_classifiers(
    labels: Sequence[str], text: TextClassifier | None, image: ImageClassifier | None, composed: float | None
) -> SentimentModel:
    """Return a model that answers as a classifier does, and complete posts as both do together.

    Where there are two, `composed` is the share of what `compose` makes of both in the answers to complete posts, all
    of it unless said otherwise; the rest is the product of both, which is the same thing where no label is neutral.

    Raises:
        UsageError: it is to be composed, and no label is neutral.
    """
    neutral = next((place for place, label in enumerate(labels) if label.lower() == _NEUTRAL), None)
    is_pair = text is not None and image is not None
    share = (float(neutral is not None) if composed is None else composed) if is_pair else 0.0
    config = FusionConfig(
        "native-combine" if is_pair else "bert" if text is not None else "resnet",
        len(labels),
        ("text", "image") if is_pair else (),
        dropout=0.0,
        composed=share,
        neutral=neutral,
    )
    # They stand in an encoder's place, and do all that the model asks of one.
    model = SentimentModel(config, len(labels), cast(TextEncoder | None, text), cast(ImageEncoder | None, image))
    with torch.no_grad():
        for head in (model.text_head, model.image_head):
            if head is not None:
                head.weight.copy_(torch.eye(len(labels)))
                head.bias.zero_()
        for part in model.fusion.modules():
            if isinstance(part, Classifier):
                _pass_on(part)
    return model.eval()


def _pass_on(classifier: Classifier) -> None:
    """Make a classifier return what it is given, which is below 0: twice its negative, as ReLU stands between."""
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            layer.weight.copy_(-torch.eye(len(layer.weight)))
            layer.bias.zero_()
