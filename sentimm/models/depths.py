"""How deep in an encoder each weight lies: what tuning by depth needs (frozen layers, rates that fall with depth)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import nn

from sentimm.models.image_backbones import ImageBackbone
from sentimm.models.image_encoder import ImageEncoder
from sentimm.models.text_encoder import TextEncoder
from sentimm.models.timm_networks import TimmTrunk

# The place of a layer in the names of transformers' weights: layer.3 (BERT), layers.3 (ModernBERT).
_LAYER = re.compile(r"(?:^|\.)(?:layer|layers|albert_layer_groups)\.(\d+)\.")
_BEFORE = ("embeddings.", "embedding_projection.", "encoder.embedding_hidden_mapping_in.")
_STAGE = re.compile(r"layer(\d)\.")  # of torchvision's ResNets


def list_depths(encoder: TextEncoder | ImageEncoder) -> dict[str, int]:
    """Return the depth of each weight of an encoder's backbones, by its name in `encoder`.

    0: what lies before the first layer (embeddings, the first convolution); then the layers from 1 on. What lies behind
    the last layer counts as a part of it. Backbones side by side count each by themselves.
    """
    if isinstance(encoder, TextEncoder):
        return {f"backbone.{name}": depth for name, depth in _list_text_depths(encoder.backbone).items()}
    depths: dict[str, int] = {}
    for number, backbone in enumerate(encoder.backbones):
        assert isinstance(backbone, ImageBackbone)
        depths |= {f"backbones.{number}.{name}": depth for name, depth in _list_image_depths(backbone).items()}
    return depths


def _list_text_depths(backbone: nn.Module) -> dict[str, int]:
    names = [name for name, _ in backbone.named_parameters()]
    found = {name: int(match[1]) + 1 for name in names if (match := _LAYER.search(name))}
    last = max(found.values(), default=0)
    return {name: found.get(name, 0 if name.startswith(_BEFORE) else last) for name in names}


def _list_image_depths(backbone: ImageBackbone) -> dict[str, int]:
    names = [name for name, _ in backbone.named_parameters()]
    if isinstance(backbone.network, TimmTrunk):
        return _group_by_timm(backbone.network, names)
    stages = ((name, _STAGE.search(name)) for name in names)
    return {name: int(stage[1]) if stage else 0 for name, stage in stages}


def _group_by_timm(trunk: TimmTrunk, names: Iterable[str]) -> dict[str, int]:
    from timm.models import group_parameters

    prefix = "network.network."
    groups = group_parameters(trunk.network, trunk.network.group_matcher(coarse=False), reverse=True)
    return {name: int(groups[name.removeprefix(prefix)]) for name in names}
