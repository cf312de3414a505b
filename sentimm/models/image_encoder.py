"""The image encoder: pretrained networks, their maps pooled and projected to the fusion's width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from sentimm.errors import UsageError
from sentimm.models.encoder_output import EncoderOutput, Projection
from sentimm.models.image_backbones import (
    BackboneConfig,
    ImageBackbone,
    build_backbone,
    find_colours,
    parse_backbones,
)
from sentimm.models.published_images import Colours


@dataclass(frozen=True)
class ImageEncoderConfig:
    """All that is needed to rebuild an image encoder without its pretrained weights.

    `backbones` are names as `parse_backbones` returns them, `size` the side of the square image in pixels, `levels` the
    number of resolutions whose last maps are used, `own_pooling` whether F is what the networks' own pooling gives (see
    `BackboneConfig`; False in runs of versions that knew averages alone); `sequence`: whether it returns H too;
    `colours` those of each backbone, where one has others than those usual for its name.
    """

    backbones: tuple[str, ...]
    width: int
    size: int
    dropout: float
    sequence: bool = False
    levels: int = 1
    own_pooling: bool = False
    colours: tuple[Colours | None, ...] = ()

    def configure_backbones(self) -> list[BackboneConfig]:
        """Return how each of its backbones is built."""
        each = self.colours or [None] * len(self.backbones)
        return [BackboneConfig(self.size, self.levels, self.own_pooling, colours) for colours in each]


class ImageEncoder(nn.Module):
    """One or more backbones side by side, their last maps together.

    H is the maps' cells row by row, projected. F is the backbones' vectors, projected; where the fusion attends and
    these have other channels than the cells, their average.
    """

    def __init__(self, config: ImageEncoderConfig, backbones: Sequence[ImageBackbone] | None = None) -> None:
        super().__init__()
        self.config = config
        backbones = backbones or [
            build_backbone(name, each)
            for name, each in zip(config.backbones, config.configure_backbones(), strict=True)
        ]
        self.backbones = nn.ModuleList(backbones)
        self.channels = sum(each.channels if config.sequence else each.pooled_channels for each in backbones)
        self.project = Projection(self.channels, config.width, config.dropout)
        own = any(each.has_own_vector for each in backbones)
        self._has_vector = own and all(each.pooled_channels == each.channels for each in backbones)
        if config.sequence and len(backbones) > 1:
            _measure_maps(config, backbones)

    def extract(self, pixels: Tensor) -> Tensor:
        """Run the backbones over uint8 (batch, 3, size, size) images.

        Returns:
            float (batch, channels), pooled; for an encoder with `sequence` the pooled vector, where it has one, and
            the maps' cells row by row, (batch, 1 + cells or cells, channels). Channels are those of all backbones, one
            after the other.
        """
        backbones = cast(list[ImageBackbone], list(self.backbones))
        if not self.config.sequence:
            return torch.cat([each.pool(pixels) for each in backbones], dim=1)
        if not self._has_vector:
            return torch.cat([each(pixels) for each in backbones], dim=1).flatten(2).transpose(1, 2)
        vectors, maps = zip(*(each.run(pixels) for each in backbones), strict=True)
        cells = torch.cat(maps, dim=1).flatten(2).transpose(1, 2)
        return torch.cat([torch.cat(vectors, dim=1).unsqueeze(1), cells], dim=1)

    def finish(self, extracted: Tensor) -> EncoderOutput:
        """Pool and project the output of `extract`."""
        if not self.config.sequence:
            return EncoderOutput(self.project(extracted))
        if self._has_vector:
            projected = self.project(extracted)
            return EncoderOutput(projected[:, 0], projected[:, 1:])
        return EncoderOutput(self.project(extracted.mean(dim=1)), self.project(extracted))

    def forward(self, pixels: Tensor) -> EncoderOutput:
        """Encode uint8 (batch, 3, size, size) images."""
        return self.finish(self.extract(pixels))

    def encode_nothing(self) -> EncoderOutput:
        """Return the output for no images: zero rows, of one cell where there is a sequence."""
        shape = (0, 1 + self._has_vector, self.channels) if self.config.sequence else (0, self.channels)
        return self.finish(next(self.project.parameters()).new_zeros(shape))

    def count_cells(self) -> int:
        """Count the cells of an image's last map, by running a blank image: 49 at 224 pixels for most backbones."""
        high, wide = _measure_maps(self.config, self.backbones)  # type: ignore[arg-type]
        return high * wide


def load_image_encoder(
    names: str, *, width: int, size: int, dropout: float, sequence: bool = False, levels: int = 1
) -> ImageEncoder:
    """Load pretrained image backbones (see `parse_backbones` for `names`) as one image encoder.

    Raises:
        InputError: pretrained weights can't be loaded or don't fit.
        UsageError: a name is not one of torchvision's ResNets or timm's models, it has fewer levels, or with `sequence`
            the backbones' maps differ in size.
    """
    parsed = parse_backbones(names)
    colours = tuple(find_colours(weights) for _, weights in parsed)
    config = ImageEncoderConfig(
        tuple(name for name, _ in parsed),
        width,
        size,
        dropout,
        sequence=sequence,
        levels=levels,
        own_pooling=True,
        colours=colours if any(colours) else (),
    )
    backbones = [
        build_backbone(name, each, pretrained=True, weights=weights)
        for (name, weights), each in zip(parsed, config.configure_backbones(), strict=True)
    ]
    return ImageEncoder(config, backbones)


def _measure_maps(config: ImageEncoderConfig, backbones: Iterable[ImageBackbone]) -> tuple[int, int]:
    """Return height and width of the backbones' last maps, which must match cell by cell."""
    shapes = []
    for backbone in backbones:
        was_training = backbone.training
        pixels = torch.zeros(1, 3, config.size, config.size, dtype=torch.uint8, device=backbone.mean.device)
        with torch.inference_mode():
            high, wide = backbone.eval()(pixels).shape[2:]
        shapes.append((int(high), int(wide)))
        backbone.train(was_training)
    if len(set(shapes)) > 1:
        sizes = ", ".join(
            f"{name} {high} x {wide}" for name, (high, wide) in zip(config.backbones, shapes, strict=True)
        )
        raise UsageError(
            f"The last maps of the image encoders differ in size at --image-size {config.size} ({sizes}), so a fusion "
            "can't attend to both: choose encoders whose maps have one size, or a single encoder."
        )
    return shapes[0]
