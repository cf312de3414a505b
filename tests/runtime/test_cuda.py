"""On a machine with an NVIDIA GPU: the same answers as on the CPU. Elsewhere these tests are skipped."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from sentimm.bundle.bundle import default_bundle_path, load_bundle
from sentimm.corpus import Chunk, chunk_frame
from sentimm.options import CorpusOptions
from sentimm.runtime import devices
from sentimm.runtime.engine import Engine
from sentimm.scoring.pipeline.chunk_scorer import ChunkScorer
from tests.support.posts import corpora

pytestmark = pytest.mark.skipif(devices.find_cuda_problem() is not None, reason="needs an NVIDIA GPU")

WITHIN = {"fp16": 5e-3, "fp32": 1e-4}


def score(engine: Engine, chunk: Chunk) -> np.ndarray:
    with ChunkScorer(engine.bundle, engine) as scorer:
        return scorer.score(chunk, lambda _: None).probabilities


@pytest.fixture
def posts(tmp_path) -> Chunk:
    images = corpora.make_images(tmp_path / "images")
    frame = corpora.make_posts(50 * corpora.KINDS).with_columns(
        text=pl.col("text") + pl.Series([" and so on" * (number % 9) for number in range(50 * corpora.KINDS)])
    )
    return chunk_frame(frame, CorpusOptions(images=images))[0]


# That no node of the model is left on the CPU is what the engine itself checks when it opens a session on CUDA.
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_cuda_answers_as_the_cpu_does(request, posts, precision):
    path = default_bundle_path() if precision == "fp16" else request.getfixturevalue("tiny_bundle")
    bundle = load_bundle(path)
    on_gpu = Engine(bundle, device="cuda", precision=precision)
    assert on_gpu.device == "cuda:0"
    expected = score(Engine(bundle, device="cpu", precision=precision), posts)
    np.testing.assert_allclose(score(on_gpu, posts), expected, atol=WITHIN[precision])


def test_cuda_answers_do_not_depend_on_the_batch_size(posts):
    bundle = load_bundle(default_bundle_path())
    engine = Engine(bundle, device="cuda")
    expected = score(engine, posts)
    for size in (1, 7, 512):
        engine.use_batch_sizes({"text": size, "image": size})
        np.testing.assert_allclose(score(engine, posts), expected, atol=WITHIN["fp16"])
