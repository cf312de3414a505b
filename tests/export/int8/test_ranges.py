"""What the scales of a transformer's int8 graph cover."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from sentimm_export.int8.precision import find_smoothed, quantize_transformer
from sentimm_export.int8.ranges import measure_ranges
from sentimm_export.int8.smoothing import MOST_TOKENS, trace_tokens

from tests.export.int8.test_precision import run

TOKENS, WIDTH, CLASSES = 40, 32, 3


def pooled_model() -> ModelProto:
    """One product of tokens, and a Gemm of the first token's."""
    generator = np.random.default_rng(7)
    weights = {
        "weight": generator.standard_normal((WIDTH, WIDTH)),
        "head": generator.standard_normal((WIDTH, CLASSES)),
        "bias": generator.standard_normal(CLASSES),
    }
    shape = ["batch", "tokens", WIDTH]
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["hidden"], ["states"], name="copy"),
            helper.make_node("MatMul", ["states", "weight"], ["product"], name="product"),
            helper.make_node("Gather", ["product", "zero"], ["pooled"], name="pool", axis=1),
            helper.make_node("Gemm", ["pooled", "head", "bias"], ["features"], name="head"),
        ],
        "text",
        [
            helper.make_tensor_value_info("hidden", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, shape[:2]),
        ],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", CLASSES])],
        [
            *(numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()),
            numpy_helper.from_array(np.array(0, np.int64), "zero"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def feeds() -> list[dict[str, np.ndarray]]:
    """Batches of two lengths; three of some 95,000 values are large, padding is larger, the second batch is offset."""
    hidden = np.random.default_rng(8).standard_normal((4, 32, TOKENS, WIDTH)).astype(np.float32)
    hidden[1] += 0.5
    hidden[0, 0, 1, :3] = 100
    feeds = [{"hidden": batch, "attention_mask": np.ones(batch.shape[:2], np.int64)} for batch in hidden]
    feeds[2] = {name: values[:, :10] for name, values in feeds[2].items()}
    feeds[3]["hidden"][:, 5:] = 1000
    feeds[3]["attention_mask"][:, 5:] = 0
    return feeds


def test_ranges_leave_out_padding_and_the_rarest_values(feeds: list[dict[str, np.ndarray]]) -> None:
    ranges = measure_ranges(pooled_model(), feeds[:3], float_nodes=())
    assert set(ranges) == {"states", "pooled", "features"}
    low, high = ranges["states"]
    assert -5 < low < -3 and 3 < high < 6  # of the standard normal distribution: 3.9
    assert measure_ranges(pooled_model(), feeds, float_nodes=())["states"] == pytest.approx((low, high), abs=0.5)
    assert set(measure_ranges(pooled_model(), feeds, float_nodes=("head",))) == {"states"}
    assert set(measure_ranges(pooled_model(), feeds, float_nodes=("product",), given=("features",))) == {"pooled"}


def test_of_many_tokens_some_are_looked_at_whatever_the_length_of_a_text() -> None:
    """A regular step would look at the first token of every text, or at that of none."""
    texts = 2 * MOST_TOKENS // TOKENS
    hidden = np.zeros((texts, TOKENS, WIDTH), np.float32)
    hidden[:, 0] = 1
    feed = {"hidden": hidden, "attention_mask": np.ones((texts, TOKENS), np.int64)}
    traced = trace_tokens(pooled_model(), ["states", "pooled"], [feed])
    assert len(traced["states"]) == MOST_TOKENS and len(traced["pooled"]) == texts
    assert traced["states"][:, 0].mean() == pytest.approx(1 / TOKENS, rel=0.2)


def test_the_scales_of_an_int8_graph_are_those_of_the_ranges(
    tmp_path: Path, feeds: list[dict[str, np.ndarray]]
) -> None:
    source, target = tmp_path / "text.onnx", tmp_path / "text.int8.onnx"
    onnx.save(pooled_model(), source)
    quantize_transformer(source, target, feeds)
    ranges = measure_ranges(onnx.load(find_smoothed(source)), feeds, float_nodes=())
    quantized = onnx.load(target)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantized.graph.initializer}
    scales = {
        node.input[0].removesuffix("_QuantizeLinear_Input"): float(constants[node.input[1]])
        for node in quantized.graph.node
        if node.op_type == "QuantizeLinear"
    }
    assert set(scales) == set(ranges) == {"states_smoothed", "pooled", "features"}
    for name, (low, high) in ranges.items():
        assert scales[name] == pytest.approx((max(high, 0) - min(low, 0)) / 255, rel=1e-5)
    usual = {name: values[1:] for name, values in feeds[0].items()}
    expected, found = run(pooled_model(), usual), run(quantized, usual)
    assert np.std(found - expected) < 0.05 * np.std(expected)
