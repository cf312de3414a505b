"""Encoders: a pretrained backbone, pooled and projected to the width that the fusion works in.

An encoder works in two steps, so that the outputs of a frozen backbone can be computed once and kept: `extract` runs
the backbone and pools it, `project` (always trained) makes the feature vector F of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sentimm.errors import InputError, UsageError
from sentimm.models.backbones import ImageBackbone, build_backbone, parse_backbones


@dataclass(frozen=True)
class TextEncoderConfig:
    """What it takes to build a text encoder again without its pretrained weights.

    `backbone` is the transformers configuration as a dict, `width` that of F, `dropout` the one before the projection.
    """

    name: str
    backbone: dict[str, Any]
    width: int
    pooling: Literal["mean", "cls"]
    max_tokens: int
    dropout: float


@dataclass(frozen=True)
class ImageEncoderConfig:
    """What it takes to build an image encoder again without its pretrained weights.

    `backbones` are names as `parse_backbones` gives them, `size` the side of the square image in pixels.
    """

    backbones: tuple[str, ...]
    width: int
    size: int
    dropout: float


class _Projection(nn.Sequential):
    def __init__(self, channels: int, width: int, dropout: float) -> None:
        super().__init__(nn.Dropout(dropout), nn.Linear(channels, width), nn.ReLU())


class TextEncoder(nn.Module):
    """A BERT-family backbone from transformers; F is its pooled and projected last hidden state."""

    def __init__(self, config: TextEncoderConfig, backbone: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        self.backbone = _without_pooler(backbone or _empty_text_backbone(config.backbone))
        self.project = _Projection(int(config.backbone["hidden_size"]), config.width, config.dropout)

    def extract(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Pool the last hidden states of int64 (batch, tokens) ids to (batch, hidden size), padding ignored."""
        hidden: Tensor = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if self.config.pooling == "cls":
            return hidden[:, 0]
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode int64 (batch, tokens) ids and mask to F, (batch, width)."""
        features: Tensor = self.project(self.extract(input_ids, attention_mask))
        return features


class ImageEncoder(nn.Module):
    """One or more convolutional backbones side by side; F projects their average-pooled last maps together."""

    def __init__(self, config: ImageEncoderConfig, backbones: Sequence[ImageBackbone] | None = None) -> None:
        super().__init__()
        self.config = config
        backbones = backbones or [build_backbone(name, pretrained=False) for name in config.backbones]
        self.backbones = nn.ModuleList(backbones)
        channels = sum(backbone.channels for backbone in backbones)
        self.project = _Projection(channels, config.width, config.dropout)

    def extract(self, pixels: Tensor) -> Tensor:
        """Pool the last maps of uint8 (batch, 3, size, size) images to (batch, sum of the backbones' channels)."""
        return torch.cat([backbone(pixels).mean(dim=(2, 3)) for backbone in self.backbones], dim=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode uint8 (batch, 3, size, size) images to F, (batch, width)."""
        features: Tensor = self.project(self.extract(pixels))
        return features


def load_text_encoder(
    name: str,
    *,
    width: int,
    pooling: Literal["mean", "cls"],
    max_tokens: int,
    dropout: float,
    bert_dropout: float,
) -> tuple[TextEncoder, bytes]:
    """Load a pretrained text encoder and its tokenizer.json (as bytes) by hub name or from a local folder.

    Raises:
        InputError: neither the hub nor the folder gives a model and a fast tokenizer.
        UsageError: the model can't read `max_tokens` tokens.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer
    from transformers.utils import logging

    hub_logging: Any = logging
    hub_logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(
            name, hidden_dropout_prob=bert_dropout, attention_probs_dropout_prob=bert_dropout
        )
        backbone = AutoModel.from_pretrained(name, config=config, attn_implementation="eager")
        tokenizer = AutoTokenizer.from_pretrained(name).backend_tokenizer
    except (OSError, ValueError, AttributeError) as error:
        where = "folder" if Path(name).is_dir() else "model hub"
        raise InputError(
            f"The text encoder {name!r} can't be loaded from the {where} ({_first_line(error)}): give --text-encoder "
            "PATH, a folder with config.json, model.safetensors and tokenizer.json."
        ) from error
    longest = int(getattr(config, "max_position_embeddings", max_tokens))
    if max_tokens > longest:
        raise UsageError(f"--max-tokens {max_tokens} is more than the {longest} that the text encoder {name!r} reads.")
    encoder_config = TextEncoderConfig(
        name=Path(name).name if Path(name).is_dir() else name,
        backbone=_plain_config(config),
        width=width,
        pooling=pooling,
        max_tokens=max_tokens,
        dropout=dropout,
    )
    return TextEncoder(encoder_config, backbone), tokenizer.to_str().encode()


def load_image_encoder(names: str, *, width: int, size: int, dropout: float) -> ImageEncoder:
    """Load pretrained image backbones (see `parse_backbones` for `names`) as one image encoder.

    Raises:
        InputError: pretrained weights can't be had or don't fit.
        UsageError: a name is not one of torchvision's ResNets or timm's models.
    """
    parsed = parse_backbones(names)
    backbones = [build_backbone(name, pretrained=True, weights=weights) for name, weights in parsed]
    config = ImageEncoderConfig(tuple(name for name, _ in parsed), width=width, size=size, dropout=dropout)
    return ImageEncoder(config, backbones)


def config_to_dict(config: TextEncoderConfig | ImageEncoderConfig | None) -> dict[str, Any] | None:
    """Turn an encoder's configuration into what JSON can hold."""
    return None if config is None else asdict(config)


def _empty_text_backbone(config: dict[str, Any]) -> nn.Module:
    from transformers import AutoConfig, AutoModel

    fields = {key: value for key, value in config.items() if key != "model_type"}
    full: Any = AutoConfig.for_model(config["model_type"], **fields)
    model_class: Any = AutoModel
    backbone: nn.Module = model_class.from_config(full, attn_implementation="eager")
    return backbone


def _without_pooler(backbone: nn.Module) -> nn.Module:
    if getattr(backbone, "pooler", None) is not None:
        setattr(backbone, "pooler", None)  # noqa: B010 - a transformers model, whose pooler is declared as a module
    return backbone


def _plain_config(config: Any) -> dict[str, Any]:
    """Keep what shapes the model; file paths and library versions stay out of the run."""
    skipped = {"_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype"}
    return {
        key: value
        for key, value in config.to_dict().items()
        if key not in skipped and isinstance(value, bool | int | float | str)
    }


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
