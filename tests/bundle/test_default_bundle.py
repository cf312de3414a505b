from __future__ import annotations

import numpy as np
import pytest

from sentimm.bundle.bundle import load_bundle
from sentimm.runtime.engine import Engine
from sentimm.text import TextTokenizer

TEXTS = ["i love this so much", "worst day ever", "the train leaves at nine", "good " * 60]


def test_the_default_bundle_serves_cpus_and_cuda_in_64_megabytes() -> None:
    bundle = load_bundle()
    assert {"int8", "fp16"} <= set(bundle.precisions)
    assert bundle.labels == ("negative", "neutral", "positive")
    assert bundle.fusion.heads == ("text", "image")
    assert sum(file.stat().st_size for file in bundle.path.iterdir()) <= 64_000_000
    assert max(file.stat().st_size for file in bundle.path.iterdir()) <= 50_000_000


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("int8", 1e-3), ("fp16", 5e-3)])
def test_the_default_bundle_answers_a_post_alike_alone_and_among_others(precision: str, tolerance: float) -> None:
    bundle = load_bundle()
    assert bundle.text is not None and bundle.image is not None
    engine = Engine(bundle, device="cpu", precision=precision)
    rows = TextTokenizer(bundle.text.tokenizer, bundle.text.max_tokens).encode(TEXTS)
    size = bundle.image.size
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, size, size), dtype=np.uint8)
    index = np.arange(4, dtype=np.int64)
    together = engine.fuse(engine.encode_texts(rows), engine.encode_images(pixels), index, index)
    first = index[:1]
    alone = [
        engine.fuse(engine.encode_texts([rows[post]]), engine.encode_images(pixels[post : post + 1]), first, first)[0]
        for post in range(4)
    ]
    assert np.abs(together - np.stack(alone)).max() <= tolerance
    text_alone = engine.fuse(engine.encode_texts(rows), None, index, None)
    assert bundle.labels[int(text_alone[0].argmax())] == "positive"
    assert bundle.labels[int(text_alone[1].argmax())] == "negative"
