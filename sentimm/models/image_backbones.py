"""Image backbones: torchvision's ResNets and timm's networks, as last feature maps and vectors of uint8 images.

A backbone is named `resnet18` ... `resnet152` (torchvision), `timm:NAME`, or `resnet50-half` (ResNet-50 of half the
width, its strides where Caffe has them: the network of Yahoo's open_nsfw). `NAME=FILE` loads a local state dict instead
of the published weights, a FILE alone is read as the model that its name begins with (`resnet50-0676ba61.pth`), a
FOLDER as timm or transformers wrote it, and `A+B` puts two backbones side by side.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sentimm.errors import InputError, UsageError
from sentimm.models.published_images import Colours, read_published_images
from sentimm.models.timm_networks import Maps, TimmTrunk, create_network, find_own_size, fit_positions, list_levels

_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_HALF_RESNET = "resnet50-half"
_USUAL_SIZE = 224
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_HALF_MEAN = (123 / 255, 117 / 255, 104 / 255)
_HALF_STD = (1 / 255, 1 / 255, 1 / 255)


class ImageBackbone(nn.Module):
    """A network without its classifier: uint8 (batch, 3, size, size) to maps and vectors.

    Args:
        network: float images to `Maps`.
        channels: of all its maps together.
        mean, std: of the images that it was trained on, for each colour, from 0 to 1.
        pooled_channels: of its vectors, with those of the finer maps; None: `channels`.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        channels: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        pooled_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.pooled_channels = channels if pooled_channels is None else pooled_channels
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)

    @property
    def has_own_vector(self) -> bool:
        """Whether its vector is another than the average of its last map."""
        return isinstance(self.network, TimmTrunk) and self.network.pools

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the last feature map and those of finer levels, averaged to its size: (batch, channels, h, w)."""
        return _join_maps(self._run(pixels).maps)

    def pool(self, pixels: Tensor) -> Tensor:
        """Return the network's vectors, or the average of its last map, behind the averages of the finer maps.

        float (batch, pooled channels).
        """
        return _join_averages(self._run(pixels))

    def run(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `pool` and `forward` return, in one run of the network."""
        found = self._run(pixels)
        return _join_averages(found), _join_maps(found.maps)

    def _run(self, pixels: Tensor) -> Maps:
        maps: Maps = self.network((pixels.to(self.mean.dtype) - self.mean) / self.std)
        return maps


def _join_maps(maps: list[Tensor]) -> Tensor:
    if not maps:
        raise UsageError(
            "The image encoder has no last map of features, to which a fusion could attend: choose another "
            "--image-encoder, or a fusion that takes vectors (native-cat, native-combine)."
        )
    *finer, last = maps
    high, wide = last.shape[2:]
    return torch.cat([*(F.adaptive_avg_pool2d(each, (high, wide)) for each in finer), last], dim=1)


def _join_averages(maps: Maps) -> Tensor:
    averaged = maps.maps if maps.pooled is None else maps.maps[:-1]
    vectors = [each.mean(dim=(2, 3)) for each in averaged]
    return torch.cat(vectors if maps.pooled is None else [*vectors, maps.pooled], dim=1)


def parse_backbones(names: str) -> tuple[tuple[str, Path | None], ...]:
    """Split the value of `--image-encoder` into (name, local state dict or folder or None) pairs.

    Raises:
        UsageError: a file's name does not tell the network.
        InputError: a folder holds no network that is known here.
    """
    return tuple(_parse_backbone(part.strip()) for part in names.split("+"))


def find_image_size(names: str) -> int:
    """Return the side of the images, in pixels, that the backbones of `--image-encoder` were trained with.

    Raises:
        UsageError: they differ.
    """
    sizes = {name: _find_size(name, weights) for name, weights in parse_backbones(names)}
    if len(set(sizes.values())) > 1:
        each = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise UsageError(f"The image encoders were trained with images of different sizes ({each}): give --image-size.")
    return next(iter(sizes.values()))


def find_colours(weights: Path | None) -> Colours | None:
    """Return the colours of the images that a folder's network was trained on; None: those usual for its name."""
    return read_published_images(weights).colours if weights is not None and weights.is_dir() else None


def _find_size(name: str, weights: Path | None) -> int:
    if weights is not None and weights.is_dir() and (size := read_published_images(weights).size) is not None:
        return size
    return find_own_size(name.removeprefix("timm:")) if name.startswith("timm:") else _USUAL_SIZE


@dataclass(frozen=True)
class BackboneConfig:
    """How a backbone is built.

    Attributes:
        size: the side of the images in pixels, which networks with positions are built for.
        levels: of how many resolutions the last map is returned; 1: of the coarsest alone.
        own_pooling: a network of timm makes its vector as it does by itself; False: as the average of its last map.
        colours: of the images that a network of timm was trained on; None: those that timm knows for its name.
    """

    size: int = 224
    levels: int = 1
    own_pooling: bool = True
    colours: Colours | None = None


def build_backbone(
    name: str, config: BackboneConfig, *, pretrained: bool = False, weights: Path | None = None
) -> ImageBackbone:
    """Build a backbone by name, with its published weights or those of a local state dict on request.

    Raises:
        UsageError: there is no such model, it has fewer levels, or can't read images of this size.
        InputError: the weights can't be loaded or don't fit.
    """
    levels = config.levels
    if name.startswith("timm:"):
        return _build_timm(name, config, pretrained, weights)
    if name in _RESNETS:
        return _build_resnet(name, pretrained, weights, levels)
    if name == _HALF_RESNET:
        return _build_half_resnet(pretrained, weights, levels)
    raise UsageError(
        f"--image-encoder {name!r} is not a supported model: use one of {', '.join(_RESNETS)}, {_HALF_RESNET}, "
        "timm:NAME, or NAME=FILE for a local state dict."
    )


def _parse_backbone(part: str) -> tuple[str, Path | None]:
    name, separator, file = part.partition("=")
    if separator and Path(file).is_dir():
        raise UsageError(
            f"--image-encoder {part!r} names a folder, which says itself what it holds: leave {name}= out."
        )
    if separator:
        return name, Path(file)
    path = Path(part)
    if path.is_dir() and part not in (*_RESNETS, _HALF_RESNET):
        return f"timm:{read_published_images(path).network}", path
    if path.suffix in {".pth", ".pt", ".safetensors"}:
        guessed = re.match(r"(resnet\d+|[a-z0-9_]+)", path.name)
        if guessed and guessed[1] in _RESNETS:
            return guessed[1], path
        raise UsageError(
            f"--image-encoder {part!r} does not tell which model the file holds: use NAME={part}, for example "
            f"resnet50={part} or timm:efficientnet_lite2={part}."
        )
    return part, None


def _build_resnet(name: str, pretrained: bool, weights: Path | None, levels: int) -> ImageBackbone:
    import torchvision

    network = torchvision.models.get_model(name, weights=None)
    if pretrained and weights is None:
        published = torchvision.models.get_model_weights(name).DEFAULT
        try:
            # By itself, torchvision would run what code is in a file of its cache.
            network.load_state_dict(published.get_state_dict(check_hash=True, weights_only=True))
        except (OSError, RuntimeError, UnpicklingError) as error:
            raise InputError(_unreachable(name, error)) from error
    channels = int(network.fc.in_features)
    if weights is not None:
        _load_local(network, weights, name)
    layers = ("layer1", "layer2", "layer3", "layer4")
    _check_levels(name, levels, len(layers))
    trunk = _ResNetTrunk(layers[-levels:])
    for stage in ("conv1", "bn1", "relu", "maxpool", *layers):
        trunk.add_module(stage, getattr(network, stage))
    # Each layer has half as many channels as the one after it.
    return ImageBackbone(trunk, sum(channels >> level for level in range(levels)), _IMAGENET_MEAN, _IMAGENET_STD)


class _ResNetTrunk(nn.Sequential):
    """A ResNet's stages; the outputs of those named in `returned` are returned."""

    def __init__(self, returned: tuple[str, ...]) -> None:
        super().__init__()
        self._returned = returned

    def forward(self, images: Tensor) -> Maps:
        maps = []
        for name, stage in self.named_children():
            images = stage(images)
            if name in self._returned:
                maps.append(images)
        return Maps(maps)


def _check_levels(name: str, levels: int, available: int) -> None:
    if levels > available:
        raise UsageError(f"--image-levels {levels}: the image encoder {name!r} has {available}.")


def _build_timm(name: str, config: BackboneConfig, pretrained: bool, weights: Path | None) -> ImageBackbone:
    try:
        network = create_network(name.removeprefix("timm:"), config.size, pretrained and weights is None)
    except (OSError, RuntimeError) as error:
        raise InputError(_unreachable(name, error)) from error
    if weights is not None:
        _load_local(network, weights, name)
    data: Any = network.pretrained_cfg
    mean, std = config.colours or (data["mean"], data["std"])
    return _wrap_timm(name, network, config, tuple(mean), tuple(std))


def _wrap_timm(
    name: str, network: Any, config: BackboneConfig, mean: tuple[float, ...], std: tuple[float, ...]
) -> ImageBackbone:
    finer = list_levels(network)
    _check_levels(name, config.levels, len(finer) + 1)
    finer = finer[len(finer) + 1 - config.levels :]
    trunk = TimmTrunk(network, config.levels, config.own_pooling)
    pooled = int(network.head_hidden_size) if trunk.pools else int(network.num_features)
    return ImageBackbone(trunk, sum(finer) + int(network.num_features), mean, std, sum(finer) + pooled)


def _build_half_resnet(pretrained: bool, weights: Path | None, levels: int) -> ImageBackbone:
    import timm

    if pretrained and weights is None:
        raise InputError(f"No weights of {_HALF_RESNET!r} are published: use --image-encoder {_HALF_RESNET}=FILE.")
    network: Any = timm.create_model("resnet50", channels=(32, 64, 128, 256), num_classes=0)
    network.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    for layer in (network.layer2, network.layer3, network.layer4):
        layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)
    if weights is not None:
        _load_local(network, weights, _HALF_RESNET)
    # Caffe's networks take pixels in their own scale, less ImageNet's mean colour.
    return _wrap_timm(_HALF_RESNET, network, BackboneConfig(levels=levels), _HALF_MEAN, _HALF_STD)


def _load_local(network: nn.Module, path: Path, name: str) -> None:
    """Load a state dict without running code; the classifier's weights may be missing or of another shape."""
    state = read_published_images(path).load_state() if path.is_dir() else _read_state(path)
    state = fit_positions(network, state)
    own = network.state_dict()
    # A norm before the classifier may be called its part; it is the encoder's.
    fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    trunk = {key for key in own if not key.startswith(("fc.", "classifier.", "head."))}
    missing = sorted(trunk - fitting.keys())
    if missing:
        raise InputError(
            f"The weights {str(path)!r} do not fit the image encoder {name!r}: {len(missing)} of its tensors are "
            f"missing or have another shape, such as {missing[0]!r}."
        )
    network.load_state_dict(fitting, strict=False)


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"The image encoder's weights {str(path)!r} do not exist: check the path in --image-encoder.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds on damaged files
        raise InputError(
            f"The image encoder's weights {str(path)!r} can't be read as a state dict of tensors."
        ) from error
    return state


def _unreachable(name: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"The pretrained weights of the image encoder {name!r} can't be downloaded ({reason}): use "
        f"--image-encoder {name}=PATH with a local state dict (.safetensors or .pth)."
    )
