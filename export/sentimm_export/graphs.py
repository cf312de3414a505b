"""The three graphs of a bundle in fp32, from the PyTorch model: text, image, fusion (docs/contributing/formats.md)."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import ModelProto
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from sentimm.models.encoder_output import EncoderOutput
from sentimm.models.image_encoder import ImageEncoder
from sentimm.models.sentiment_model import SentimentModel
from sentimm.models.text_encoder import TextEncoder

# From opset 19 DequantizeLinear can return fp16; 20 has Gelu as one operator.
OPSET = 20


class _TextGraph(nn.Module):
    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        return _to_tuple(self.encoder(input_ids, attention_mask))


class _ImageGraph(nn.Module):
    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return _to_tuple(self.encoder(pixels))


class _FusionGraph(nn.Module):
    """The fusion and the heads; inputs are those of `_name_fusion_inputs`, in that order."""

    def __init__(self, model: SentimentModel) -> None:
        super().__init__()
        self.model = model
        self.names = _name_fusion_inputs(model)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        tensors = dict(zip(self.names, inputs, strict=True))
        text, image = (
            EncoderOutput(
                tensors[f"{modality}_features"], tensors.get(f"{modality}_sequence"), tensors.get(f"{modality}_mask")
            )
            if modality in self.model.modalities
            else None
            for modality in ("text", "image")
        )
        output = self.model.fuse(text, image, tensors.get("text_index"), tensors.get("image_index"))
        return tuple(
            scores for scores in (output.scores, output.text_scores, output.image_scores) if scores is not None
        )


def write_graphs(model: SentimentModel, folder: Path) -> dict[str, Path]:
    """Write the model's graphs in fp32 into `folder`, and return their paths by `text`, `image` and `fusion`."""
    model = model.cpu().eval()
    paths = {name: folder / f"{name}.fp32.onnx" for name in (*model.modalities, "fusion")}
    if model.text is not None:
        ids = torch.randint(1, 50, (3, 16))
        _export(
            _TextGraph(model.text),
            (ids, torch.ones_like(ids)),
            ["input_ids", "attention_mask"],
            _name_outputs("text", model),
            ({0: "batch", 1: "tokens"},) * 2,
            paths["text"],
        )
    if model.image is not None:
        size = model.image.config.size
        pixels = torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8)
        outputs = _name_outputs("image", model)
        _export(_ImageGraph(model.image), (pixels,), ["pixels"], outputs, ({0: "batch"},), paths["image"])
    _write_fusion(model, paths["fusion"])
    return paths


def _write_fusion(model: SentimentModel, path: Path) -> None:
    width = model.config.width
    # Sizes that differ from each other and from 0 and 1, so that the exporter takes none for a constant.
    text = {"text_features": torch.rand(3, width), "text_sequence": torch.rand(3, 6, width)}
    image = {"image_features": torch.rand(4, width), "image_sequence": torch.rand(4, 7, width)}
    index = {"text_index": torch.tensor([0, 1, 2, 3, 0]), "image_index": torch.tensor([0, 4, 1, 2, 3])}
    samples = text | image | index | {"text_mask": torch.ones(3, 6, dtype=torch.int64)}
    dims = {
        "text_features": {0: "texts"},
        "text_sequence": {0: "texts", 1: "tokens"},
        "text_mask": {0: "texts", 1: "tokens"},
        "image_features": {0: "images"},
        "image_sequence": {0: "images", 1: "cells"},
        "text_index": {0: "posts"},
        "image_index": {0: "posts"},
    }
    names = _name_fusion_inputs(model)
    outputs = ["scores"] + [f"{head}_scores" for head in ("text", "image") if head in model.config.heads]
    inputs, shapes = tuple(samples[name] for name in names), (tuple(dims[name] for name in names),)
    _export(_FusionGraph(model), inputs, names, outputs, shapes, path)


def _name_outputs(modality: str, model: SentimentModel) -> list[str]:
    return [f"{modality}_features"] + ([f"{modality}_sequence"] if model.fusion.attends else [])


def _name_fusion_inputs(model: SentimentModel) -> list[str]:
    """Name the inputs of the fusion graph: those of the model's modalities, sequences only where the fusion attends."""
    names = []
    for modality in model.modalities:
        names += _name_outputs(modality, model)
        if modality == "text" and model.fusion.attends:
            names.append("text_mask")
    return names + [f"{modality}_index" for modality in model.modalities]


def _to_tuple(encoded: EncoderOutput) -> tuple[Tensor, ...]:
    return (encoded.features,) if encoded.sequence is None else (encoded.features, encoded.sequence)


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
        onnx.save(_without_traces(onnx.load(path)), path)


def _without_traces(model: ModelProto) -> ModelProto:
    """Remove the exporter's metadata on the source of each operator: paths and lines of code on this machine."""
    for notes in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del notes.metadata_props[:]
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, and keep transformer layers on their plain path, which can be traced."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
