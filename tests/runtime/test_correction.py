from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sentimm.bundle.bundle import load_bundle
from sentimm.errors import BundleError
from sentimm.runtime.correction import load_correction, soften, take_logarithm
from sentimm.runtime.engine import Engine
from tests.support.tiny.bundles import make_bundle

VECTOR = {"method": "vector", "scale": [0.5, 1.0, 2.0], "bias": [0.3, 0.0, -0.3]}
ROWS = [np.array([2, 40, 3]), np.array([2, 60, 61, 3])]


def fuse(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what a bundle says of two texts with and without an image, and of the texts and images alone."""
    engine = Engine(load_bundle(folder))
    texts = engine.encode_texts(ROWS)
    images = engine.encode_images(np.full((1, 3, 32, 32), 90, np.uint8))
    views = engine.fuse_with_views(texts, images, np.array([0, 1, 2]), np.array([0, 1, 0]))
    assert engine.fuse(texts, images, np.array([0, 1, 2]), np.array([0, 1, 0])) == pytest.approx(views.probabilities)
    return views.probabilities, views.text, views.image


def correct(p: np.ndarray) -> np.ndarray:
    return soften(np.array(VECTOR["scale"]) * take_logarithm(p) + np.array(VECTOR["bias"]))


def test_an_adapted_bundle_corrects_its_answers(tmp_path: Path) -> None:
    plain = fuse(make_bundle(tmp_path / "plain"))
    adapted = fuse(make_bundle(tmp_path / "adapted", changes={"adaptation": VECTOR}))
    for before, after in zip(plain, adapted, strict=True):
        there = ~np.isnan(before[:, 0])
        assert after[there] == pytest.approx(correct(before[there]), abs=1e-6)
        assert np.isnan(after[~there]).all()
    # What a post of one modality gets is what its view says, corrected once.
    assert adapted[1][1] == pytest.approx(adapted[0][1])


def test_a_head_adds_what_it_makes_of_the_features(tmp_path: Path) -> None:
    plain = make_bundle(tmp_path / "plain")
    weights = np.random.default_rng(0).normal(size=(18, 3)).astype("<f4")
    folder = tmp_path / "head"
    folder.mkdir()
    (folder / "adaptation.weights").write_bytes(weights.tobytes())
    make_bundle(folder, changes={"adaptation": VECTOR | {"method": "head", "head": "adaptation.weights"}})
    engine = Engine(load_bundle(plain))
    features = engine.encode_texts(ROWS).features.astype(np.float64)
    before, after = fuse(plain)[1], fuse(folder)[1]
    logits = (
        np.array(VECTOR["scale"]) * take_logarithm(before[:2]) + VECTOR["bias"] + features @ weights[:8] + weights[8]
    )
    assert after[:2] == pytest.approx(soften(logits), abs=1e-5)


def test_bundles_without_an_adaptation_keep_their_format(tmp_path: Path) -> None:
    formats = {}
    for name, changes in (("plain", {}), ("adapted", {"adaptation": VECTOR})):
        folder = make_bundle(tmp_path / name, changes=changes)
        formats[name] = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["format"]
    assert formats == {"plain": 1, "adapted": 2}
    assert load_correction(load_bundle(tmp_path / "plain")) is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"method": "magic"}, "adaptation.method"),
        ({"scale": [1.0, 2.0]}, "adaptation.scale"),
        ({"bias": [0.0, "much", 0.0]}, "adaptation.bias"),
        ({"method": "head"}, "adaptation.head"),
        ({"method": "head", "head": "tokenizer.json"}, "adaptation.head"),
    ],
)
def test_an_adaptation_that_is_damaged_is_named(tmp_path: Path, changes: dict[str, object], named: str) -> None:
    with pytest.raises(BundleError, match=named.replace(".", r"\.")):
        make_bundle(tmp_path / "adapted", changes={"adaptation": VECTOR | changes})


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "adaptation.weights").write_bytes(np.full((18, 3), np.nan, "<f4").tobytes())
    make_bundle(tmp_path, changes={"adaptation": VECTOR | {"method": "head", "head": "adaptation.weights"}})
    with pytest.raises(BundleError, match="not finite"):
        Engine(load_bundle(tmp_path))
