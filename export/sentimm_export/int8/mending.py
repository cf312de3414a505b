"""Mending of an int8 graph that lost too much: finer ranges of its products' inputs, then whole products in float.

Scales are percentiles first, which leave out one value in 20,000 at either end. Deep encoders may carry one large value
in the same channel of every text's first token (massive activations, Sun et al. 2024, arXiv:2402.17762), which is rarer
than that, and each of its layers reads it: cut off, it cost a tuned 12-layer encoder a tenth of its labels.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

from sentimm_export.int8.smoothing import Feeds, trace_tokens

# Of the encoder's output, against its spread over posts: below it a graph is left as it is.
NOISE_LIMIT = 0.08
# Times the noise that is left with all products in float, where that is more: then products are not what matters.
_LEFT_NOISE = 2
_LEAST_BATCHES, _LEAST_ROWS = 2, 16  # of texts or images, over which each product is measured
_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)  # of the whole range of an input

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class QuantizedInput:
    """A float tensor, `name`, that is quantised for the MatMul nodes `products`, of `cost` multiply-adds a token."""

    name: str
    products: tuple[str, ...]
    cost: int


@dataclass(frozen=True)
class Mending:
    """What an int8 graph lost before and after it was mended, and the names of the products left in float for it.

    The noise is the mean error of the first output, as a share of its standard deviation over posts.
    """

    before: float
    after: float
    float_products: tuple[str, ...]


def describe_mending(modality: str, mending: Mending) -> list[str]:
    """Return a note on what was mended, if anything was."""
    if mending.after == mending.before:
        return []
    note = f"int8 {modality}: the noise of the output was {mending.before:.1%}, and is {mending.after:.1%} with finer "
    if not mending.float_products:
        return [f"{note}ranges"]
    count = len(mending.float_products)
    return [f"{note}ranges, and with {count} product{'s' if count > 1 else ''} in float"]


class ErrorMeter:
    """Measures what the int8 form of chosen products costs: each of them can be switched on and off in one graph."""

    def __init__(self, source: Path, smoothed: Path, quantized: Path, feeds: Feeds) -> None:
        """Make the graph of three: fp32, the same smoothed, and int8."""
        self.feeds = _choose_measured(feeds)
        self.inputs = find_quantized_inputs(onnx.load(quantized).graph)
        self._expected = run_graph(onnx.load(source), self.feeds)
        switched = _add_switches(onnx.load(quantized), onnx.load(smoothed), self.inputs)
        self._session = InferenceSession(switched.SerializeToString(), providers=["CPUExecutionProvider"])

    def measure(self, chosen: Collection[QuantizedInput]) -> float:
        """Return the noise of the output with the products of `chosen` in int8, and the others in float."""
        switches = {
            _name_switch(number): np.array(each in chosen, dtype=np.float32) for number, each in enumerate(self.inputs)
        }
        found = [_to_rows(self._session.run(None, feed | switches)[0]) for feed in self.feeds]
        return measure_noise(self._expected, np.concatenate(found))


def mend_products(source: Path, smoothed: Path, target: Path, feeds: Feeds) -> Mending:
    """Mend, in place, the int8 graph `target` of a transformer, if it has more noise than NOISE_LIMIT.

    First the range of each input is the one with the smallest error of its products. If that is not enough, as few as
    possible of those products are left in float whose noise is largest for their multiply-adds; none, if the noise
    hardly comes from products, as in a network whose answers to all posts are nearly the same.

    Args:
        source: the fp32 graph.
        smoothed: the same, as it was quantised.
        target: the int8 graph.
        feeds: inputs for some texts or images.
    """
    measured = _choose_measured(feeds)
    expected = run_graph(onnx.load(source), measured)
    model = onnx.load(target)
    before = after = measure_noise(expected, run_graph(model, measured))
    if before <= NOISE_LIMIT:
        return Mending(before, after, ())
    refine_ranges(model, onnx.load(smoothed), measured)
    onnx.save(model, target)
    after = measure_noise(expected, run_graph(model, measured))
    if after <= NOISE_LIMIT:
        return Mending(before, after, ())
    meter = ErrorMeter(source, smoothed, target, feeds)
    floor = meter.measure(())
    limit = max(NOISE_LIMIT, _LEFT_NOISE * floor)
    if after <= limit:
        return Mending(before, after, ())
    fp32 = onnx.load(source)
    names: tuple[str, ...] = ()
    ordered = _order_by_worth(meter, floor)
    count = count_needed(meter, ordered, limit)
    for each in (ordered[:count], *([one] for one in ordered[count:])):
        restore_products(model, fp32, each)
        names += tuple(name for one in each for name in one.products)
        after = measure_noise(expected, run_graph(model, measured))
        if after <= limit:
            break
    onnx.save(model, target)
    return Mending(before, after, names)


def _choose_measured(feeds: Feeds) -> Feeds:
    """Return the first batches of `feeds`, which are measured again and again."""
    rows = len(next(iter(feeds[0].values())))
    return feeds[: max(_LEAST_BATCHES, -(-_LEAST_ROWS // rows))]


def _order_by_worth(meter: ErrorMeter, floor: float) -> list[QuantizedInput]:
    """Return all inputs, those first that, alone, bring most for their cost; `floor` is the noise without them."""
    squares = {each: max(meter.measure((each,)) ** 2 - floor**2, 0.0) for each in meter.inputs}
    return sorted(meter.inputs, key=lambda each: squares[each] / each.cost, reverse=True)


def count_needed(meter: ErrorMeter, ordered: Sequence[QuantizedInput], limit: float) -> int:
    """Return how many of the inputs, from the first on, must be in float for the noise to be at most `limit`.

    By bisection: errors of several inputs add up to more than those of each alone, so that these do not tell.
    """
    low, high = 1, len(ordered)
    while low < high:
        middle = (low + high) // 2
        if meter.measure(ordered[middle:]) <= limit:
            high = middle
        else:
            low = middle + 1
    return high


def refine_ranges(model: ModelProto, smoothed: ModelProto, feeds: Feeds) -> None:
    """Set, in place, the range of each input of an int8 graph's products to that with the smallest error of these."""
    inputs = find_quantized_inputs(model.graph)
    traced = trace_tokens(smoothed, [each.name for each in inputs], feeds)
    nodes = {node.name: node for node in smoothed.graph.node}
    tensors = {tensor.name: tensor for tensor in smoothed.graph.initializer}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    quantizers = {node.input[0]: node for node in model.graph.node if node.op_type == "QuantizeLinear"}
    for each in inputs:
        weights = np.concatenate(
            [numpy_helper.to_array(tensors[nodes[name].input[1]]) for name in each.products], axis=1
        )
        scale_name, zero_name = quantizers[each.name].input[1:3]
        old = float(numpy_helper.to_array(constants[scale_name])), int(numpy_helper.to_array(constants[zero_name]))
        scale, zero = _choose_scale(traced[each.name], weights, old)
        constants[scale_name].CopyFrom(numpy_helper.from_array(np.array(scale, dtype=np.float32), scale_name))
        constants[zero_name].CopyFrom(numpy_helper.from_array(np.array(zero, dtype=np.uint8), zero_name))


def _choose_scale(values: Array, weights: Array, old: tuple[float, int]) -> tuple[float, int]:
    """Return the scale and zero point for `values`, float (tokens, channels), of the smallest error of the product."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    candidates = [old]
    for share in _SHARES:
        scale = max((high - low) * share / 255, 1e-12)
        candidates.append((scale, round(-low * share / scale)))

    def measure_error(candidate: tuple[float, int]) -> float:
        scale, zero = candidate
        rounded = (np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale
        return float(np.square((rounded - values) @ weights).sum())

    return min(candidates, key=measure_error)


def restore_products(model: ModelProto, source: ModelProto, inputs: Sequence[QuantizedInput]) -> None:
    """Put the products of `inputs` back into an int8 graph, in place, as they are in the fp32 graph `source`."""
    names = {name for each in inputs for name in each.products}
    originals = {node.name: node for node in source.graph.node if node.name in names}
    weights = {tensor.name: tensor for tensor in source.graph.initializer}
    # A product whose outliers were split off ended in an addition, which is no longer wanted.
    outputs = {node.output[0] for node in originals.values()}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.name in originals:
            node.CopyFrom(originals[node.name])
            value = numpy_helper.to_array(weights[node.input[1]])
            node.input[1] = f"{node.name}_float_weight"
            model.graph.initializer.append(numpy_helper.from_array(value, node.input[1]))
        elif outputs.intersection(node.output):
            continue
        nodes.append(node)
    _remove_unused(model.graph, nodes)


def _remove_unused(graph: GraphProto, nodes: Sequence[NodeProto]) -> None:
    """Leave those of `nodes` in the graph that its outputs need, and their constants."""
    used = {value.name for value in graph.output}
    needed: list[NodeProto] = []
    for node in reversed(nodes):
        if used.intersection(node.output):
            used.update(node.input)
            copy = NodeProto()
            copy.CopyFrom(node)
            needed.append(copy)
    # Shapes and types that were inferred for the graph as it was.
    del graph.node[:], graph.value_info[:]
    graph.node.extend(reversed(needed))
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def find_quantized_inputs(graph: GraphProto) -> list[QuantizedInput]:
    """Return the inputs that an int8 graph's MatMul nodes with constant weights share, in the graph's order.

    Others' scales (those of Gemm) are part of the scale of their bias.
    """
    producers = {name: node for node in graph.node for name in node.output}
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    found: dict[str, list[str]] = {}
    costs: dict[str, int] = {}
    others: set[str] = set()
    for node in graph.node:
        before = producers.get(node.input[0]) if node.input else None
        quantizer = producers.get(before.input[0]) if before is not None and _is(before, "DequantizeLinear") else None
        if quantizer is None or not _is(quantizer, "QuantizeLinear"):
            continue
        name, weight = quantizer.input[0], producers.get(node.input[1]) if len(node.input) > 1 else None
        if node.op_type == "MatMul" and weight is not None and weight.input[0] in sizes:
            found.setdefault(name, []).append(node.name)
            costs[name] = costs.get(name, 0) + sizes[weight.input[0]]
        else:
            others.add(name)
    return [QuantizedInput(name, tuple(each), costs[name]) for name, each in found.items() if name not in others]


def _is(node: NodeProto, operator: str) -> bool:
    return bool(node.op_type == operator)


def _add_switches(model: ModelProto, smoothed: ModelProto, inputs: Sequence[QuantizedInput]) -> ModelProto:
    """Return the int8 graph with an input for each of `inputs`: 1 for its products in int8, 0 for float."""
    numbers = {name: number for number, each in enumerate(inputs) for name in each.products}
    originals = {node.name: node for node in smoothed.graph.node if node.name in numbers}
    weights = {tensor.name: tensor for tensor in smoothed.graph.initializer}
    constants = {tensor.name for tensor in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        for place, exact in enumerate(originals[node.name].input if node.name in numbers else ()):
            if exact in weights and exact not in constants:
                model.graph.initializer.append(weights[exact])
                constants.add(exact)
            error, part, mixed = (f"{node.name}_{place}_{suffix}" for suffix in ("error", "part", "mixed"))
            nodes += [
                helper.make_node("Sub", [node.input[place], exact], [error]),
                helper.make_node("Mul", [error, _name_switch(numbers[node.name])], [part]),
                helper.make_node("Add", [exact, part], [mixed]),
            ]
            node.input[place] = mixed
        nodes.append(node)
    for number in range(len(inputs)):
        model.graph.input.append(helper.make_tensor_value_info(_name_switch(number), TensorProto.FLOAT, []))
    _remove_unused(model.graph, nodes)
    return model


def _name_switch(number: int) -> str:
    return f"switch_{number}"


def run_graph(model: ModelProto, feeds: Feeds) -> Array:
    """Run a graph over all feeds: its first output, float32 (rows, channels)."""
    session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([_to_rows(session.run(None, feed)[0]) for feed in feeds])


def _to_rows(values: Array) -> Array:
    return values.reshape(-1, values.shape[-1])


def measure_noise(expected: Array, found: Array) -> float:
    """Return the error of `found`, float (rows, channels), as a share of the spread of `expected`; 0 if it has none."""
    spread = float(np.square(expected - expected.mean(axis=0)).sum())
    return float(np.sqrt(np.square(found - expected).sum() / spread)) if spread > 0 else 0.0
