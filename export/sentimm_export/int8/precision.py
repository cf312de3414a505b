"""Other precisions of a graph: int8 with fixed scales for CPUs, fp16 for CUDA, and both from one set of weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

from sentimm_export.int8.ranges import measure_ranges
from sentimm_export.int8.smoothing import Feeds, smooth_products, split_outliers

# Smaller tensors (biases, scales, norms) stay as they are.
_LARGE = 4096
_OUTPUT_SUFFIX = "_QuantizeLinear_Input"  # of the name that ONNX Runtime gives a graph's output before it is rounded
# Services that hold repositories warn of files above 50 MB.
LARGEST_FILE = 45 * 2**20


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Feeds) -> None:
        self._rest: Iterator[dict[str, npt.NDArray[Any]]] = iter(feeds)

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
        return next(self._rest, None)


def quantize_transformer(source: Path, target: Path, feeds: Feeds) -> list[str]:
    """Quantise the weight products of a transformer's graph, and return the names of those with channels in float.

    Scales cover all but one in 10,000 of the values over `feeds`, weights have 7 bits for each output channel. The
    outlier channels of the second product of every feed-forward layer stay in float: as accurate as those products
    wholly in float, and 1.5 times as fast. Products return float, and those of attention stay in float: rounding them
    cost a tenth of the time.
    """
    model = onnx.load(source)
    second = find_second_products(model.graph)
    smooth_products(model, feeds, second)
    float_products, ranges = split_outliers(model, feeds, second)
    smoothed = find_smoothed(source)
    onnx.save(model, smoothed)
    weights = {tensor.name for tensor in model.graph.initializer}
    attention = [node.name for node in model.graph.node if node.op_type == "MatMul" and node.input[1] not in weights]
    excluded = [*float_products, *attention]
    ranges |= measure_ranges(model, feeds, excluded, ranges)
    overrides = {
        name: [{"quant_type": QuantType.QUInt8, "rmin": np.float32(low), "rmax": np.float32(high)}]
        for name, (low, high) in ranges.items()
    }
    # All ranges are given, so what ONNX Runtime finds by itself on a row does not count.
    row = {name: values[:1] for name, values in feeds[0].items()}
    _quantize(smoothed, target, [row], ["MatMul", "Gemm"], excluded, overrides)
    quantizers = [node for node in onnx.load(target).graph.node if node.op_type == "QuantizeLinear"]
    others = {node.input[0].removesuffix(_OUTPUT_SUFFIX) for node in quantizers} - ranges.keys()
    assert not others, f"no range was measured for {others}"
    return float_products


def find_smoothed(source: Path) -> Path:
    """Return where `quantize_transformer` leaves the graph that it quantised: fp32, smoothed."""
    return source.with_suffix(".smoothed.onnx")


def quantize_convolutions(source: Path, target: Path, feeds: Feeds) -> list[str]:
    """Quantise the convolutions of an image graph and what lies between, and return the names of those left in float.

    Weights have 7 bits for each channel, those of depthwise convolutions 8. The first block of a network with depthwise
    convolutions stays in float. Both together cut the noise of EfficientNet-Lite2's features from 28% to 16%.
    """
    graph = onnx.load(source).graph
    depthwise = [node for node in graph.node if _is_depthwise(node)]
    first_block = find_first_block(graph)
    operators = ["Conv", "Add", "Relu", "Clip", "MaxPool", "GlobalAveragePool", "Gemm"]
    # ONNX Runtime sums depthwise products in 32 bits on every CPU: nothing saturates there.
    eight_bits = {"quant_type": QuantType.QInt8, "axis": 0, "symmetric": True, "reduce_range": False}
    overrides = {node.input[1]: [eight_bits] for node in depthwise if node.name not in first_block}
    # The first Add and Sub/Div, on the pixels, are in float and stay so.
    _quantize(source, target, feeds, operators, first_block, overrides)
    return first_block


def _quantize(
    source: Path,
    target: Path,
    feeds: Feeds,
    operators: list[str],
    excluded: list[str],
    overrides: dict[str, list[dict[str, Any]]],
) -> None:
    quantize_static(
        source,
        target,
        _Reader(feeds),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=operators,
        nodes_to_exclude=excluded,
        per_channel=True,
        # 7-bit weights: without VNNI, sums of u8 x s8 products saturate at 16 bits and answers are wrong.
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={
            "OpTypesToExcludeOutputQuantization": ["MatMul"],
            # Relu and Clip stay in the graph: ONNX Runtime folds them, and fp16 graphs made from it need them.
            "QDQKeepRemovableActivations": True,
            "CalibMaxIntermediateOutputs": 8,  # batches whose activations are in memory at a time
            "TensorQuantOverrides": overrides,
        },
    )


def find_second_products(graph: GraphProto) -> list[str]:
    """Return the names of the second products of feed-forward layers: wide inputs, from an activation function."""
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    names = []
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights:
            rows, columns = weights[node.input[1]]
            before = producers.get(node.input[0])
            if rows > columns and before is not None and before.op_type in {"Gelu", "Mul", "Relu", "Erf"}:
                names.append(node.name)
    return names


def is_transformer(graph: GraphProto) -> bool:
    """Check whether most of a graph's products with constant weights are those of tokens, and not convolutions."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    products = sum(node.op_type == "MatMul" and node.input[1] in weights for node in graph.node)
    return bool(products > sum(node.op_type == "Conv" for node in graph.node))


def find_first_block(graph: GraphProto) -> list[str]:
    """Return the names of the convolutions up to the one behind the first depthwise one, if there is one."""
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    for number, node in enumerate(convolutions):
        if _is_depthwise(node):
            return [node.name for node in convolutions[: number + 2]]
    return []


def _is_depthwise(node: NodeProto) -> bool:
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return node.op_type == "Conv" and groups > 1


def convert_to_fp16(source: Path, target: Path) -> None:
    """Convert an fp32 graph to fp16 arithmetic; inputs and outputs stay as they are."""
    onnx.save(_to_fp16(onnx.load(source)), target)


def share_weights(int8: Path, fp16: Path, weights: Path) -> None:
    """Store an int8 graph's weights once, in the file `weights`, for it and for an fp16 graph made of it.

    Above 45 MiB there are more files: `text.weights`, `text.2.weights` and so on.

    Large float weights are stored as fp16, word embeddings as int8 with a scale for each row. `int8` is rewritten,
    `fp16` is the same graph without the quantisation of its activations, its weights dequantised where they are used.
    """
    model = onnx.load(int8)
    _compress_embeddings(model.graph)
    half = ModelProto()
    half.CopyFrom(model)
    _drop_activation_quantization(half.graph)
    half = _to_fp16(half)
    _store_as_fp16(model.graph)
    store = _WeightStore(weights)
    for graph_model, path in ((model, int8), (half, fp16)):
        store.move(graph_model.graph)
        path.write_bytes(graph_model.SerializeToString())
    store.write()


def _to_fp16(model: ModelProto) -> ModelProto:
    # Weights are dequantised in fp32: many of their scales, and all those of biases, are too small for fp16.
    blocked = [*DEFAULT_OP_BLOCK_LIST, "DequantizeLinear"]
    converted: ModelProto = convert_float_to_float16(model, keep_io_types=True, op_block_list=blocked)
    return converted


def _compress_embeddings(graph: GraphProto) -> None:
    """Replace large float tables that rows are gathered from by int8 rows and a scale for each."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[NodeProto] = []
    for node in graph.node:
        table = tensors.get(node.input[0]) if node.op_type == "Gather" else None
        if (
            table is None
            or table.data_type != TensorProto.FLOAT
            or np.prod(table.dims) < _LARGE
            or len(table.dims) != 2
        ):
            nodes.append(node)
            continue
        values = numpy_helper.to_array(table)
        scale = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-8) / 127
        rows, factor, output = f"{table.name}_rows", f"{table.name}_scale", node.output[0]
        graph.initializer.remove(table)
        graph.initializer.append(numpy_helper.from_array(np.round(values / scale).astype(np.int8), rows))
        graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), factor))
        index = node.input[1]
        nodes += [
            helper.make_node("Gather", [rows, index], [f"{output}_int8"], name=f"{node.name}_rows"),
            helper.make_node(
                "Cast", [f"{output}_int8"], [f"{output}_float"], name=f"{node.name}_cast", to=TensorProto.FLOAT
            ),
            helper.make_node("Gather", [factor, index], [f"{output}_scale"], name=f"{node.name}_scale"),
            helper.make_node("Mul", [f"{output}_float", f"{output}_scale"], [output], name=f"{node.name}_mul"),
        ]
    _replace_nodes(graph, nodes)


def _drop_activation_quantization(graph: GraphProto) -> None:
    """Remove the pairs of QuantizeLinear and DequantizeLinear; nodes that dequantise weights stay."""
    origin = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    renamed = {
        node.output[0]: origin[node.input[0]]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in origin
    }
    remaining = [node for node in graph.node if node.op_type != "QuantizeLinear" and node.output[0] not in renamed]

    def resolve(name: str) -> str:
        while name in renamed:
            name = renamed[name]
        return name

    for node in remaining:
        for position, name in enumerate(node.input):
            node.input[position] = resolve(name)
    outputs = {resolve(value.name): value.name for value in graph.output if value.name in renamed}
    for node in remaining:
        for position, name in enumerate(node.output):
            node.output[position] = outputs.get(name, name)
        for position, name in enumerate(node.input):
            node.input[position] = outputs.get(name, name)
    used = {name for node in remaining for name in node.input}
    unused = [tensor for tensor in graph.initializer if tensor.name not in used]
    for tensor in unused:
        graph.initializer.remove(tensor)
    # Shapes and types that were inferred with the pairs in place.
    del graph.value_info[:]
    _replace_nodes(graph, remaining)


def _store_as_fp16(graph: GraphProto) -> None:
    """Store large float weights as fp16; ONNX Runtime folds the casts back when it loads the graph."""
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= _LARGE:
            name = tensor.name
            stored = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}_fp16")
            tensor.CopyFrom(stored)
            casts.append(helper.make_node("Cast", [stored.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    _replace_nodes(graph, [*casts, *graph.node])


def _replace_nodes(graph: GraphProto, nodes: Sequence[NodeProto]) -> None:
    copies = [helper.make_node("Identity", [], []) for _ in nodes]
    for copy, node in zip(copies, nodes, strict=True):
        copy.CopyFrom(node)
    del graph.node[:]
    graph.node.extend(copies)


class _WeightStore:
    """External-data files in which equal tensors are stored once: `path`, and where that gets large, more beside it."""

    _ALIGN = 4096

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = [bytearray()]
        self._places: dict[bytes, dict[str, str]] = {}

    def move(self, graph: GraphProto) -> None:
        """Move the large tensors of `graph` into the store."""
        for tensor in graph.initializer:
            if np.prod(tensor.dims) < _LARGE:
                continue
            data = np.ascontiguousarray(numpy_helper.to_array(tensor)).tobytes()
            if data not in self._places:
                self._places[data] = self._append(data)
            for field in ("raw_data", "float_data", "int32_data", "int64_data"):
                tensor.ClearField(field)
            tensor.data_location = TensorProto.EXTERNAL
            del tensor.external_data[:]
            for key, value in self._places[data].items():
                tensor.external_data.add(key=key, value=value)

    def write(self) -> None:
        """Write the files."""
        for number, data in enumerate(self._files, 1):
            self._locate(number).write_bytes(data)

    def _append(self, data: bytes) -> dict[str, str]:
        if self._files[-1] and len(self._files[-1]) + len(data) > LARGEST_FILE:
            self._files.append(bytearray())
        last = self._files[-1]
        last += b"\0" * (-len(last) % self._ALIGN)
        place = {"location": self._locate(len(self._files)).name, "offset": str(len(last)), "length": str(len(data))}
        last += data
        return place

    def _locate(self, number: int) -> Path:
        return self.path if number == 1 else self.path.with_suffix(f".{number}{self.path.suffix}")
