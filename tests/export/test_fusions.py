"""All seven fusions from PyTorch to the engine: the same answers to complete posts and to posts of one modality."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sentimm_export.exporter import export_run
from sentimm_export.options import ExportOptions
from sentimm_export.parity import NEIGHBOUR_TOLERANCE

from sentimm.bundle.bundle import PRECISIONS, Precision
from sentimm.errors import UsageError
from sentimm.models.sentiment_model import FUSIONS, SentimentModel
from sentimm.runtime.engine import Engine
from tests.support.profile import IN_CI
from tests.support.tiny.models import make_image_encoder, make_text_encoder
from tests.support.tiny.untrained_runs import WIDTH, make_pixels, make_run

pytestmark = pytest.mark.slow

LITERAL = [name for name, fusion in FUSIONS.items() if fusion.can_be_literal]
# The others are exported in all precisions by tests/export/test_exporter.py.
IN_ALL_PRECISIONS = ["cmac", "hstec", "native-combine"] if IN_CI else ["native-combine"]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("encoders")
    return make_text_encoder(folder / "bert"), make_image_encoder(folder / "image")


def ask_model(model: SentimentModel, tokens: np.ndarray | None, pixels: np.ndarray | None) -> np.ndarray:
    """The model's probabilities for one post on its own, so that nothing is padded; None: it has no such thing."""
    with torch.inference_mode():
        text = image = None
        if model.text is not None:
            ids = None if tokens is None else torch.from_numpy(tokens)[None]
            text = model.text.encode_nothing() if ids is None else model.text(ids, torch.ones_like(ids))
        if model.image is not None:
            image = (
                model.image.encode_nothing() if pixels is None else model.image(torch.from_numpy(pixels.copy())[None])
            )
        first = torch.zeros(1, dtype=torch.int64)
        return model.fuse(text, image, first, first).scores.softmax(dim=1)[0].numpy()


def ask_engine(engine: Engine, tokens: list[np.ndarray], pixels: list[np.ndarray]) -> np.ndarray:
    """The engine's probabilities for each text alone, each image alone, and each text beside each image."""
    texts = engine.encode_texts(tokens) if engine.bundle.text is not None else None
    images = engine.encode_images(np.stack(pixels)) if engine.bundle.image is not None else None
    text_index, image_index = zip(*list_pairs(len(tokens), len(pixels)), strict=True)
    return engine.fuse(texts, images, np.array(text_index, np.int64), np.array(image_index, np.int64))


def list_pairs(texts: int, images: int) -> list[tuple[int, int]]:
    pairs = [(text, image) for text in range(texts + 1) for image in range(images + 1)]
    return [pair for pair in pairs if pair != (texts, images)]


# Fusion, literal, levels of the image encoder, the share of what the heads make together.
CASES = [
    *((name, False, 1, 0.0) for name in FUSIONS),
    *(pytest.param(name, True, 1, 0.0, marks=pytest.mark.ci) for name in LITERAL),
    pytest.param("cmac", False, 3, 0.0, marks=pytest.mark.ci),
    ("native-cat", False, 1, 0.7),
]


@pytest.mark.parametrize(("fusion", "literal", "levels", "composed"), CASES)
def test_the_engine_answers_as_pytorch_does(
    tmp_path: Path, encoders: tuple[Path, str], fusion: str, literal: bool, levels: int, composed: float
) -> None:
    run = make_run(tmp_path / "run", encoders, fusion, literal=literal, levels=levels, composed=composed)
    in_all = fusion in IN_ALL_PRECISIONS and not literal
    precisions: tuple[Precision, ...] = PRECISIONS if in_all else ("fp32",)
    exported = export_run(
        ExportOptions(run.path, tmp_path / "bundle", precisions=precisions, min_agreement=0.7), lambda _: None
    )
    bundle, model = exported.bundle, run.build_model("best")
    assert (bundle.fusion.name, bundle.fusion.literal) == (fusion, literal)
    assert (bundle.fusion.attends, bundle.fusion.composed) == (FUSIONS[fusion].attends, composed > 0)
    if bundle.image is not None:
        assert bundle.image.cells == (4 if bundle.fusion.attends else None)

    rng = np.random.default_rng(1)
    tokens = [np.array([2, *rng.integers(5, 20, length), 3], np.int64) for length in (1, 2, 9, 30)]
    pixels = list(make_pixels(3))
    pairs = list_pairs(len(tokens), len(pixels))
    unread = {
        "bert": [pair for pair in pairs if pair[0] == len(tokens)],
        "resnet": [pair for pair in pairs if pair[1] == len(pixels)],
    }
    asked = [pair for pair in pairs if pair not in unread.get(fusion, [])]
    expected = np.stack([ask_model(model, (*tokens, None)[text], (*pixels, None)[image]) for text, image in asked])
    assert expected.std(axis=0).max() > (0.01 if literal else 0.03), "constant answers would agree with anything"
    for precision in precisions:
        engine = Engine(bundle, device="cpu", precision=precision, batch_size=3)
        found = ask_engine(engine, tokens, pixels)[[pairs.index(pair) for pair in asked]]
        assert np.abs(found - expected).max() <= {"fp32": 1e-4, "fp16": 2e-2, "int8": 0.15}[precision]
        assert exported.parity[precision].neighbour_difference <= NEIGHBOUR_TOLERANCE[precision]


def test_another_share_of_what_the_heads_make_together(tmp_path: Path, encoders: tuple[Path, str]) -> None:
    run = make_run(tmp_path / "run", encoders, "native-cat", literal=False, composed=0.5)
    asked = ExportOptions(run.path, tmp_path / "bundle", precisions=("fp32",), composed=0.9)
    exported = export_run(asked, lambda _: None)
    tokens, pixels = [np.array([2, 7, 9, 3], np.int64)], list(make_pixels(1))
    answer = ask_engine(Engine(exported.bundle, device="cpu", precision="fp32"), tokens, pixels)
    complete = list_pairs(1, 1).index((0, 0))
    as_trained, expected = (
        ask_model(each.build_model("best"), tokens[0], pixels[0])
        for each in (run, replace(run, fusion=replace(run.fusion, composed=0.9)))
    )
    assert np.abs(answer[complete] - expected).max() <= 1e-4
    assert np.abs(as_trained - expected).max() > 0.01
    assert exported.notes[0].startswith("composed: what the heads make together is 0.9")
    assert "(share 0.9)" in (exported.bundle.path / "MODEL_CARD.md").read_text()

    plain = make_run(tmp_path / "plain", encoders, "native-cat", literal=False)
    with pytest.raises(UsageError, match="--composed changes the share that a run was trained with"):
        export_run(replace(asked, run=plain.path, output=tmp_path / "other"), lambda _: None)


def test_weights_are_shared_by_an_attending_model(tmp_path: Path, encoders: tuple[Path, str]) -> None:
    run = make_run(tmp_path / "run", encoders, "hstec", literal=False)
    exported = export_run(
        ExportOptions(
            run.path, tmp_path / "bundle", precisions=("fp16", "int8"), share_weights=True, min_agreement=0.7
        ),
        lambda _: None,
    )
    sequences = [
        Engine(exported.bundle, device="cpu", precision=precision).encode_texts([np.array([2, 7, 9, 3])]).sequence
        for precision in ("fp16", "int8")
    ]
    assert sequences[0].shape == sequences[1].shape == (1, 4, WIDTH)
    assert sequences[0].std() > 0.01
    assert np.abs(sequences[0] - sequences[1]).max() < 0.2
