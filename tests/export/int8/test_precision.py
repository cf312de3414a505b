from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession
from sentimm_export.int8.precision import find_first_block, quantize_convolutions, quantize_transformer
from sentimm_export.int8.smoothing import smooth_products, split_outliers

rng = np.random.default_rng(0)
TOKENS, WIDTH = 6, 32


def test_smoothing_changes_no_answer_in_float() -> None:
    plain, smoothed = text_model(), text_model()
    smooth_products(smoothed, text_feeds(), excluded=())
    assert len(smoothed.graph.node) == len(plain.graph.node) + 1
    for feed in text_feeds():
        np.testing.assert_allclose(run(smoothed, feed), run(plain, feed), rtol=1e-4, atol=1e-4)


def test_smoothing_leaves_products_that_are_kept_alone() -> None:
    smoothed = text_model()
    smooth_products(smoothed, text_feeds(), excluded=("product",))
    assert smoothed == text_model()


def test_smoothing_looks_at_real_tokens_alone() -> None:
    plain, padded = text_model(), text_model()
    feed = text_feeds()[0]
    extra = {name: np.concatenate([values, values], axis=1) for name, values in feed.items()}
    extra["attention_mask"][:, TOKENS:] = 0
    extra["hidden"][:, TOKENS:] *= 1000
    smooth_products(plain, [feed], excluded=())
    smooth_products(padded, [extra], excluded=())
    assert plain == padded


def test_a_text_graph_with_outliers_keeps_its_answers_in_int8(tmp_path: Path) -> None:
    source, target = tmp_path / "text.onnx", tmp_path / "text.int8.onnx"
    onnx.save(text_model(), source)
    quantize_transformer(source, target, text_feeds())
    expected = np.concatenate([run(text_model(), feed) for feed in text_feeds()])
    found = np.concatenate([run(onnx.load(target), feed) for feed in text_feeds()])
    # Without smoothing the noise is 64% here: one channel is 100 times as large as the others.
    assert np.std(found - expected) < 0.02 * np.std(expected)


def test_splitting_outliers_changes_no_answer_in_float() -> None:
    split = feed_forward_model()
    kept, ranges = split_outliers(split, text_feeds(), ["second"])
    assert kept == ["second_apart"]
    ((low, high),) = ranges.values()
    assert low == 0 and high < 30  # the outlier is in the thousands
    for feed in text_feeds():
        np.testing.assert_allclose(run(split, feed), run(feed_forward_model(), feed), rtol=1e-4, atol=1e-3)


def test_a_feed_forward_layer_with_outliers_keeps_its_answers_in_int8(tmp_path: Path) -> None:
    source, target = tmp_path / "text.onnx", tmp_path / "text.int8.onnx"
    onnx.save(feed_forward_model(), source)
    assert quantize_transformer(source, target, text_feeds()) == ["second_apart"]
    quantized = onnx.load(target)
    inputs = {node.input[1] for node in quantized.graph.node if node.op_type == "MatMul"}
    assert inputs & {"second_weight_DequantizeLinear_Output"} and "second_outlier_weights" in inputs
    expected = np.concatenate([run(feed_forward_model(), feed) for feed in text_feeds()])
    found = np.concatenate([run(quantized, feed) for feed in text_feeds()])
    # Without splitting the noise is larger than the answers: one hidden unit is hundreds of times the others.
    assert np.std(found - expected) < 0.03 * np.std(expected)


def test_the_first_block_ends_behind_the_first_depthwise_convolution() -> None:
    assert find_first_block(image_model(depthwise=True).graph) == ["conv0", "conv1", "conv2"]
    assert find_first_block(image_model(depthwise=False).graph) == []


def test_depthwise_weights_have_eight_bits_and_others_seven(tmp_path: Path) -> None:
    source, target = tmp_path / "image.onnx", tmp_path / "image.int8.onnx"
    onnx.save(image_model(depthwise=True), source)
    feeds = [{"pixels": rng.random((2, 8, 8, 8), dtype=np.float32)}]
    assert quantize_convolutions(source, target, feeds) == ["conv0", "conv1", "conv2"]
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(target).graph.initializer}
    assert weights["w0"].dtype == np.float32
    assert np.abs(weights["w3_quantized"].astype(int)).max() == 127
    assert np.abs(weights["w4_quantized"].astype(int)).max() <= 64


def text_model() -> ModelProto:
    """Hidden states, of which one channel is far larger than the others, through one product."""
    generator = np.random.default_rng(1)
    weight = generator.standard_normal((WIDTH, WIDTH)).astype(np.float32)
    weight[3] *= 0.01
    size = np.ones(WIDTH, np.float32)
    size[3] = 100
    shape = ["batch", "tokens", WIDTH]
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["hidden", "size"], ["states"], name="scale"),
            helper.make_node("MatMul", ["states", "weight"], ["output"], name="product"),
        ],
        "text",
        [
            helper.make_tensor_value_info("hidden", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, shape[:2]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(size, "size"), numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def feed_forward_model() -> ModelProto:
    """A feed-forward layer of which one hidden unit, that the second product hardly uses, is far larger than others."""
    generator = np.random.default_rng(4)
    first = generator.standard_normal((WIDTH, 2 * WIDTH)).astype(np.float32)
    second = generator.standard_normal((2 * WIDTH, WIDTH)).astype(np.float32)
    second[5] *= 0.001
    size = np.ones(2 * WIDTH, np.float32)
    size[5] = 500
    shape = ["batch", "tokens", WIDTH]
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["hidden"], ["states"], name="copy"),
            helper.make_node("MatMul", ["states", "first_weight"], ["wide"], name="first"),
            helper.make_node("Relu", ["wide"], ["positive"], name="relu"),
            helper.make_node("Mul", ["positive", "size"], ["active"], name="scale"),
            helper.make_node("MatMul", ["active", "second_weight"], ["output"], name="second"),
        ],
        "text",
        [
            helper.make_tensor_value_info("hidden", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, shape[:2]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(value, name)
            for name, value in {"first_weight": first, "second_weight": second, "size": size}.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def text_feeds() -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(2)
    hidden = generator.standard_normal((4, 8, TOKENS, WIDTH)).astype(np.float32)
    return [{"hidden": batch, "attention_mask": np.ones(batch.shape[:2], np.int64)} for batch in hidden]


def image_model(*, depthwise: bool) -> ModelProto:
    """Five convolutions over eight channels, the second and the fourth depthwise or all plain."""
    generator = np.random.default_rng(3)
    nodes, weights, value = [], [], "pixels"
    for number in range(5):
        groups = 8 if depthwise and number % 2 else 1
        weight = generator.standard_normal((8, 8 // groups, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{number}"))
        output = f"x{number}" if number < 4 else "features"
        nodes.append(
            helper.make_node("Conv", [value, f"w{number}"], [output], name=f"conv{number}", group=groups, pads=[1] * 4)
        )
        value = output
    shape = ["batch", 8, 8, 8]
    graph = helper.make_graph(
        nodes,
        "image",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: ModelProto, feed: dict[str, np.ndarray]) -> np.ndarray:
    session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    known = {entry.name for entry in session.get_inputs()}
    return session.run(None, {name: values for name, values in feed.items() if name in known})[0]
