"""Folders of published image networks, as timm and transformers write them, read as networks of timm."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sentimm.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Colours = tuple[tuple[float, ...], tuple[float, ...]]  # mean and deviation of each colour, from 0 to 1

_HALF = (0.5, 0.5, 0.5)
# The fields of a transformer's shape, and what they are where a configuration says nothing.
_VIT_SHAPE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
# Width, layers and heads of a transformer, and what timm calls its size.
_VIT_SIZES = {(192, 12, 3): "tiny", (384, 12, 6): "small", (768, 12, 12): "base", (1024, 24, 16): "large"}
_RESNETS = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (3, 4, 6, 3)): "resnet50",
    ("bottleneck", (3, 4, 23, 3)): "resnet101",
    ("bottleneck", (3, 8, 36, 3)): "resnet152",
}
# What transformers calls a part, as regular expressions, and what timm does.
_Parts = tuple[tuple[str, Any], ...]
_VIT_PARTS: _Parts = (
    (r"^embeddings\.cls_token", "cls_token"),
    (r"^embeddings\.position_embeddings", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"^layernorm\.", "norm."),
)
_RESNET_PARTS: _Parts = (
    (r"^embedder\.embedder\.convolution", "conv1"),
    (r"^embedder\.embedder\.normalization", "bn1"),
    (r"^encoder\.stages\.(\d+)\.layers\.", lambda found: f"layer{int(found[1]) + 1}."),
    (r"\.layer\.(\d+)\.convolution", lambda found: f".conv{int(found[1]) + 1}"),
    (r"\.layer\.(\d+)\.normalization", lambda found: f".bn{int(found[1]) + 1}"),
    (r"\.shortcut\.convolution", ".downsample.0"),
    (r"\.shortcut\.normalization", ".downsample.1"),
)


@dataclass(frozen=True)
class PublishedImages:
    """A folder of an image network, whose classifier, if it has one, is left behind.

    Attributes:
        folder: with config.json and model.safetensors.
        kind: whose names its tensors have: `timm`, or a `model_type` of transformers (`vit`, `resnet`).
        network: the name of the same network in timm.
        size: the side of the images in pixels that it was trained with; None: the network's usual one.
        colours: of the images that it was trained on; None: the network's usual ones.
    """

    folder: Path
    kind: str
    network: str
    size: int | None
    colours: Colours | None

    def load_state(self) -> dict[str, Tensor]:
        """Load its tensors by timm's names.

        Raises:
            InputError: they can't be read.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        file = self.folder / "model.safetensors"
        if not file.is_file():
            raise InputError(
                f"The folder {str(self.folder)!r} has no model.safetensors: name one whose weights are in that file "
                "(other formats may hold code)."
            )
        try:
            state: dict[str, Tensor] = load_file(file)
        except (SafetensorError, OSError) as error:
            raise InputError(f"{file} can't be read as safetensors ({error}): copy it again.") from error
        if self.kind == "vit":
            return _convert_vit(state)
        if self.kind == "resnet":
            return {_rename(name.removeprefix("resnet."), _RESNET_PARTS): tensor for name, tensor in state.items()}
        return {name.removeprefix("timm_model."): tensor for name, tensor in state.items()}


def find_modality(folder: Path) -> Literal["text", "image"] | None:
    """Return what a folder of timm or transformers encodes; None where it is none of these, or holds both."""
    fields = _read_fields(folder / "config.json")
    if "architecture" in fields:
        return "image"
    if "model_type" not in fields:
        return None
    if "vocab_size" in fields:
        return "text"
    return "image" if "image_size" in fields or "num_channels" in fields else None


def read_published_images(folder: Path) -> PublishedImages:
    """Read which image network a folder of timm or transformers holds.

    Raises:
        InputError: it holds none that is known here.
    """
    fields = _read_fields(folder / "config.json")
    kind = fields.get("model_type")
    if "architecture" in fields:
        own = fields | (fields.get("pretrained_cfg") or {})
        size = own.get("input_size", (3, None, None))[1]
        colours = (tuple(own["mean"]), tuple(own["std"])) if {"mean", "std"} <= own.keys() else None
        return PublishedImages(folder, "timm", str(fields["architecture"]), size, colours)
    if kind == "vit":
        return PublishedImages(folder, kind, _name_vit(folder, fields), _find_size(fields), _read_colours(folder))
    if kind == "resnet":
        return PublishedImages(folder, kind, _name_resnet(folder, fields), None, _read_colours(folder))
    raise _explain_unknown(folder, "no network of timm or transformers" if kind is None else f"a {kind}")


def _read_fields(file: Path) -> dict[str, Any]:
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _name_vit(folder: Path, fields: Mapping[str, Any]) -> str:
    import timm

    shape = tuple(fields.get(name, usual) for name, usual in _VIT_SHAPE.items())
    size, patch = _VIT_SIZES.get(shape[:3]), fields.get("patch_size", 16)
    names = [f"vit_{size}_patch{patch}_{pixels}" for pixels in (_find_size(fields), 224, 384)]
    network = next((name for name in names if timm.is_model(name)), None)
    usual = fields.get("hidden_act", "gelu") == "gelu" and fields.get("qkv_bias", True)
    if network is None or not usual or shape[3] != 4 * shape[0]:
        raise _explain_unknown(folder, f"a vit with {shape[1]} layers of {shape[0]} and patches of {patch} pixels")
    return network


def _name_resnet(folder: Path, fields: Mapping[str, Any]) -> str:
    kind, depths = fields.get("layer_type", "bottleneck"), tuple(fields.get("depths", (3, 4, 6, 3)))
    name = _RESNETS.get((kind, depths))
    moved = fields.get("downsample_in_bottleneck") or fields.get("downsample_in_first_stage")
    if name is None or moved or fields.get("embedding_size", 64) != 64:
        raise _explain_unknown(folder, f"a resnet of {kind} layers, {', '.join(map(str, depths))}")
    return name


def _find_size(fields: Mapping[str, Any]) -> int:
    size = fields.get("image_size", 224)
    return int(size[0] if isinstance(size, list) else size)


def _read_colours(folder: Path) -> Colours | None:
    fields = _read_fields(folder / "preprocessor_config.json")
    if fields.get("do_normalize") is False:
        return (0.0,) * 3, (1.0,) * 3
    return (tuple(fields["image_mean"]), tuple(fields["image_std"])) if "image_mean" in fields else (_HALF, _HALF)


def _explain_unknown(folder: Path, found: str) -> InputError:
    return InputError(
        f"The folder {str(folder)!r} of --image-encoder holds {found}: use one of timm, or a ViT or ResNet of "
        "transformers of a usual size."
    )


def _convert_vit(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # timm's norms add 1e-6 to a variance, and those of transformers 1e-12: next to nothing in trained networks.
    import torch

    converted = {}
    for name, tensor in state.items():
        key = name.removeprefix("vit.")
        if (found := re.fullmatch(r"encoder\.layer\.(\d+)\.attention\.attention\.(\w+)\.(\w+)", key)) is None:
            converted[_rename(key, _VIT_PARTS)] = tensor
        elif found[2] == "query":
            parts = [state.get(name.replace(".query.", f".{part}."), tensor) for part in ("query", "key", "value")]
            converted[f"blocks.{found[1]}.attn.qkv.{found[3]}"] = torch.cat(parts)
    return converted


def _rename(name: str, parts: _Parts) -> str:
    for pattern, replacement in parts:
        name = re.sub(pattern, replacement, name)
    return name
