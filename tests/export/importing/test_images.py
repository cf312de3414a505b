"""Classifiers of images, alone and joined with one of texts, imported with the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from sentimm_export.importing.image_classifier import load_image_classifier
from sentimm_export.importing.preparation import measure_preparation

from sentimm import Scorer
from sentimm.errors import InputError
from sentimm.models.sentiment_model import compose
from tests.support.commands import run
from tests.support.tiny.classifiers import SENTIMENTS, make_image_classifier, make_text_classifier

SIDE = 32


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of images that need no resizing."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(12):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3)) * (number + 1) // 12
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def write_network(folder: Path, name: str, labels: int = 3) -> str:
    torch.manual_seed(0)
    save_file(timm.create_model(name, num_classes=labels).state_dict(), folder / "network.safetensors")
    return f"timm:{name}={folder / 'network.safetensors'}"


def ask_transformers(folder: Path, photos: Path) -> npt.NDArray[Any]:
    from transformers import pipeline

    classify = pipeline("image-classification", model=str(folder), device="cpu")
    answers = [classify(str(photos / f"{number}.png"), top_k=3) for number in range(12)]
    return np.array([[{a["label"]: a["score"] for a in answer}[label] for label in SENTIMENTS] for answer in answers])


def score(bundle: Path, photos: Path, texts: list[str | None]) -> npt.NDArray[Any]:
    """Score the images, each with a text: probabilities."""
    posts = pl.DataFrame({"text": texts, "image": [f"{number}.png" for number in range(12)]})
    with Scorer(bundle, "cpu", precision="fp32") as scorer:
        scored = scorer.score(posts, photos)
    return scored.select(f"p_{label}" for label in SENTIMENTS).to_numpy()


@pytest.mark.slow
def test_both_together_are_composed_and_each_answers_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], photos: Path
) -> None:
    text, image = make_text_classifier(tmp_path / "text"), make_image_classifier(tmp_path / "image")
    bundle = tmp_path / "bundle"
    result = run(capsys, "import", "--text", text, "--image", image, "-o", bundle, "--precision", "fp32")
    assert result.code == 0, result.err
    manifest = json.loads((bundle / "bundle.json").read_text())
    assert manifest["fusion"] == {
        "name": "native-combine",
        "heads": ["text", "image"],
        "attends": False,
        "literal": False,
        "composed": True,
    }
    posts = ["the day was good", None] * 6
    of_images = ask_transformers(image, photos)
    of_text = run_text(text, "the day was good")
    expected = of_images.copy()
    complete = torch.from_numpy(np.repeat(of_text, 6, axis=0)), torch.from_numpy(of_images[::2])
    expected[::2] = compose(*complete, neutral=1).numpy()
    np.testing.assert_allclose(score(bundle, photos, posts), expected, atol=1e-4)
    assert len(set(expected.argmax(axis=1))) > 1


def run_text(folder: Path, text: str) -> npt.NDArray[Any]:
    from transformers import pipeline

    answer = pipeline("text-classification", model=str(folder), device="cpu")(text, top_k=None)
    return np.array(
        [[{a["label"]: a["score"] for a in answer}[label] for label in ("negative", "neutral", "positive")]]
    )


@pytest.mark.slow
def test_a_network_of_timm(tmp_path: Path, capsys: pytest.CaptureFixture[str], photos: Path) -> None:
    name = write_network(tmp_path, "test_resnet")
    options = ("--labels", "positive,neutral,negative", "--precision", "fp32", "-o", tmp_path / "bundle")
    result = run(capsys, "import", name, *options)
    assert result.code == 0, result.err
    network = load_image_classifier(name)
    pixels = np.stack([np.asarray(Image.open(photos / f"{number}.png").resize((160, 160), 2)) for number in range(12)])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(network.network.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        expected = network.network((images - mean) / std).softmax(dim=1).numpy()[:, ::-1]
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert manifest["image"]["size"] == 160
    assert manifest["provenance"]["imported"]["image"]["licence"] == "not stated"
    # Resized by two libraries: a grey level here and there.
    np.testing.assert_allclose(score(tmp_path / "bundle", photos, [None] * 12), expected, atol=0.02)


def test_a_preparation_is_found_by_trying_it() -> None:
    mean, std = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.3, 0.4])

    def squeeze(image: Image.Image) -> Any:
        levels = np.asarray(image.resize((24, 24), Image.Resampling.BILINEAR), dtype=np.float32).transpose(2, 0, 1)
        return ((levels / 255 - mean[:, None, None]) / std[:, None, None]).astype(np.float32)

    def crop(image: Image.Image) -> Any:
        left = (image.width - image.height) // 2
        return squeeze(image.crop((left, 0, left + image.height, image.height)))

    found = measure_preparation(squeeze, "mine")
    assert found.size == 24
    np.testing.assert_allclose(found.scale, 1 / 255 / std, rtol=1e-4)
    np.testing.assert_allclose(found.shift, -mean / std, rtol=1e-4)
    assert found.describe_difference() is None
    note = measure_preparation(crop, "mine").describe_difference()
    assert note is not None and "crops or resizes" in note
    with pytest.raises(InputError, match="mixes or swaps colours"):
        measure_preparation(lambda image: squeeze(image)[::-1], "mine")
    with pytest.raises(InputError, match="takes images of 3 x 24 x 20"):
        measure_preparation(lambda image: squeeze(image)[:, :, :20], "mine")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("timm:test_resnet", "does not say where its weights are"),
        ("timm:test_resnet=nowhere.safetensors", "There is no file 'nowhere.safetensors'"),
        ("timm:no_such_network=a.safetensors", "is not a model of timm"),
        ("{folder}/network.pth", "There is no folder"),
        ("timm:test_resnet={folder}/network.pth", "is no .safetensors file"),
        ("timm:test_vit={folder}/network.safetensors", "has no classifier of timm's test_vit"),
        ("timm:test_resnet={folder}/network.safetensors", "name them with --labels"),
    ],
)
def test_what_is_no_classifier_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], image: str, message: str
) -> None:
    write_network(tmp_path, "test_resnet")
    (tmp_path / "network.pth").write_bytes(b"")
    result = run(capsys, "import", "--image", image.format(folder=tmp_path), "-o", tmp_path / "bundle")
    assert (result.code, result.out) == (2, "")
    assert message in result.err.splitlines()[-1]


def test_options_for_texts_need_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = make_image_classifier(tmp_path / "image")
    result = run(capsys, "import", image, "-o", tmp_path / "bundle", "--normalization", "tweet-1")
    assert result.code == 2 and "this classifier reads none" in result.err
