"""The optimiser: its parameter groups, learning rates and schedule, and what stays frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sentimm.errors import UsageError
from sentimm.models.depths import list_depths
from sentimm.models.sentiment_model import SentimentModel
from sentimm.training.options import TrainOptions


def make_optimizer(
    model: SentimentModel, options: TrainOptions, more: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """Return AdamW with a learning rate for the text backbone, one for the image backbones and one for all the rest.

    `more` are weights outside the model, such as those of auxiliary heads, which learn as all the rest does.

    Weights that `options.freeze` names get no gradient. With a layer decay d, the weights of a backbone at depth k of n
    learn at d ** (n - k) times its rate (ULMFiT, Howard and Ruder 2018, arXiv:1801.06146, section 3.2).

    Raises:
        UsageError: more layers are to be frozen than an encoder has.
    """
    groups: list[dict[str, Any]] = []
    rest = dict(model.named_parameters())
    for modality, encoder, rate in (
        ("text", model.text, options.learning_rate),
        ("image", model.image, options.image_lr or options.learning_rate),
    ):
        if encoder is None:
            continue
        depths = {f"{modality}.{name}": depth for name, depth in list_depths(encoder).items()}
        backbone = {name: rest.pop(name) for name in depths}
        frozen = _count_frozen(modality, options.freeze, max(depths.values(), default=0))
        for name, weight in backbone.items():
            weight.requires_grad_(depths[name] > frozen)
        groups += _group_by_rate(
            {name: each for name, each in backbone.items() if each.requires_grad}, depths, rate, options
        )
    groups.append({"params": [*rest.values(), *more], "lr": options.head_lr or options.learning_rate})
    # Fused: 15 ms a step for 22 million weights on two cores, 46 ms otherwise.
    return torch.optim.AdamW(groups, weight_decay=options.weight_decay, fused=True)


def _count_frozen(modality: str, freeze: Sequence[str], layers: int) -> int:
    """Return the depth up to which a backbone is frozen; -1: nothing of it."""
    if modality in freeze:
        return layers
    frozen = max((int(value.partition(":")[2]) for value in freeze if value.startswith(f"{modality}:")), default=-1)
    if frozen > layers:
        raise UsageError(f"--freeze {modality}:{frozen}: the {modality} encoder has {layers} layers.")
    return frozen


def _group_by_rate(
    weights: Mapping[str, nn.Parameter], depths: Mapping[str, int], rate: float, options: TrainOptions
) -> list[dict[str, Any]]:
    """Return a group of weights for each learning rate, deepest last."""
    if options.layer_decay == 1:
        return [{"params": list(weights.values()), "lr": rate}] if weights else []
    last = max(depths.values())
    of_depth: dict[int, list[nn.Parameter]] = {}
    for name, weight in weights.items():
        of_depth.setdefault(depths[name], []).append(weight)
    return [
        {"params": each, "lr": rate * options.layer_decay ** (last - depth)} for depth, each in sorted(of_depth.items())
    ]


def speed_up_convolutions(model: SentimentModel, mixed_precision: str, device: torch.device) -> None:
    """Use the fastest formats of convolutions: channels last, and on CPUs fp32 for depthwise ones in bf16.

    EfficientNet-Lite2, 16 images, forward and backward on two cores with AMX: 1.29 s, channels last 0.83 s; in bf16
    1.05 s, and 0.71 s with the depthwise convolutions in fp32.
    """
    if model.image is None:
        return
    model.image.backbones.to(memory_format=torch.channels_last)
    if device.type == "cpu" and mixed_precision == "bf16":
        for module in model.image.backbones.modules():
            if isinstance(module, nn.Conv2d) and module.groups > 1:
                setattr(module, "forward", partial(_convolve_in_fp32, module.forward))  # noqa: B010 - mypy


def _convolve_in_fp32(forward: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return forward(images.float()).to(images.dtype)


def make_schedule(
    optimizer: torch.optim.Optimizer, steps: int, options: TrainOptions
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return a schedule in which the learning rates rise and fall over `steps` steps of the optimiser."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps, options.warmup))


def _rate(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up over the share `warmup` of all steps, then linear decay to zero."""
    rising = steps * warmup
    if step < rising:
        return (step + 1) / (rising + 1)
    return max(0.0, (steps - step) / max(steps - rising, 1))


def freeze_statistics(model: SentimentModel, options: TrainOptions) -> None:
    """Freeze BatchNorm statistics, which small batches estimate poorly, and the dropout of a frozen text backbone."""
    if model.image is not None:
        model.image.backbones.eval()
    if model.text is not None and "text" in options.freeze:
        model.text.backbone.eval()
