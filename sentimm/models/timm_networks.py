"""timm's networks, of any kind, as maps and vectors: convolutional, hierarchical, and transformers."""

from __future__ import annotations

import inspect
import math
import sys
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sentimm.errors import UsageError


class Maps(NamedTuple):
    """What a network returns.

    Attributes:
        maps: float (batch, channels, h, w), the coarsest last; of a network without a single last map, none.
        pooled: the network's own vectors, float (batch, pooled channels); None: the last map's average is one.
    """

    maps: list[Tensor]
    pooled: Tensor | None = None


class TimmTrunk(nn.Module):
    """A network of timm without its classifier: float images (batch, 3, size, size) to `Maps`.

    Args:
        network: made with `num_classes=0`.
        levels: of how many resolutions the last map is returned.
        own_pooling: vectors are the network's own, where these are not the average of its last map anyway.

    Attributes:
        pools: it returns the network's own vectors.
    """

    def __init__(self, network: Any, levels: int, own_pooling: bool) -> None:
        super().__init__()
        self.network = network
        self.pools = own_pooling and not _is_average(network)
        self._levels = levels

    def forward(self, images: Tensor) -> Maps:
        """Return the last map of each of the last levels; of a transformer, its patches."""
        if self._levels == 1:
            features, finer = self.network.forward_features(images), []
        else:
            features, maps = self.network.forward_intermediates(images, indices=self._levels)
            finer = maps[:-1]  # some networks have layers after their last level
        pooled = self.network.forward_head(features, pre_logits=True) if self.pools else None
        return Maps([*finer, *_list_maps(self.network, features)], pooled)


def create_network(name: str, size: int, pretrained: bool) -> Any:
    """Create a network of timm for images of `size` pixels, its positions interpolated where timm can.

    Raises:
        UsageError: timm has no such network, or it can't read images of this size.
        OSError, RuntimeError: published weights can't be downloaded.
    """
    import timm

    if not timm.is_model(name):
        close = ", ".join(timm.list_models(f"*{name[:8]}*")[:5]) or "see timm.list_models()"
        raise UsageError(f"--image-encoder timm:{name} is not a model of timm (similar names: {close}).")
    own_size = find_own_size(name)
    resized = size != own_size and _is_fixed(name)
    asked: dict[str, Any] = {"img_size": size} if resized else {}
    try:
        network = timm.create_model(name, pretrained=pretrained, num_classes=0, **asked)
        if resized:
            _try_size(network, size)
    except (TypeError, AssertionError, ValueError) as error:
        if not resized:
            raise
        raise UsageError(
            f"--image-size {size}: the image encoder timm:{name} was made for images of {own_size} pixels, and can't "
            f"be built for others: use --image-size {own_size}."
        ) from error
    return network


def find_own_size(name: str) -> int:
    """Return the side of the images, in pixels, that a network of timm was trained with; 224 where timm has none."""
    import timm

    config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    return 224 if config is None else int(config.input_size[1])


def list_levels(network: Any) -> list[int]:
    """List the channels of the levels before the last one, finest first; transformers of one resolution have none."""
    levels: list[dict[str, Any]] = list(getattr(network, "feature_info", ()))
    if not hasattr(network, "forward_intermediates") or len({level["reduction"] for level in levels}) <= 1:
        return []
    return [int(level["num_chs"]) for level in levels[:-1]]


def fit_positions(network: nn.Module, state: dict[str, Any]) -> dict[str, Any]:
    """Return a state dict with its positions interpolated to the network's size, where timm knows how."""
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return state
    try:
        converted: dict[str, Any] = convert(state, network)
    except Exception:  # of another network: what does not fit is named where it is loaded
        return state
    return converted


def _is_fixed(name: str) -> bool:
    import timm

    config = timm.get_pretrained_cfg(name)
    if config is not None and config.fixed_input_size:
        return True
    return "img_size" in inspect.signature(timm.model_entrypoint(name)).parameters


def _try_size(network: nn.Module, size: int) -> None:
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 3, size, size))
    network.train()


def _is_average(network: Any) -> bool:
    """Check whether a network's own vector is the average of its last map, (batch, channels, h, w)."""
    if _is_channels_last(network) or network.head_hidden_size != network.num_features:
        return False
    device = next(network.parameters()).device
    features = torch.rand(2, network.num_features, 3, 3, generator=torch.Generator().manual_seed(0)).to(device)
    was_training = network.training
    try:
        with torch.inference_mode():
            own = network.eval().forward_head(features, pre_logits=True)
    except (RuntimeError, IndexError, TypeError, ValueError):  # a transformer, whose features are tokens
        return False
    finally:
        network.train(was_training)
    average = features.mean(dim=(2, 3))
    return own.shape == average.shape and bool(torch.allclose(own, average, atol=1e-5))


def _is_channels_last(network: Any) -> bool:
    return getattr(network, "output_fmt", "NCHW") == "NHWC"


def _list_maps(network: Any, features: Any) -> list[Tensor]:
    """Return the features of a network as a map, (batch, channels, h, w): those of patches, without other tokens."""
    if not isinstance(features, Tensor) or features.ndim not in (3, 4):
        return []
    if features.ndim == 4:
        return [features.permute(0, 3, 1, 2) if _is_channels_last(network) else features]
    tokens = features.shape[1]
    others = getattr(network, "num_prefix_tokens", None)
    if others is None:  # some networks have a class token, and don't say so
        others = int(math.isqrt(tokens) ** 2 != tokens and math.isqrt(tokens - 1) ** 2 == tokens - 1)
    patches, rows = features[:, others:].transpose(1, 2), math.isqrt(tokens - others)
    rows = rows if rows * rows == tokens - others else tokens - others
    return [patches.reshape(patches.shape[0], patches.shape[1], rows, (tokens - others) // rows)]
