"""The three graphs of a bundle in fp32, from the PyTorch model: text, image, fusion (see docs/architecture.md)."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from sentimm.models.fusion import SentimentModel

# The oldest opset in which DequantizeLinear gives fp16 is 19; 20 has Gelu as one operator.
OPSET = 20


class _TextGraph(nn.Module):
    def __init__(self, model: SentimentModel) -> None:
        super().__init__()
        assert model.text is not None
        self.text = model.text

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        features: Tensor = self.text(input_ids, attention_mask)
        return features


class _ImageGraph(nn.Module):
    def __init__(self, model: SentimentModel) -> None:
        super().__init__()
        assert model.image is not None
        self.image = model.image

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.image(pixels)
        return features


class _FusionGraph(nn.Module):
    """Takes the inputs of the model's modalities alone: text_features, image_features, then the indices."""

    def __init__(self, model: SentimentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        half = len(inputs) // 2
        features = dict(zip(self.model.modalities, inputs[:half], strict=True))
        index = dict(zip(self.model.modalities, inputs[half:], strict=True))
        scores = self.model.fuse(features.get("text"), features.get("image"), index.get("text"), index.get("image"))
        return tuple(
            output for output in (scores.scores, scores.text_scores, scores.image_scores) if output is not None
        )


def write_graphs(model: SentimentModel, folder: Path) -> dict[str, Path]:
    """Write the model's graphs in fp32 into `folder`: their paths by `text`, `image` and `fusion`."""
    model = model.cpu().eval()
    paths = {name: folder / f"{name}.fp32.onnx" for name in (*model.modalities, "fusion")}
    if model.text is not None:
        ids = torch.randint(1, 50, (3, 16))
        _export(
            _TextGraph(model),
            (ids, torch.ones_like(ids)),
            ["input_ids", "attention_mask"],
            ["text_features"],
            ({0: "batch", 1: "tokens"},) * 2,
            paths["text"],
        )
    if model.image is not None:
        size = model.image.config.size
        pixels = torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8)
        _export(_ImageGraph(model), (pixels,), ["pixels"], ["image_features"], ({0: "batch"},), paths["image"])
    _write_fusion(model, paths["fusion"])
    return paths


def _write_fusion(model: SentimentModel, path: Path) -> None:
    width = model.config.width
    names = [f"{modality}_features" for modality in model.modalities] + [
        f"{modality}_index" for modality in model.modalities
    ]
    # Sizes that differ from each other and from 0 and 1, so that none is taken for a constant.
    features = tuple(torch.rand(rows, width) for rows, _ in zip((3, 4), model.modalities, strict=False))
    index = tuple(torch.randint(0, 3, (5,)) for _ in model.modalities)
    rows = tuple({0: f"{modality}s"} for modality in model.modalities)
    outputs = ["scores"] + [f"{head}_scores" for head in ("text", "image") if head in model.config.heads]
    shapes = (rows + ({0: "posts"},) * len(index),)
    _export(_FusionGraph(model), features + index, names, outputs, shapes, path)


def _export(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    input_names: list[str],
    output_names: list[str],
    dynamic_shapes: Any,
    path: Path,
) -> None:
    named: dict[str, Any] = {}

    def dims(shape: Any) -> Any:
        if isinstance(shape, dict):
            return {axis: named.setdefault(name, torch.export.Dim(name)) for axis, name in shape.items()}
        return tuple(dims(part) for part in shape)

    with _quiet(), torch.inference_mode():
        program = torch.onnx.export(
            module.eval(),
            inputs,
            input_names=input_names,
            output_names=output_names,
            dynamic_shapes=dims(dynamic_shapes),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        onnx.save(program.model_proto, path)
        # Folds normalisations into convolutions and constants, which quantisation needs.
        quant_pre_process(path, path, skip_symbolic_shape=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hush what the exporter prints, and keep the transformer layers on their plain path, which can be traced."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
