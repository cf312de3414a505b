"""How weights are moved: the optimiser, its learning rates and their schedule, and what stays frozen."""

from __future__ import annotations

import torch
from torch import nn

from sentimm.models.fusion import SentimentModel
from sentimm.training.options import TrainOptions


def make_optimizer(model: SentimentModel, options: TrainOptions) -> torch.optim.Optimizer:
    """AdamW over the backbones that are trained and, with its own rate, over all the rest."""
    backbones: list[nn.Parameter] = []
    for modality, backbone in (
        ("text", None if model.text is None else model.text.backbone),
        ("image", None if model.image is None else model.image.backbones),
    ):
        if backbone is not None:
            backbone.requires_grad_(modality not in options.freeze)
            backbones += list(backbone.parameters())
    known = {id(parameter) for parameter in backbones}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in known]
    return torch.optim.AdamW(
        [
            {"params": [parameter for parameter in backbones if parameter.requires_grad], "lr": options.learning_rate},
            {"params": rest, "lr": options.head_lr or options.learning_rate},
        ],
        weight_decay=options.weight_decay,
    )


def make_schedule(
    optimizer: torch.optim.Optimizer, steps: int, options: TrainOptions
) -> torch.optim.lr_scheduler.LambdaLR:
    """Let the learning rates rise and fall over `steps` steps of the optimiser."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps, options.warmup))


def _rate(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up over the share `warmup` of all steps, then linear decay to zero."""
    rising = steps * warmup
    if step < rising:
        return (step + 1) / (rising + 1)
    return max(0.0, (steps - step) / max(steps - rising, 1))


def freeze_statistics(model: SentimentModel, options: TrainOptions) -> None:
    """Keep the image backbones' BatchNorm statistics: small batches of tweets' pictures make poor ones."""
    if model.image is not None:
        model.image.backbones.eval()
    if model.text is not None and "text" in options.freeze:
        model.text.backbone.eval()
