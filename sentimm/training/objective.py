"""What training minimises: a batch encoded, and the cross entropy of fusion and heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sentimm.models.encoders import Encoded
from sentimm.models.fusion import SentimentModel
from sentimm.training.batches import Batch
from sentimm.training.options import TrainOptions


class Objective(nn.Module):
    """The loss as a module: what accelerate wraps for mixed precision and for several processes."""

    def __init__(self, model: SentimentModel, options: TrainOptions) -> None:
        super().__init__()
        self.model = model
        self.options = options

    def forward(self, batch: Batch) -> Tensor:
        """Sum up the loss over the batch's posts: float32 ()."""
        return compute_loss(self.model, batch, self.options)


def encode_batch(model: SentimentModel, batch: Batch) -> tuple[Encoded | None, Encoded | None]:
    """Encode a batch's distinct texts and images as `fuse` takes them."""
    text = image = None
    if model.text is not None:
        if batch.text_raw is not None:
            text = model.text.finish(batch.text_raw, batch.mask)
        elif batch.ids is not None and batch.mask is not None:
            text = model.text(batch.ids, batch.mask)
        else:
            text = model.text.encode_nothing()
    if model.image is not None:
        if batch.image_raw is not None:
            image = model.image.finish(batch.image_raw)
        elif batch.pixels is not None:
            image = model.image(batch.pixels)
        else:
            image = model.image.encode_nothing()
    return text, image


def compute_loss(model: SentimentModel, batch: Batch, options: TrainOptions) -> Tensor:
    """Sum up the cross entropy of the fusion and of the heads, over the posts that have the label in question."""
    text, image = encode_batch(model, batch)
    heads = model.config.heads
    has_text = batch.text_index < (0 if text is None else len(text))
    has_image = batch.image_index < (0 if image is None else len(image))
    complete = has_text & has_image
    text_index, image_index = batch.text_index, batch.image_index
    if text is not None and image is not None and options.modality_dropout:
        # At most one of the two is dropped, from the fusion's view alone.
        draw = torch.rand(complete.shape, device=complete.device)
        drop = options.modality_dropout / 2
        text_index = text_index.masked_fill(complete & (draw < drop), len(text))
        image_index = image_index.masked_fill(complete & (draw > 1 - drop), len(image))
    fused = model.fuse(text, image, text_index, image_index).fused
    answered = complete if heads else torch.ones_like(complete)
    loss = _sum_losses(fused, batch.label, answered, options)
    if heads:
        text_scores, image_scores = model.ask_heads(text, image, batch.text_index, batch.image_index)
        for head_scores, own, label, present, other in (
            (text_scores, batch.text_label, batch.label, has_text, has_image),
            (image_scores, batch.image_label, batch.label, has_image, has_text),
        ):
            if head_scores is not None:
                target = torch.where((own < 0) & ~other, label, own)
                loss = loss + options.head_weight * _sum_losses(head_scores, target, present, options)
    return loss


def _sum_losses(scores: Tensor, label: Tensor, counted: Tensor, options: TrainOptions) -> Tensor:
    counted = counted & (label >= 0)
    # In float32 whatever the encoders computed in: bf16 keeps 8 bits.
    target, smoothing = label.clamp(min=0), options.label_smoothing
    losses = F.cross_entropy(scores.float(), target, reduction="none", label_smoothing=smoothing)
    return (losses * counted).sum()
