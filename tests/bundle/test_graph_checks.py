"""Graphs that ask for what no export of ours does: refused by name, before ONNX Runtime opens anything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, TrainingInfoProto, helper, numpy_helper

from sentimm.bundle.bundle import load_bundle, write_manifest
from sentimm.errors import BundleError
from sentimm.scoring.scorer import Scorer

Change = Callable[[ModelProto], Any]

SPARSE = helper.make_sparse_tensor(
    numpy_helper.from_array(np.ones(1, np.float32)), numpy_helper.from_array(np.zeros(1, np.int64)), [2**40]
)


@pytest.fixture
def folder(tiny_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_bundle, tmp_path / "model")


@pytest.fixture
def refuse(folder: Path) -> Callable[..., str]:
    """Change a graph of the tiny bundle, whose manifest then fits it again; give what loading says."""

    def apply(change: Change, graph: str = "image.onnx") -> str:
        model = ModelProto.FromString((folder / graph).read_bytes())
        change(model)
        return refuse_content(folder, model.SerializeToString(), graph)

    return apply


def refuse_content(folder: Path, content: bytes, graph: str) -> str:
    (folder / graph).write_bytes(content)
    write_manifest(folder, read_fields(folder))
    with pytest.raises(BundleError) as error:
        load_bundle(folder)
    assert str(error.value).startswith(str(folder / graph))
    assert "export the model again" in str(error.value)
    return str(error.value)


def read_fields(folder: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((folder / "bundle.json").read_text())
    return fields


def add_node(operator: str, *inputs: str, **attributes: Any) -> Change:
    return lambda model: model.graph.node.append(helper.make_node(operator, list(inputs), ["made"], **attributes))


def add_tensor(tensor: TensorProto) -> Change:
    return lambda model: model.graph.initializer.append(tensor)


def make_sized(operator: str, places: int, place: int, *values: float, kind: int = TensorProto.INT64) -> Change:
    """Add a node of which one input, that at `place`, is a constant."""

    def change(model: ModelProto) -> None:
        size = np.array(values, helper.tensor_dtype_to_np_dtype(kind))
        model.graph.initializer.append(numpy_helper.from_array(size, "size"))
        inputs = ["size" if number == place else "pixels" for number in range(places)]
        add_node(operator, *inputs)(model)

    return change


def in_branch(change: Change) -> Change:
    """Make the change in a graph inside a graph, as those of If and Loop are."""

    def apply(model: ModelProto) -> None:
        inner = ModelProto()
        change(inner)
        add_node("If", "pixels", then_branch=inner.graph)(model)

    return apply


def edit_external(**fields: str | None) -> Change:
    """Change how the first tensor outside of the graph is placed; None: leave a field out."""

    def change(model: ModelProto) -> None:
        tensor = next(tensor for tensor in model.graph.initializer if tensor.external_data)
        placed = {entry.key: entry.value for entry in tensor.external_data} | fields
        del tensor.external_data[:]
        for key, value in placed.items():
            if value is not None:
                tensor.external_data.add(key=key, value=value)

    return change


def test_a_graph_that_is_no_protobuf_is_refused(folder: Path) -> None:
    assert "can't be read as an ONNX model" in refuse_content(folder, b"no graph", "text.onnx")


def test_graphs_nested_too_deeply_are_refused(folder: Path) -> None:
    content = b""
    for field in (6, 5, 1) * 1000:  # AttributeProto.g, NodeProto.attribute, GraphProto.node
        content = wrap(field, content)
    assert "can't be read as an ONNX model" in refuse_content(folder, wrap(7, content), "text.onnx")


def wrap(field: int, content: bytes) -> bytes:
    """Write a protobuf field that holds a message."""
    length, size = bytearray(), len(content)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([field << 3 | 2, *length, size]) + content


def test_a_graph_in_another_format_of_onnx_runtime_is_refused(folder: Path) -> None:
    fields = read_fields(folder)
    fields["graphs"]["fp32"]["text"] = "text.ort"
    (folder / "text.onnx").rename(folder / "text.ort")
    write_manifest(folder, fields)
    with pytest.raises(BundleError, match=r"text\.ort is refused: a graph is an \.onnx file of at most 2 GB"):
        load_bundle(folder)


@pytest.mark.parametrize("place", [lambda change: change, in_branch], ids=["graph", "branch"])
@pytest.mark.parametrize(
    ("operator", "domain"),
    [("EPContext", "com.microsoft"), ("PythonOp", "com.microsoft"), ("ATen", "org.pytorch.aten"), ("Mine", "me")],
)
def test_operators_beyond_those_of_onnx_are_refused(
    refuse: Callable[..., str], place: Callable[[Change], Change], operator: str, domain: str
) -> None:
    message = refuse(place(add_node(operator, "pixels", domain=domain)))
    assert f"its operator '{operator}' of '{domain}' is not one of ONNX's own" in message


def test_what_a_graph_calls_itself_can_not_disturb_the_terminal(refuse: Callable[..., str]) -> None:
    message = refuse(add_node("\033[2J" + "x" * 1000, "pixels", domain="me"))
    assert "\033" not in message and len(message) < 500


def test_names_that_are_no_text_are_refused(folder: Path) -> None:
    model = ModelProto.FromString((folder / "text.onnx").read_bytes())
    add_node("Mine", "pixels", domain="abc")(model)
    assert "is not one of ONNX's own" in refuse_content(
        folder, model.SerializeToString().replace(b"abc", b"a\xffc"), "text.onnx"
    )


def test_functions_of_a_model_are_refused(refuse: Callable[..., str]) -> None:
    function = helper.make_function("me", "Mine", ["x"], ["y"], [NodeProto(op_type="Relu")], [])
    assert "it brings functions or training steps" in refuse(lambda model: model.functions.append(function))


def test_training_steps_are_refused(refuse: Callable[..., str]) -> None:
    message = refuse(lambda model: model.training_info.append(TrainingInfoProto()))
    assert "it brings functions or training steps" in message


def test_opsets_with_sizes_in_attributes_are_refused(refuse: Callable[..., str]) -> None:
    message = refuse(lambda model: setattr(model.opset_import[0], "version", 9))
    assert "it is written in an opset older than 13" in message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"location": "../image.weights"}, "lies in '../image.weights', which is not one of the bundle's weight files"),
        ({"location": "/etc/passwd"}, "lies in '/etc/passwd', which is not one of the bundle's weight files"),
        ({"location": "*/_ORT_MEM_ADDR_/*"}, "which is not one of the bundle's weight files"),
        ({"location": "text.onnx"}, "lies in 'text.onnx', which is not one of the bundle's weight files"),
        ({"location": "tokenizer.json"}, "lies in 'tokenizer.json', which is not one of the bundle's weight files"),
        ({"location": "bundle.json"}, "lies in 'bundle.json', which is not one of the bundle's weight files"),
        ({"location": None}, "does not have one location, offset and length"),
        ({"prepacked_0": "a|0;8"}, "does not have one location, offset and length"),
        ({"offset": "-64"}, "an offset or length that is not a whole number, '-64' and "),
        ({"offset": "0x10"}, "an offset or length that is not a whole number"),
        ({"offset": "9" * 30}, "an offset or length that is not a whole number"),
        ({"offset": "1_000"}, "an offset or length that is not a whole number"),
        ({"length": "1.5"}, "an offset or length that is not a whole number"),
        ({"offset": "1000000"}, "reaches beyond the end of image.weights"),
        ({"offset": "1000000", "length": None}, "reaches beyond the end of image.weights"),
        ({"length": "4"}, "holds 4 bytes, but its shape [48, 8] needs 1,536"),
    ],
)
def test_external_data_outside_of_the_weights_is_refused(
    refuse: Callable[..., str], fields: dict[str, str | None], message: str
) -> None:
    assert message in refuse(edit_external(**fields))


def test_external_data_that_is_placed_twice_is_refused(refuse: Callable[..., str]) -> None:
    def change(model: ModelProto) -> None:
        tensor = next(tensor for tensor in model.graph.initializer if tensor.external_data)
        tensor.external_data.add(key="location", value="image.weights")

    assert "does not have one location" in refuse(change)


def make_external(**changes: Any) -> TensorProto:
    tensor = TensorProto(name="lost", dims=[1], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="elsewhere")
    for key, value in changes.items():
        setattr(tensor, key, value)
    return tensor


@pytest.mark.parametrize("place", [lambda change: change, in_branch], ids=["graph", "branch"])
@pytest.mark.parametrize(
    "change",
    [
        add_tensor(make_external()),
        add_node("Constant", value=make_external()),
        lambda model: model.graph.node.add().attribute.add().tensors.append(make_external()),
        # An attribute that says it is a number, and holds a tensor all the same.
        lambda model: model.graph.node.add().attribute.append(
            AttributeProto(name="value", type=AttributeProto.INT, t=make_external())
        ),
    ],
    ids=["initializer", "constant", "list", "disguised"],
)
def test_external_data_is_found_wherever_a_tensor_is(
    refuse: Callable[..., str], place: Callable[[Change], Change], change: Change
) -> None:
    assert "its tensor 'lost' lies in 'elsewhere', which is not one of the bundle's weight files" in refuse(
        place(change)
    )


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (TensorProto.DEFAULT, "its tensor 'lost' is stored in the graph but names a file"),
        (TensorProto.EXTERNAL, "its tensor 'lost' is stored both in the graph and outside it"),
    ],
)
def test_a_tensor_in_two_places_is_refused(refuse: Callable[..., str], location: int, message: str) -> None:
    assert message in refuse(add_tensor(make_external(data_location=location, raw_data=b"0000")))


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.graph.sparse_initializer.append(SPARSE),
        add_node("Constant", sparse_value=SPARSE),
        lambda model: model.graph.node.add().attribute.add().sparse_tensors.append(SPARSE),
    ],
    ids=["initializer", "constant", "list"],
)
def test_sparse_tensors_are_refused(refuse: Callable[..., str], change: Change) -> None:
    assert "it holds sparse tensors" in refuse(change)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        ({"dims": [3], "raw_data": b"0000"}, "does not hold the data that its shape [3] needs"),
        ({"dims": [], "raw_data": b""}, "does not hold the data that its shape [] needs"),
        ({"dims": [0], "raw_data": b"0000"}, "does not hold the data that its shape [0] needs"),
        ({"dims": [2], "float_data": [1.0]}, "does not hold the data that its shape [2] needs"),
        ({"dims": [1], "int64_data": [1]}, "does not hold the data that its shape [1] needs"),
        ({"dims": [1], "float_data": [1.0], "raw_data": b"0000"}, "does not hold the data that its shape [1] needs"),
        ({"dims": [-1], "raw_data": b"0000"}, "has an impossible shape, [-1]"),
        ({"dims": [0, 2**40]}, "has an impossible shape, [0, 1099511627776]"),
        ({"dims": [1], "data_type": TensorProto.STRING, "string_data": [b"a"]}, "has elements of ONNX's type 8"),
        ({"dims": [1], "data_type": 1000}, "has elements of ONNX's type 1000"),
    ],
)
def test_tensors_whose_data_does_not_fit_are_refused(
    refuse: Callable[..., str], tensor: dict[str, Any], message: str
) -> None:
    made = TensorProto(**{"name": "odd", "data_type": TensorProto.FLOAT} | tensor)
    assert f"its tensor 'odd' {message}" in refuse(add_tensor(made))


@pytest.mark.parametrize("place", ["input", "output", "value_info"])
@pytest.mark.parametrize("shape", [[2**31 + 1], ["batch", 2**16, 2**16], [0, 2**20, 2**20], [-(2**40)]])
def test_huge_declared_shapes_are_refused(refuse: Callable[..., str], place: str, shape: list[int | str]) -> None:
    value = helper.make_tensor_value_info("huge", TensorProto.FLOAT, shape)
    message = refuse(lambda model: getattr(model.graph, place).append(value))
    assert "'huge' is declared with more than 2,147,483,648 elements" in message


def test_values_that_are_no_tensors_are_refused(refuse: Callable[..., str]) -> None:
    value = helper.make_tensor_sequence_value_info("many", TensorProto.FLOAT, [1])
    assert "'many' is not a tensor" in refuse(lambda model: model.graph.value_info.append(value))


@pytest.mark.parametrize(
    "change",
    [
        make_sized("ConstantOfShape", 1, 0, 2**40),
        make_sized("ConstantOfShape", 1, 0, 2**16, 0, 2**16),
        make_sized("Expand", 2, 1, 1, 2**20, 2**20),
        make_sized("Tile", 2, 1, 2**16, 2**16),
        make_sized("Range", 3, 1, 2**40),
        make_sized("Reshape", 2, 1, -(2**32), 1),
        make_sized("Pad", 2, 1, 0, 2**40),
        make_sized("Resize", 4, 3, 1, 1, 2**16, 2**16),
        make_sized("Resize", 3, 2, 1, 1, 1e9, 1e9, kind=TensorProto.FLOAT),
        make_sized("Resize", 3, 2, 1, 1, float("nan"), kind=TensorProto.FLOAT),
        make_sized("Resize", 3, 2, *[1e38] * 64, kind=TensorProto.FLOAT),
        in_branch(make_sized("ConstantOfShape", 1, 0, 2**40)),
    ],
)
def test_huge_constant_sizes_are_refused(refuse: Callable[..., str], change: Change) -> None:
    assert "makes more than 2,147,483,648 elements" in refuse(change)


@pytest.mark.parametrize(
    "constant",
    [
        {"value": numpy_helper.from_array(np.array([2**40]))},
        {"value_ints": [2**20, 2**20]},
        {"value_int": 2**40},
    ],
)
def test_huge_sizes_from_nodes_are_refused(refuse: Callable[..., str], constant: dict[str, Any]) -> None:
    def change(model: ModelProto) -> None:
        model.graph.node.append(helper.make_node("Constant", [], ["stored"], **constant))
        model.graph.node.append(helper.make_node("Cast", ["stored"], ["cast"], to=TensorProto.INT64))
        model.graph.node.append(helper.make_node("Identity", ["cast"], ["size"]))
        add_node("ConstantOfShape", "size")(model)

    assert "a node 'ConstantOfShape' makes more than" in refuse(change)


def test_a_long_range_of_small_steps_is_refused(refuse: Callable[..., str]) -> None:
    def change(model: ModelProto) -> None:
        for name, value in {"start": 0.0, "limit": 1.0, "step": 1e-12}.items():
            model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
        add_node("Range", "start", "limit", "step")(model)

    assert "a node 'Range' makes more than" in refuse(change)


def test_sizes_that_can_not_be_read_are_refused(refuse: Callable[..., str]) -> None:
    message = refuse(make_sized("ConstantOfShape", 1, 0, *[1] * 65))
    assert "the sizes of a node 'ConstantOfShape' are not a few constants in the graph" in message


def test_onnx_runtime_opens_nothing_of_a_bundle_that_is_refused(
    folder: Path, refuse: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(add_node("EPContext", "pixels", domain="com.microsoft"), "fusion.onnx")
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: pytest.fail("a graph was opened"))
    with pytest.raises(BundleError, match=r"fusion\.onnx is refused because its operator 'EPContext'"):
        Scorer(model=folder, device="cpu")
