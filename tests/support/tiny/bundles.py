"""Tiny bundles with random weights, real in every other way: made in milliseconds, without torch."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from sentimm.bundle.bundle import write_manifest

OPSET = 17
IR_VERSION = 9
MAX_TOKENS = 16
IMAGE_SIZE = 32
GRID = 4  # the image graph sees means over GRID x GRID cells
LABELS = ("negative", "neutral", "positive")

_WORDS = """
a all am an and are as at awful bad be best better big boring but by can cat city coffee cold come
could day do dog down dream easy eat even every face feel fine food for friend from fun game get go
good great had happy hard has hate have he heart her here him his home hope how http i if in is it
joy just know last laugh less life like little long look lost lot love make man many me mean more
morning movie much music my never new nice night no not nothing now of off oh ok old on one only or
our out over own party people photo place play please post proud rain really red right sad same say
see she sick smile so some song sorry still summer sun sure take terrible thank that the their them
then there they thing think this time tired to today too train tree trip true two ugly up us user
very wait want warm was water way we week well what when who why will win wish with word work world
worst would wow wrong year yes yet you young your
"""


def make_bundle(
    folder: Path,
    *,
    modalities: Sequence[str] = ("text", "image"),
    heads: Sequence[str] = ("text", "image"),
    labels: Sequence[str] = LABELS,
    precisions: Sequence[str] = ("fp32",),
    temperatures: Mapping[str, float] | None = None,
    name: str = "tiny",
    width: int = 8,
    seed: int = 0,
    attends: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Make a bundle in `folder` and return `folder`.

    All `precisions` share the same float graphs (the image graph's weights are in an external-data file).
    Heads are kept for the `modalities` only. A fusion that `attends` takes sequences too, and averages them. `changes`
    replaces fields of the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = np.random.default_rng(seed)
    heads = [head for head in heads if head in modalities and len(modalities) > 1]
    graphs = {"fusion": "fusion.onnx"}
    onnx.save(_fusion_graph(weights, modalities, heads, len(labels), width, attends), folder / graphs["fusion"])
    text = image = None
    if "text" in modalities:
        graphs["text"] = "text.onnx"
        tokenizer = make_tokenizer()
        tokenizer.save(str(folder / "tokenizer.json"))
        onnx.save(_text_graph(weights, tokenizer.get_vocab_size(), width, attends), folder / graphs["text"])
        text = {
            "encoder": "tiny-text",
            "normalization": "tweet-1",
            "max_tokens": MAX_TOKENS,
            "tokenizer": "tokenizer.json",
            "pad_id": 0,
            "width": width,
        }
    if "image" in modalities:
        graphs["image"] = "image.onnx"
        onnx.save(
            _image_graph(weights, width, attends),
            folder / graphs["image"],
            save_as_external_data=True,
            location="image.weights",
            size_threshold=64,
        )
        image = {"encoder": "tiny-image", "size": IMAGE_SIZE, "width": width}
        image |= {"cells": GRID * GRID} if attends else {}
    fields: dict[str, Any] = {
        "name": name,
        "labels": list(labels),
        "modalities": list(modalities),
        "text": text,
        "image": image,
        "fusion": {"name": "native-cat", "heads": heads} | ({"attends": True} if attends else {}),
        "temperatures": dict(temperatures or {"text+image": 1.0, "text": 1.0, "image": 1.0}),
        "graphs": dict.fromkeys(precisions, graphs),
        "metrics": {"val": {"data": "none", "accuracy": 0.5}},
        "parity": {},
        "provenance": {"sentimm": "0.1.0", "created": "2025-01-01T00:00:00Z"},
    }
    write_manifest(folder, fields | dict(changes or {}))
    return folder


def make_tokenizer() -> Tokenizer:
    """Make a lower-casing WordPiece tokenizer of a few hundred words and all ASCII characters."""
    characters = string.ascii_lowercase + string.digits
    pieces = [*string.punctuation, *characters, *(f"##{character}" for character in characters)]
    tokens = dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *pieces, *_WORDS.split()])
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    return tokenizer


def _text_graph(weights: np.random.Generator, vocabulary: int, width: int, attends: bool) -> onnx.ModelProto:
    """Embed, average over the mask, project: text_features[i] = mean(E[ids[i]]) @ W; text_sequence = E[ids] @ W."""
    graph = _Graph("text")
    graph.add_input("input_ids", TensorProto.INT64, ["batch", "tokens"])
    graph.add_input("attention_mask", TensorProto.INT64, ["batch", "tokens"])
    embedding = graph.constant(weights.normal(size=(vocabulary, width), scale=2))
    vectors = graph.node("Gather", embedding, "input_ids", axis=0)
    mask = graph.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    column = graph.node("Unsqueeze", mask, graph.constant([2], np.int64))
    axis = graph.constant([1], np.int64)
    total = graph.node("ReduceSum", graph.node("Mul", vectors, column), axis, keepdims=0)
    mean = graph.node("Div", total, graph.node("ReduceSum", mask, axis, keepdims=1))
    projection = graph.constant(weights.normal(size=(width, width)))
    graph.add_output("text_features", graph.node("MatMul", mean, projection), ["batch", width])
    if attends:
        graph.add_output("text_sequence", graph.node("MatMul", vectors, projection), ["batch", "tokens", width])
    return graph.build()


def _image_graph(weights: np.random.Generator, width: int, attends: bool) -> onnx.ModelProto:
    """Average over a grid, centre, project."""
    graph = _Graph("image")
    graph.add_input("pixels", TensorProto.UINT8, ["batch", 3, IMAGE_SIZE, IMAGE_SIZE])
    floats = graph.node("Cast", "pixels", to=TensorProto.FLOAT)
    cell = IMAGE_SIZE // GRID
    means = graph.node("AveragePool", floats, kernel_shape=[cell, cell], strides=[cell, cell])
    centred = graph.node("Sub", graph.node("Div", means, graph.constant(64.0)), graph.constant(2.0))
    flat = graph.node("Flatten", centred, axis=1)
    projection = graph.constant(weights.normal(size=(3 * GRID * GRID, width), scale=0.4))
    graph.add_output("image_features", graph.node("MatMul", flat, projection), ["batch", width])
    if attends:
        colours = graph.node("Reshape", centred, graph.constant([0, 3, GRID * GRID], np.int64))
        cells = graph.node("Transpose", colours, perm=[0, 2, 1])
        sequence = graph.node("MatMul", cells, graph.constant(weights.normal(size=(3, width))))
        graph.add_output("image_sequence", sequence, ["batch", GRID * GRID, width])
    return graph.build()


def _fusion_graph(
    weights: np.random.Generator,
    modalities: Sequence[str],
    heads: Sequence[str],
    labels: int,
    width: int,
    attends: bool,
) -> onnx.ModelProto:
    """Append a learned row to the features, gather by index, concatenate, classify; one modality: its head.

    One that `attends` also concatenates each sequence's average over what is no padding.
    """
    graph = _Graph("fusion")
    gathered: dict[str, str] = {}
    present: dict[str, str] = {}
    averages: list[str] = []
    for modality in modalities:
        features, index = f"{modality}_features", f"{modality}_index"
        graph.add_input(features, TensorProto.FLOAT, [f"n_{modality}s", width])
        graph.add_input(index, TensorProto.INT64, ["posts"])
        learned = graph.constant(weights.normal(size=(1, width)))
        gathered[modality] = graph.node("Gather", graph.node("Concat", features, learned, axis=0), index, axis=0)
        count = graph.node("Shape", features, start=0, end=1)
        present[modality] = graph.node("Unsqueeze", graph.node("Less", index, count), graph.constant([1], np.int64))
        if attends:
            average = _average_sequence(graph, modality, width)
            averages.append(graph.node("Gather", graph.node("Concat", average, learned, axis=0), index, axis=0))
    both = graph.node("Concat", *gathered.values(), *averages, axis=1)
    inputs = width * (len(modalities) + len(averages))
    classifier = graph.constant(weights.normal(size=(inputs, labels), scale=0.5))
    scores = graph.node("MatMul", both, classifier)
    for modality in heads:
        other = "image" if modality == "text" else "text"
        head = graph.node("MatMul", gathered[modality], graph.constant(weights.normal(size=(width, labels))))
        alone = graph.node("And", present[modality], graph.node("Not", present[other]))
        scores = graph.node("Where", alone, head, scores)
        graph.add_output(f"{modality}_scores", head, ["posts", labels])
    graph.add_output("scores", scores, ["posts", labels])
    return graph.build()


def _average_sequence(graph: _Graph, modality: str, width: int) -> str:
    sequence, axis = f"{modality}_sequence", graph.constant([1], np.int64)
    graph.add_input(sequence, TensorProto.FLOAT, [f"n_{modality}s", f"n_{modality}_tokens", width])
    if modality == "image":
        return graph.node("ReduceMean", sequence, axes=[1], keepdims=0)
    graph.add_input("text_mask", TensorProto.INT64, ["n_texts", "n_text_tokens"])
    mask = graph.node("Cast", "text_mask", to=TensorProto.FLOAT)
    column = graph.node("Unsqueeze", mask, graph.constant([2], np.int64))
    total = graph.node("ReduceSum", graph.node("Mul", sequence, column), axis, keepdims=0)
    return graph.node("Div", total, graph.node("ReduceSum", mask, axis, keepdims=1))


class _Graph:
    """An ONNX graph under construction; every call returns the name of the value that it made."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def add_input(self, name: str, element: int, shape: Sequence[str | int]) -> None:
        self._inputs.append(helper.make_tensor_value_info(name, element, shape))

    def add_output(self, name: str, value: str, shape: Sequence[str | int]) -> None:
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"value_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def build(self) -> onnx.ModelProto:
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model
