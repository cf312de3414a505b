"""Take the text encoder out of a bundle, into a folder that `--text-encoder` takes.

    python export/recipes/unpack_bundle.py sentimm/bundles/default --like WORK/weights/all-MiniLM-L6-v2 -o WORK/text

A bundle that ships holds its weights as 8-bit integers. What is unpacked answers as its fp16 graph does, which is
checked, and is close enough to the weights of the run to be trained further. `--like` is the folder of the encoder that
was trained: it has what a graph does not say, the configuration and the names of the weights.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from tokenizers import Tokenizer
from transformers import AutoModel

Array = npt.NDArray[np.float32]

_TEXTS = ["good morning", "I can't believe how bad this was :( never again", "The meeting is at 10.", "wow! 😍"]
_TOLERANCE = 0.03  # mean difference of the last hidden states, as a share of their spread: fp16 leaves 0.02
_MOST_CHANNELS = 1 << 14  # of a layer


def unpack_text_encoder(bundle: Path, like: Path, folder: Path) -> None:
    """Write the text encoder of a bundle as a model of transformers.

    Raises:
        SystemExit: the bundle has no fp16 graph of such an encoder, or the unpacked one does not answer as the graph.
    """
    file = bundle / "text.fp16.onnx"
    if not file.is_file():
        raise SystemExit(f"{file} does not exist: name a bundle with a text encoder in fp16.")
    graph = onnx.load(file)
    weights = {
        name.removeprefix("encoder.backbone."): torch.from_numpy(weight)
        for name, weight in _read_weights(graph).items()
        if name.startswith("encoder.backbone.")
    }
    model = AutoModel.from_pretrained(like, add_pooling_layer=False).eval()
    names = set(dict(model.named_parameters()))
    if missing := sorted(names - set(weights)):
        raise SystemExit(f"{file} has no weights for {missing[0]}: name another folder with --like.")
    model.load_state_dict({name: weights[name] for name in names}, strict=False)
    difference = _compare(model, graph, bundle / "tokenizer.json")
    if not difference < _TOLERANCE:
        raise SystemExit(f"{file} and what was unpacked from it differ by {difference:.1%} of their spread.")
    model.save_pretrained(folder)
    for path in like.glob("*token*"):
        shutil.copy(path, folder / path.name)
    shutil.copy(bundle / "tokenizer.json", folder / "tokenizer.json")
    print(f"{folder}: hidden states differ from those of {file} by {difference:.1%} of their spread")


def _read_weights(model: onnx.ModelProto) -> dict[str, Array]:
    """Return the weights of a graph under the names of its parameters: embeddings, norms, and linear layers.

    A linear layer is found by its bias. Its product may be scaled by input channel, and a few channels may be
    multiplied apart in fp16: the exporter does both to keep 8-bit integers exact.
    """
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    weights = {name: array.astype(np.float32) for name, array in stored.items() if name.endswith((".weight", ".bias"))}
    for name, rows in stored.items():
        if name.endswith("_rows"):
            scale = stored[name.removesuffix("_rows") + "_scale"]
            weights[name.removesuffix("_rows")] = rows.astype(np.float32) * scale.astype(np.float32)

    def read_matrix(name: str) -> Array:
        while name not in stored and makers[name].op_type == "Cast":
            name = makers[name].input[0]
        if name in stored:
            return stored[name].astype(np.float32)
        values, scale = (stored[each].astype(np.float32) for each in makers[name].input[:2])
        return values * scale  # by output channel, and symmetric: the zero points are 0

    def read_product(node: onnx.NodeProto) -> Array:
        if node.op_type == "Add":
            whole, apart = (read_product(makers[name]) for name in node.input)
            return whole + apart[: len(whole)]
        matrix, source = read_matrix(node.input[1]), makers[node.input[0]]
        if source.op_type == "Mul" and source.input[1] in stored:
            return stored[source.input[1]].astype(np.float32)[:, None] * matrix
        if source.op_type == "Gather" and source.input[1] in stored:
            spread = np.zeros((_MOST_CHANNELS, matrix.shape[1]), np.float32)
            spread[stored[source.input[1]]] = matrix
            return spread
        return matrix

    for node in model.graph.node:
        if node.op_type == "Add" and node.input[1].endswith(".bias") and node.input[0] in makers:
            weights[node.input[1].removesuffix("bias") + "weight"] = read_product(makers[node.input[0]]).T.copy()
    return weights


def _compare(model: torch.nn.Module, graph: onnx.ModelProto, tokenizer: Path) -> float:
    """Return the mean difference of the last hidden states of a model and of a graph, as a share of their spread."""
    last = [node.output[0] for node in graph.graph.node if node.op_type == "LayerNormalization"][-1]
    graph.graph.output.append(onnx.ValueInfoProto(name=last))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    pieces = Tokenizer.from_file(str(tokenizer))
    differences = []
    for text in _TEXTS:
        ids = np.asarray([pieces.encode(text).ids])
        fed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        (hidden,) = session.run([last], {each.name: fed[each.name] for each in session.get_inputs()})
        with torch.no_grad():
            own = model(**{name: torch.from_numpy(array) for name, array in fed.items()}).last_hidden_state
        hidden = hidden.astype(np.float32)
        differences.append(float(np.abs(own.numpy() - hidden).mean() / hidden.std()))
    return max(differences)


def main() -> None:
    """Read the arguments and unpack."""
    parser = argparse.ArgumentParser(description="Take the text encoder out of a bundle.")
    parser.add_argument("bundle", type=Path, help="the folder of the bundle")
    parser.add_argument("--like", type=Path, required=True, help="the folder of the encoder that was trained")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder to write")
    arguments = parser.parse_args()
    unpack_text_encoder(arguments.bundle, arguments.like, arguments.output)


if __name__ == "__main__":
    main()
