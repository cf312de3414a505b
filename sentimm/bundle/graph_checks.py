"""What a bundle's graphs may hold, checked before ONNX Runtime opens them.

A bundle may come from anywhere, and ONNX Runtime does what a graph asks for: operators beyond ONNX's own open files and
call code, external data is mapped from wherever it is said to lie, and what follows from constants is computed while a
graph is opened. Here a graph is read as plain data, and refused where it asks for what no export of ours does. What
remains is bounded by what ONNX's own operators can do: a graph may still take long, or much memory, to run.
"""

from __future__ import annotations

import math
import re
import struct
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sentimm.errors import BundleError

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto

# Values by name: those of small tensors, which may be sizes, and None for all other constants.
_Constants: TypeAlias = ChainMap[str, "Sequence[float] | None"]

_MOST_BYTES = 2**31 - 1  # of a graph's file: protobuf reads no more
_MOST_ELEMENTS = 2**31  # of a declared shape: 8 GB of float32
_MOST_SIZES = 64  # dimensions of one shape, or scales, or pads

# Exports of all fusions and precisions hold operators of ONNX alone. ONNX Runtime's own are refused altogether: some
# open other files (EPContext) or call code (PythonOp).
_DOMAINS = ("", "ai.onnx")
_OLDEST_OPSET = 13  # before, some sizes were attributes: `_SIZES` names inputs

# The inputs that say how large an operator's output is.
_SIZES: Mapping[str, tuple[int, ...]] = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Tile": (1,),
}

# Types of elements by ONNX's number: the bytes of one, its code in `struct`, and the field for what is not raw.
_ELEMENTS: Mapping[int, tuple[int, str, str]] = {
    1: (4, "f", "float_data"),  # FLOAT
    2: (1, "B", "int32_data"),  # UINT8
    3: (1, "b", "int32_data"),  # INT8
    4: (2, "H", "int32_data"),  # UINT16
    5: (2, "h", "int32_data"),  # INT16
    6: (4, "i", "int32_data"),  # INT32
    7: (8, "q", "int64_data"),  # INT64
    9: (1, "?", "int32_data"),  # BOOL
    10: (2, "e", "int32_data"),  # FLOAT16
    11: (8, "d", "double_data"),  # DOUBLE
    12: (4, "I", "uint64_data"),  # UINT32
    13: (8, "Q", "uint64_data"),  # UINT64
}
_DATA = ("raw_data", "string_data", *dict.fromkeys(field for _, _, field in _ELEMENTS.values()))

_EXTERNAL = 1  # as a tensor's data_location
_WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


def check_graph(path: Path, weights: Mapping[str, int]) -> None:
    """Check that ONNX Runtime may open the graph in the file `path`.

    `weights` are the files beside it that tensors may lie in: their sizes in bytes, by name.

    Raises:
        BundleError: the file is no ONNX model, or asks for what an export of sentimm never does.
    """
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    try:
        # What ends in .ort ONNX Runtime reads as another format, in which nothing is checked here.
        if path.suffix != ".onnx" or path.stat().st_size > _MOST_BYTES:
            raise BundleError(f"{path} is refused: a graph is an .onnx file of at most 2 GB; export the model again.")
        problem = next(_examine_model(ModelProto.FromString(path.read_bytes()), weights), None)
    except (DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} can't be read as an ONNX model ({error}): export the model again.") from error
    if problem is not None:
        raise BundleError(
            f"{path} is refused because {problem}: export the model again, or get the bundle from a source you trust."
        )


def _examine_model(model: ModelProto, weights: Mapping[str, int]) -> Iterator[str]:
    """Yield what is wrong with a model, as ends of the sentence "PATH is refused because ..."; so do all below."""
    if model.functions or model.training_info:
        yield "it brings functions or training steps of its own"
    if any(opset.version < _OLDEST_OPSET for opset in model.opset_import if opset.domain in _DOMAINS):
        yield f"it is written in an opset older than {_OLDEST_OPSET}"
    yield from _examine_graph(model.graph, weights, ChainMap())


def _examine_graph(graph: GraphProto, weights: Mapping[str, int], outer: _Constants) -> Iterator[str]:
    if graph.sparse_initializer:
        yield "it holds sparse tensors"
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield from _examine_type(value.name, value.type)
    constants = outer.new_child()  # a graph inside of another sees the constants of both
    for tensor in graph.initializer:
        yield from _examine_tensor(tensor, weights)
        constants[tensor.name] = _read_sizes(tensor)
    for node in graph.node:
        if node.domain not in _DOMAINS:
            yield f"its operator {_show(node.op_type)} of {_show(node.domain)} is not one of ONNX's own"
        for attribute in node.attribute:
            yield from _examine_attribute(attribute, weights, constants)
        yield from _examine_sizes(node, constants)
        _note_constants(node, constants)


def _examine_attribute(attribute: AttributeProto, weights: Mapping[str, int], constants: _Constants) -> Iterator[str]:
    # Whatever its type is said to be: all that is there is looked at.
    if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
        yield "it holds sparse tensors"
    for kind in (*attribute.type_protos, attribute.tp):
        yield from _examine_type(attribute.name, kind)
    for tensor in (*attribute.tensors, *([attribute.t] if attribute.HasField("t") else ())):
        yield from _examine_tensor(tensor, weights)
    for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
        yield from _examine_graph(graph, weights, constants)


def _examine_type(name: str, kind: TypeProto) -> Iterator[str]:
    if kind.WhichOneof("value") not in (None, "tensor_type"):
        yield f"{_show(name)} is not a tensor"
    if _count([size.dim_value for size in kind.tensor_type.shape.dim]) > _MOST_ELEMENTS:
        yield f"{_show(name)} is declared with more than {_MOST_ELEMENTS:,} elements"


def _examine_tensor(tensor: TensorProto, weights: Mapping[str, int]) -> Iterator[str]:
    name = f"its tensor {_show(tensor.name)}"
    if tensor.data_type not in _ELEMENTS:
        yield f"{name} has elements of ONNX's type {tensor.data_type}, which sentimm does not use"
        return
    if any(size < 0 for size in tensor.dims) or _count(tensor.dims) > _MOST_ELEMENTS:
        yield f"{name} has an impossible shape, {_show(list(tensor.dims))}"
    width, _, field = _ELEMENTS[tensor.data_type]
    elements = math.prod(tensor.dims)
    stored = {name: len(getattr(tensor, name)) for name in _DATA if len(getattr(tensor, name))}
    if tensor.data_location == _EXTERNAL:
        if stored:
            yield f"{name} is stored both in the graph and outside it"
        yield from _examine_external(tensor, elements * width, weights)
        return
    if tensor.external_data:
        yield f"{name} is stored in the graph but names a file"
    if stored not in ([{"raw_data": elements * width}, {field: elements}] if elements else [{}]):
        yield f"{name} does not hold the data that its shape {_show(list(tensor.dims))} needs"


def _examine_external(tensor: TensorProto, size: int, weights: Mapping[str, int]) -> Iterator[str]:
    name = f"its tensor {_show(tensor.name)}"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if len(entries) < len(tensor.external_data) or not {"location"} <= set(entries) <= {"location", "offset", "length"}:
        yield f"{name} does not have one location, offset and length"
        return
    location, offset, length = entries["location"], entries.get("offset", "0"), entries.get("length", str(size))
    if location not in weights:
        yield f"{name} lies in {_show(location)}, which is not one of the bundle's weight files"
        return
    if not all(_WHOLE_NUMBER.fullmatch(str(number)) for number in (offset, length)):
        yield f"{name} has an offset or length that is not a whole number, {_show(offset)} and {_show(length)}"
        return
    if int(length) != size:
        yield f"{name} holds {int(length):,} bytes, but its shape {_show(list(tensor.dims))} needs {size:,}"
    if int(offset) + int(length) > weights[location]:
        yield f"{name} reaches beyond the end of {location}"


def _examine_sizes(node: NodeProto, constants: _Constants) -> Iterator[str]:
    """Look at constants that say how large a node's output is: it would be made while the graph is opened."""
    names = [node.input[place] for place in _SIZES.get(node.op_type, ()) if place < len(node.input)]
    constant_values = [constants[name] for name in names if name in constants]
    if any(values is None for values in constant_values):
        yield f"the sizes of a node {_show(node.op_type)} are not a few constants in the graph"
        return
    sizes = [value for values in constant_values for value in values or ()]
    if node.op_type == "Range" and len(sizes) == len(_SIZES["Range"]):
        start, limit, step = sizes
        sizes = [(limit - start) / (step or 1)]
    if not _count(sizes) <= _MOST_ELEMENTS:  # nor NaN
        yield f"a node {_show(node.op_type)} makes more than {_MOST_ELEMENTS:,} elements"


def _note_constants(node: NodeProto, constants: _Constants) -> None:
    """Add what a node gives to `constants`, where it only holds a value or passes one on."""
    if node.op_type == "Constant":
        for attribute in node.attribute:
            plain = [*attribute.ints, *attribute.floats] or [attribute.i or attribute.f]
            values = _read_sizes(attribute.t) if attribute.HasField("t") else plain
            constants.update(dict.fromkeys(node.output, values))
    elif node.op_type in ("Identity", "Cast") and node.input and node.input[0] in constants:
        constants.update(dict.fromkeys(node.output, constants[node.input[0]]))


def _read_sizes(tensor: TensorProto) -> Sequence[float] | None:
    """Read a tensor of a few numbers; None: it is none."""
    if tensor.data_location == _EXTERNAL or tensor.data_type not in _ELEMENTS or math.prod(tensor.dims) > _MOST_SIZES:
        return None
    _, code, field = _ELEMENTS[tensor.data_type]
    if tensor.raw_data:
        return [number for (number,) in struct.iter_unpack(f"<{code}", tensor.raw_data)]
    return list(getattr(tensor, field))


def _count(sizes: Iterable[float]) -> float:
    """Count the elements of a shape; 0 (in places: "as it was") and -1 ("what is left") count as 1."""
    return math.prod(max(float(abs(size)), 1.0) for size in sizes)


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
