"""A published classifier of images: loaded without running code of its own, and ready for the export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sentimm.errors import InputError, UsageError
from sentimm.models.encoder_output import EncoderOutput
from sentimm.models.image_encoder import ImageEncoderConfig
from sentimm.models.text_encoder import first_line
from sentimm_export.importing.class_scores import ClassScores
from sentimm_export.importing.preparation import Preparation, Prepare, measure_preparation
from sentimm_export.importing.source import explain_failures, load_config, read_licence
from sentimm_export.importing.text_classifier import check_classifier, list_labels, load_network

_KIND = "image classifier"


@dataclass(frozen=True)
class ImageSource:
    """A loaded classifier of images.

    Attributes:
        name: as it was given.
        network: float images to scores.
        labels: its own, in order.
        preparation: of its images.
        licence: as the source states it.
    """

    name: str
    network: nn.Module
    labels: tuple[str, ...]
    preparation: Preparation
    licence: str | None


class ImageClassifier(nn.Module):
    """In the place of an image encoder: uint8 (batch, 3, size, size) to log probabilities of labels, as F."""

    scale: Tensor
    shift: Tensor

    def __init__(self, source: ImageSource, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.network = source.network
        self.scores = ClassScores(groups)
        self.config = ImageEncoderConfig((source.name,), len(groups), source.preparation.size, dropout=0.0)
        self.register_buffer("scale", torch.tensor(source.preparation.scale).view(1, 3, 1, 1))
        self.register_buffer("shift", torch.tensor(source.preparation.shift).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> EncoderOutput:
        """Classify images: F is float (batch, labels)."""
        found = self.network(pixels.to(self.scale.dtype) * self.scale + self.shift)
        return EncoderOutput(self.scores(found if isinstance(found, Tensor) else found.logits))

    def encode_nothing(self) -> EncoderOutput:
        """Return the output for no images."""
        return EncoderOutput(torch.zeros(0, self.scores.labels))


def load_image_classifier(name: str) -> ImageSource:
    """Load an image classifier of transformers or timm, by its name on the hub or from its folder, or timm:NAME=FILE.

    Raises:
        InputError: there is none, or it is no classifier with one label for an image.
        UsageError: timm has no network of this name.
    """
    if name.startswith("timm:"):
        return _load_timm(name)
    from transformers import AutoImageProcessor as Processors
    from transformers import AutoModelForImageClassification

    config = load_config(name, _KIND)
    check_classifier(name, config, "ForImageClassification", _KIND)
    network = load_network(AutoModelForImageClassification, name, config, _KIND)
    with explain_failures(name, "preparation of images (preprocessor_config.json) of"):
        processors: Any = Processors
        processor = processors.from_pretrained(name, trust_remote_code=False)
    return ImageSource(
        name, network, list_labels(config), measure_preparation(_wrap(processor), name), read_licence(name, config)
    )


def _wrap(processor: Any) -> Prepare:
    def prepare(image: Image.Image) -> Any:
        return np.asarray(processor(image, return_tensors="pt")["pixel_values"][0], dtype=np.float32)

    return prepare


def _load_timm(name: str) -> ImageSource:
    import timm

    model, _, file = name.removeprefix("timm:").partition("=")
    if not file:
        raise UsageError(
            f"{name} does not say where its weights are: write timm:NAME=FILE with a .safetensors file, or name a "
            "classifier of the hub without `timm:`."
        )
    if not timm.is_model(model):
        close = ", ".join(timm.list_models(f"*{model[:8]}*")[:5]) or "see timm.list_models()"
        raise UsageError(f"timm:{model} is not a model of timm (similar names: {close}).")
    config: Any = timm.get_pretrained_cfg(model)
    state = _read_state(Path(file))
    weight = state.get(f"{config.classifier}.weight")
    if not isinstance(config.classifier, str) or weight is None or len(weight) < 2:
        raise InputError(
            f"{file} has no classifier of timm's {model} ({config.classifier}.weight): name trained weights."
        )
    network = timm.create_model(model, pretrained=False, num_classes=len(weight))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"{file} does not fit timm's {model} ({first_line(error)}): name weights of this network."
        ) from error
    tools: Any = timm.data
    own = tools.resolve_data_config({}, pretrained_cfg=config.to_dict())
    transform = tools.create_transform(**own, is_training=False)
    labels = tuple(map(str, range(len(weight))))
    preparation = measure_preparation(lambda image: np.asarray(transform(image), dtype=np.float32), name)
    return ImageSource(name, network.eval(), labels, preparation, None)


def _read_state(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise InputError(f"There is no file {str(file)!r}: check the path in timm:NAME=FILE.")
    if file.suffix != ".safetensors":
        raise InputError(f"{file} is no .safetensors file, and other formats may hold code: convert it to safetensors.")
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{file} can't be read as safetensors ({first_line(error)}): copy it again.") from error
