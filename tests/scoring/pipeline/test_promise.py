"""The first promise: a post's answer does not depend on its neighbours, nor on how the work is cut and shared out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sentimm.bundle.bundle import default_bundle_path, load_bundle
from sentimm.corpus import Chunk
from sentimm.runtime.engine import Engine
from sentimm.scoring.pipeline.chunk_scorer import ChunkScorer
from tests.support.profile import IN_CI

WITHIN = {"int8": 1e-3, "fp32": 1e-4}
POSTS = 24


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    noise = np.random.default_rng(0)
    paths = []
    for number in range(6):
        path = folder / f"{number}.png"
        Image.fromarray(noise.integers(0, 256, (40 + number, 64, 3), np.uint8)).resize((320, 240)).save(path)
        paths.append(path)
    (folder / "broken.jpg").write_bytes(b"no image")
    return [*paths, folder / "broken.jpg"]


def make_posts(images: list[Path]) -> Chunk:
    """Make posts of every kind, some of them repeated, their texts of many lengths."""
    words = [*"abcdefghi", "good", "day", "but", "bad", "rain", "@anna", "http://t.co/x", "home"]
    texts = [None if number % 7 == 3 else " ".join(words[: 1 + 3 * number % 17]) for number in range(POSTS)]
    sources = [None if number % 5 == 1 else images[number % len(images)] for number in range(POSTS)]
    return Chunk(0, pl.DataFrame({"n": range(POSTS)}), pl.Series("text", texts), sources, np.zeros(POSTS, dtype=bool))


def take(posts: Chunk, rows: list[int]) -> Chunk:
    return Chunk(
        0, posts.frame[rows], posts.texts.gather(rows), [posts.images[row] for row in rows], posts.unreadable[rows]
    )


def cut(posts: Chunk, order: list[int], sizes: list[int]) -> Iterator[Chunk]:
    while order:
        size = sizes.pop() if sizes else len(order)
        yield take(posts, order[:size])
        order = order[size:]


def score_alone(engine: Engine, posts: Chunk) -> npt.NDArray[np.float32]:
    with ChunkScorer(engine.bundle, engine, dedupe=False) as scorer:
        alone = [scorer.score(take(posts, [row]), lambda _: None) for row in range(POSTS)]
    return np.concatenate([scores.probabilities for scores in alone])


def check_promise(bundle: Path, precision: str, images: list[Path], examples: int) -> None:
    posts = make_posts(images)
    loaded = load_bundle(bundle)
    engines = {threads: Engine(loaded, device="cpu", precision=precision, threads=threads) for threads in (1, 2, 3)}
    expected = score_alone(engines[1], posts)

    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(
        threads=st.sampled_from(sorted(engines)),
        batches=st.fixed_dictionaries({"text": st.integers(1, 40), "image": st.integers(1, 9)}),
        order=st.permutations(range(POSTS)),
        sizes=st.lists(st.integers(1, 10), max_size=6),
        dedupe=st.booleans(),
    )
    def check(threads, batches, order, sizes, dedupe):
        engine = engines[threads]
        engine.use_batch_sizes(batches)
        with ChunkScorer(loaded, engine, dedupe=dedupe) as scorer:
            scored = [scores for _, scores in scorer.score_all(cut(posts, order, sizes), lambda *_: None)]
        found = np.empty_like(expected)
        found[order] = np.concatenate([scores.probabilities for scores in scored])
        np.testing.assert_allclose(found, expected, atol=WITHIN[precision])
        close = np.sort(expected, axis=1)
        is_clear = close[:, -1] - close[:, -2] > 2 * WITHIN[precision]
        np.testing.assert_array_equal(found.argmax(axis=1)[is_clear], expected.argmax(axis=1)[is_clear])

    check()
    assert expected.std(axis=0).min() > 0.01


@pytest.mark.slow
@pytest.mark.isolated
def test_answers_do_not_depend_on_batches_threads_and_order(tiny_bundle, images):
    check_promise(tiny_bundle, "fp32", images, examples=25 if IN_CI else 8)


@pytest.mark.slow
def test_answers_of_a_fusion_of_sequences_do_not_either(attending_bundle, images):
    check_promise(attending_bundle, "fp32", images, examples=40 if IN_CI else 12)


@pytest.mark.slow
@pytest.mark.isolated
def test_answers_in_int8_do_not_either(images):
    check_promise(default_bundle_path(), "int8", images, examples=50 if IN_CI else 10)
