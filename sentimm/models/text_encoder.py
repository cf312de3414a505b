"""Encoders: a pretrained backbone, pooled and projected to the width that the fusion works in.

An encoder works in two steps, so that the outputs of a frozen backbone can be computed once and kept: `extract` runs
the backbone and, where the fusion takes feature vectors alone, pools what it gives; `finish` pools what is not pooled
yet, and projects (the projection is always trained).
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from sentimm.errors import InputError, UsageError
from sentimm.models.image_backbones import ImageBackbone, build_backbone, parse_backbones

_BERT_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")  # of a configuration


@dataclass(frozen=True)
class Encoded:
    """What an encoder makes of some texts or images.

    Attributes:
        features: F, float (rows, width).
        sequence: H, float (rows, tokens, width), where the fusion attends, else None.
        mask: bool or integer (rows, tokens), which tokens are real; None: all of them (an image's cells), or no H.
    """

    features: Tensor
    sequence: Tensor | None = None
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class TextEncoderConfig:
    """What it takes to build a text encoder again without its pretrained weights.

    `backbone` is the transformers configuration as a dict, `width` that of F, `dropout` the one before the projection;
    `sequence` says whether the encoder gives H besides.
    """

    name: str
    backbone: dict[str, Any]
    width: int
    pooling: Literal["mean", "cls"]
    max_tokens: int
    dropout: float
    sequence: bool = False


@dataclass(frozen=True)
class ImageEncoderConfig:
    """What it takes to build an image encoder again without its pretrained weights.

    `backbones` are names as `parse_backbones` gives them, `size` the side of the square image in pixels, `levels` of
    how many resolutions the last maps are used (see `build_backbone`); `sequence` says whether it gives H besides.
    """

    backbones: tuple[str, ...]
    width: int
    size: int
    dropout: float
    sequence: bool = False
    levels: int = 1


class _Projection(nn.Sequential):
    def __init__(self, channels: int, width: int, dropout: float) -> None:
        super().__init__(nn.Dropout(dropout), nn.Linear(channels, width), nn.ReLU())


class TextEncoder(nn.Module):
    """A BERT-family backbone from transformers: H is its last hidden states projected, F their pool projected."""

    def __init__(self, config: TextEncoderConfig, backbone: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        self.backbone = _without_pooler(backbone or _empty_text_backbone(config.backbone))
        self.hidden_size = int(config.backbone["hidden_size"])
        self.project = _Projection(self.hidden_size, config.width, config.dropout)

    def extract(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Run the backbone over int64 (batch, tokens) ids and mask.

        Gives (batch, hidden size), pooled, padding ignored; for an encoder with `sequence` the last hidden states,
        (batch, tokens, hidden size).
        """
        hidden: Tensor = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return hidden if self.config.sequence else self._pool(hidden, attention_mask)

    def finish(self, extracted: Tensor, attention_mask: Tensor | None) -> Encoded:
        """Make what `extract` gave an `Encoded`; the mask is needed with `sequence`."""
        if not self.config.sequence:
            return Encoded(self.project(extracted))
        if attention_mask is None:
            raise ValueError("hidden states need their attention_mask")
        return Encoded(self.project(self._pool(extracted, attention_mask)), self.project(extracted), attention_mask)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Encoded:
        """Encode int64 (batch, tokens) ids and mask."""
        return self.finish(self.extract(input_ids, attention_mask), attention_mask)

    def encode_nothing(self) -> Encoded:
        """Give what no texts are: zero rows, of one token where there is a sequence."""
        shape = (0, 1, self.hidden_size) if self.config.sequence else (0, self.hidden_size)
        weight = next(self.project.parameters())
        return self.finish(weight.new_zeros(shape), weight.new_zeros((0, 1), dtype=torch.int64))

    def _pool(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        if self.config.pooling == "cls":
            return hidden[:, 0]
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


class ImageEncoder(nn.Module):
    """One or more convolutional backbones side by side, their last maps together.

    H is the maps' cells row by row, projected; F is their average, projected.
    """

    def __init__(self, config: ImageEncoderConfig, backbones: Sequence[ImageBackbone] | None = None) -> None:
        super().__init__()
        self.config = config
        backbones = backbones or [
            build_backbone(name, pretrained=False, levels=config.levels) for name in config.backbones
        ]
        self.backbones = nn.ModuleList(backbones)
        self.channels = sum(backbone.channels for backbone in backbones)
        self.project = _Projection(self.channels, config.width, config.dropout)
        if config.sequence and len(backbones) > 1:
            _measure_maps(config, backbones)

    def extract(self, pixels: Tensor) -> Tensor:
        """Run the backbones over uint8 (batch, 3, size, size) images.

        Gives (batch, channels), averaged over the maps; for an encoder with `sequence` the maps' cells row by row,
        (batch, cells, channels). Channels are those of all backbones, one after the other.
        """
        backbones = cast(list[ImageBackbone], list(self.backbones))
        if self.config.sequence:
            return torch.cat([each(pixels) for each in backbones], dim=1).flatten(2).transpose(1, 2)
        return torch.cat([each.average(pixels) for each in backbones], dim=1)

    def finish(self, extracted: Tensor) -> Encoded:
        """Make what `extract` gave an `Encoded`."""
        if not self.config.sequence:
            return Encoded(self.project(extracted))
        return Encoded(self.project(extracted.mean(dim=1)), self.project(extracted))

    def forward(self, pixels: Tensor) -> Encoded:
        """Encode uint8 (batch, 3, size, size) images."""
        return self.finish(self.extract(pixels))

    def encode_nothing(self) -> Encoded:
        """Give what no images are: zero rows, of one cell where there is a sequence."""
        shape = (0, 1, self.channels) if self.config.sequence else (0, self.channels)
        return self.finish(next(self.project.parameters()).new_zeros(shape))

    def count_cells(self) -> int:
        """Count the cells of an image's last map, by looking at a blank one: 49 at 224 pixels for most backbones."""
        high, wide = _measure_maps(self.config, self.backbones)  # type: ignore[arg-type]
        return high * wide


def load_text_encoder(
    name: str,
    *,
    width: int,
    pooling: Literal["mean", "cls"],
    max_tokens: int,
    dropout: float,
    bert_dropout: float,
    sequence: bool = False,
) -> tuple[TextEncoder, bytes]:
    """Load a pretrained text encoder and its tokenizer.json (as bytes) by hub name or from a local folder.

    Raises:
        InputError: neither the hub nor the folder gives a model and a fast tokenizer.
        UsageError: the model can't read `max_tokens` tokens.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    hub_logging: Any = transformers_logging
    hub_logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it warns of each of its five tries to reach the hub
    try:
        # No code of the folder or the hub is run, neither as modules nor in pickles.
        config = AutoConfig.from_pretrained(
            name, trust_remote_code=False, **dict.fromkeys(_BERT_DROPOUTS, bert_dropout)
        )
        backbone = AutoModel.from_pretrained(
            name, config=config, attn_implementation="eager", trust_remote_code=False, weights_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False).backend_tokenizer
    except (OSError, ValueError, AttributeError, pickle.UnpicklingError) as error:
        where = "folder" if Path(name).is_dir() else "model hub"
        raise InputError(
            f"The text encoder {name!r} can't be loaded from the {where} ({_first_line(error)}): give --text-encoder "
            "PATH, a folder with config.json, model.safetensors and tokenizer.json."
        ) from error
    plain = _plain_config(config)
    if getattr(config, "is_encoder_decoder", False) or not hasattr(config, "hidden_size"):
        raise InputError(f"The text encoder {name!r} is a {config.model_type}, and one of BERT's family is needed.")
    plain["hidden_size"] = config.hidden_size  # some call it otherwise
    check_max_tokens(backbone, max_tokens, name)
    encoder_config = TextEncoderConfig(
        name=Path(name).name if Path(name).is_dir() else name,
        backbone=plain,
        width=width,
        pooling=pooling,
        max_tokens=max_tokens,
        dropout=dropout,
        sequence=sequence,
    )
    return TextEncoder(encoder_config, backbone), tokenizer.to_str().encode()


def check_max_tokens(backbone: nn.Module, max_tokens: int, name: str) -> None:
    """Check that a text backbone reads so many tokens.

    Raises:
        UsageError: it does not.
    """
    positions = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    if isinstance(positions, nn.Embedding):
        # RoBERTa and its kin count from the padding's number on.
        longest = positions.num_embeddings - (0 if positions.padding_idx is None else positions.padding_idx + 1)
    else:
        longest = int(getattr(backbone.config, "max_position_embeddings", max_tokens))
    if max_tokens > longest:
        raise UsageError(f"--max-tokens {max_tokens} is more than the {longest} that the text encoder {name!r} reads.")


def set_bert_dropout(encoder: TextEncoder, share: float) -> dict[str, Any]:
    """Set the dropout inside a text encoder's backbone, and give the backbone's configuration as it is then."""
    known = dict.fromkeys((name for name in _BERT_DROPOUTS if name in encoder.config.backbone), share)
    for part in encoder.backbone.modules():
        if known and isinstance(part, nn.Dropout):
            part.p = share
    return {**encoder.config.backbone, **known}


def load_image_encoder(
    names: str, *, width: int, size: int, dropout: float, sequence: bool = False, levels: int = 1
) -> ImageEncoder:
    """Load pretrained image backbones (see `parse_backbones` for `names`) as one image encoder.

    Raises:
        InputError: pretrained weights can't be had or don't fit.
        UsageError: a name is not one of torchvision's ResNets or timm's models, it has fewer levels, or with `sequence`
            the backbones' maps differ in size.
    """
    parsed = parse_backbones(names)
    backbones = [build_backbone(name, pretrained=True, weights=weights, levels=levels) for name, weights in parsed]
    config = ImageEncoderConfig(
        tuple(name for name, _ in parsed), width=width, size=size, dropout=dropout, sequence=sequence, levels=levels
    )
    return ImageEncoder(config, backbones)


def config_to_dict(config: TextEncoderConfig | ImageEncoderConfig | None) -> dict[str, Any] | None:
    """Turn an encoder's configuration into what JSON can hold."""
    return None if config is None else asdict(config)


def _measure_maps(config: ImageEncoderConfig, backbones: Iterable[ImageBackbone]) -> tuple[int, int]:
    """Find height and width of the backbones' last maps, which must lie on each other, cell by cell."""
    shapes = []
    for backbone in backbones:
        was_training = backbone.training
        pixels = torch.zeros(1, 3, config.size, config.size, dtype=torch.uint8, device=backbone.mean.device)
        with torch.inference_mode():
            high, wide = backbone.eval()(pixels).shape[2:]
        shapes.append((int(high), int(wide)))
        backbone.train(was_training)
    if len(set(shapes)) > 1:
        found = ", ".join(
            f"{name} {high} x {wide}" for name, (high, wide) in zip(config.backbones, shapes, strict=True)
        )
        raise UsageError(
            f"The last maps of the image encoders differ in size at --image-size {config.size} ({found}), so a fusion "
            "can't attend to both: choose encoders that agree, or one."
        )
    return shapes[0]


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
