from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import onnx
import pytest
import sentimm_export.int8.mending as mending
from onnx import ModelProto, TensorProto, helper, numpy_helper
from sentimm_export.int8.mending import (
    ErrorMeter,
    Mending,
    QuantizedInput,
    count_needed,
    describe_mending,
    find_quantized_inputs,
    measure_noise,
    mend_products,
    run_graph,
)
from sentimm_export.int8.precision import find_smoothed, quantize_transformer

from tests.export.int8.test_precision import feed_forward_model, text_feeds, text_model

WIDTH, TOKENS, LARGE = 64, 400, 60  # so that one large value a text is rarer than one in 20,000


def deep_model() -> ModelProto:
    """Two layers; the second reads one large value in each text's first token, and the output is of that token."""
    generator = np.random.default_rng(5)
    early, late = generator.standard_normal((2, WIDTH, WIDTH)).astype(np.float32) / 8
    others = np.ones(WIDTH, np.float32)
    others[3] = 0
    shape = ["batch", "tokens", WIDTH]
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["hidden", "others"], ["plain"], name="mask"),
            helper.make_node("MatMul", ["plain", "early_weight"], ["first"], name="early"),
            helper.make_node("Add", ["hidden", "first"], ["states"], name="residual"),
            helper.make_node("MatMul", ["states", "late_weight"], ["second"], name="late"),
            helper.make_node("Gather", ["second", "zero"], ["features"], name="pool", axis=1),
        ],
        "deep",
        [
            helper.make_tensor_value_info("hidden", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, shape[:2]),
        ],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", WIDTH])],
        [
            numpy_helper.from_array(value, name)
            for name, value in {
                "others": others,
                "early_weight": early,
                "late_weight": late,
                "zero": np.array(0, np.int64),
            }.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def deep_feeds() -> list[dict[str, np.ndarray]]:
    hidden = np.random.default_rng(6).standard_normal((2, 10, TOKENS, WIDTH)).astype(np.float32)
    hidden[:, :, 0, 3] = LARGE
    return [{"hidden": batch, "attention_mask": np.ones(batch.shape[:2], np.int64)} for batch in hidden]


def quantize(model: ModelProto, folder: Path, feeds: list[dict[str, np.ndarray]]) -> tuple[Path, Path, Path]:
    source, target = folder / "text.onnx", folder / "text.int8.onnx"
    onnx.save(model, source)
    quantize_transformer(source, target, feeds)
    return source, find_smoothed(source), target


def list_products(path: Path) -> set[str]:
    return {name for each in find_quantized_inputs(onnx.load(path).graph) for name in each.products}


def test_a_large_value_that_percentiles_cut_off_is_found_and_costs_no_product_in_float(tmp_path: Path) -> None:
    source, smoothed, target = quantize(deep_model(), tmp_path, deep_feeds())
    mended = mend_products(source, smoothed, target, deep_feeds())
    assert mended.before > 0.5
    assert mended.after < mending.NOISE_LIMIT and mended.float_products == ()
    other = [feed | {"hidden": -feed["hidden"]} for feed in deep_feeds()]
    for feed in other:
        feed["hidden"][:, 0, 3] = LARGE
    assert measure_noise(run_graph(deep_model(), other), run_graph(onnx.load(target), other)) < mending.NOISE_LIMIT
    assert list_products(target) == {"early", "late"}
    assert "finer ranges" in " ".join(describe_mending("text", mended))


def test_a_graph_that_passes_is_left_as_it_was(tmp_path: Path) -> None:
    source, smoothed, target = quantize(text_model(), tmp_path, text_feeds())
    before = target.read_bytes()
    mended = mend_products(source, smoothed, target, text_feeds())
    assert target.read_bytes() == before
    assert mended.after == mended.before and describe_mending("text", mended) == []


def test_what_ranges_do_not_mend_stays_in_float_and_no_more_than_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, smoothed, target = quantize(deep_model(), tmp_path, deep_feeds())
    ranges = mend_products(source, smoothed, target, deep_feeds()).after
    monkeypatch.setattr(mending, "NOISE_LIMIT", ranges * 0.99)
    mended = mend_products(source, smoothed, target, deep_feeds())
    assert mended.after < ranges
    # The first token reads the late product, whose inputs have the large value.
    assert mended.float_products == ("late",) and list_products(target) == {"early"}


def test_no_product_stays_in_float_where_the_noise_is_not_of_products(tmp_path: Path) -> None:
    model = deep_model()
    # A head over the features, whose answers to all posts are nearly the same: rounded, they say nothing.
    model.graph.node.append(helper.make_node("Gemm", ["features", "head_weight", "head_bias"], ["scores"], name="head"))
    weight = np.random.default_rng(7).standard_normal((WIDTH, 8)).astype(np.float32) / 1e3
    for name, value in (("head_weight", weight), ("head_bias", np.full(8, 100, np.float32))):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 8]))
    source, smoothed, target = quantize(model, tmp_path, deep_feeds())
    mended = mend_products(source, smoothed, target, deep_feeds())
    assert mended.after > mending.NOISE_LIMIT
    assert mended.float_products == () and list_products(target) == {"early", "late"}


@pytest.mark.parametrize("needed", [1, 2, 7, 11, 12])
def test_no_more_products_stay_in_float_than_are_needed_where_their_errors_add_up_to_more(needed: int) -> None:
    class Meter:
        asked = 0

        def measure(self, chosen: Collection[QuantizedInput]) -> float:
            self.asked += 1
            return mending.NOISE_LIMIT * (2.0 if len(chosen) > 12 - needed else 0.5)

    inputs = [QuantizedInput(str(number), (), 1) for number in range(12)]
    meter = Meter()
    assert count_needed(meter, inputs, mending.NOISE_LIMIT) == needed
    assert meter.asked <= 4


@pytest.mark.parametrize("model", [deep_model, feed_forward_model])
def test_all_products_in_float_answer_as_the_fp32_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Callable[[], ModelProto]
) -> None:
    feeds = deep_feeds() if model is deep_model else text_feeds()
    source, smoothed, target = quantize(model(), tmp_path, feeds)
    monkeypatch.setattr(mending, "NOISE_LIMIT", 1e-9)
    mend_products(source, smoothed, target, feeds)
    operators = {node.op_type for node in onnx.load(target).graph.node}
    assert not operators & {"QuantizeLinear", "DequantizeLinear"}
    assert len(onnx.load(target).graph.node) == len(onnx.load(source).graph.node)
    np.testing.assert_allclose(run_graph(onnx.load(target), feeds), run_graph(model(), feeds), rtol=1e-5, atol=1e-4)


def test_the_error_of_products_is_measured_alone_and_together(tmp_path: Path) -> None:
    source, smoothed, target = quantize(deep_model(), tmp_path, deep_feeds())
    meter = ErrorMeter(source, smoothed, target, deep_feeds())
    early, late = meter.inputs
    assert (early.products, late.products) == (("early",), ("late",))
    assert meter.measure(()) < 1e-5
    assert meter.measure((early,)) < 0.1 < meter.measure((late,))
    expected = measure_noise(run_graph(deep_model(), deep_feeds()), run_graph(onnx.load(target), deep_feeds()))
    assert meter.measure(meter.inputs) == pytest.approx(expected, rel=0.01)


def test_noise_is_a_share_of_the_spread() -> None:
    values = np.array([[1, 0], [-1, 0]], dtype=np.float32)
    assert measure_noise(values, values * 1.5) == pytest.approx(0.5)
    assert measure_noise(values[:1], values[:1] + 1) == 0.0


def test_a_note_counts_products() -> None:
    assert describe_mending("text", Mending(0.3, 0.07, ("a",)))[0].endswith("and with 1 product in float")
    assert describe_mending("text", Mending(0.3, 0.07, ("a", "b")))[0].endswith("and with 2 products in float")
