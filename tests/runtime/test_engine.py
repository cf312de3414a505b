from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from sentimm.bundle.bundle import load_bundle
from sentimm.errors import BundleError
from sentimm.runtime.encoded import Encoded
from sentimm.runtime.engine import Engine
from sentimm.text import TextTokenizer
from tests.support.tiny.bundles import IMAGE_SIZE, MAX_TOKENS, make_bundle

TEXTS = ["I love this day", "sad", "the worst movie of my life, never again!", "ok", "what a great morning"]

ABSENT = 10**6  # as an index in `fuse`: the post does not have the modality


@pytest.fixture(scope="module")
def bundle(tiny_bundle):
    return load_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def engine(bundle):
    return Engine(bundle, device="cpu")


@pytest.fixture(scope="module")
def tokens(bundle):
    return TextTokenizer(bundle.text.tokenizer, bundle.text.max_tokens).encode(TEXTS)


def make_pixels(count: int, seed: int = 0):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)


def fuse(engine, texts, images, text_index, image_index):
    """Fuse with None in place of a missing index."""
    return engine.fuse(
        texts,
        images,
        np.array([len(texts) if row is None else row for row in text_index], np.int64),
        np.array([len(images) if row is None else row for row in image_index], np.int64),
    )


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


# Encoding and fusing


def test_features_come_back_in_the_order_of_the_texts(engine, tokens):
    together = engine.encode_texts(tokens).features
    assert together.dtype == np.float32 and together.shape == (len(TEXTS), 8)
    for row, features in zip(tokens, together, strict=True):
        np.testing.assert_allclose(engine.encode_texts([row]).features[0], features, atol=1e-6)


def test_images_are_encoded_in_their_order_beyond_one_batch(engine):
    pixels = make_pixels(21)
    together = engine.encode_images(pixels).features
    assert together.dtype == np.float32 and together.shape == (21, 8)
    for index in (0, 8, 20):
        alone = engine.encode_images(pixels[index : index + 1]).features[0]
        np.testing.assert_allclose(alone, together[index], atol=1e-6)


def test_nothing_to_encode_is_no_features(engine):
    assert engine.encode_texts([]).features.shape == (0, 8)
    assert engine.encode_images(make_pixels(0)).features.shape == (0, 8)
    assert fuse(engine, engine.encode_texts([]), engine.encode_images(make_pixels(0)), [], []).shape == (0, 3)


def test_a_post_alone_answers_as_among_longer_neighbours(bundle, engine, tokens):
    rng = np.random.default_rng(1)
    vocabulary = TextTokenizer(bundle.text.tokenizer, MAX_TOKENS)._tokenizer.get_vocab_size()
    neighbours = [rng.integers(4, vocabulary, MAX_TOKENS) for _ in range(31)]
    pixels = make_pixels(32)
    for position in (0, 13, 31):
        rows = [*neighbours[:position], tokens[1], *neighbours[position:]]
        everyone = np.arange(32)
        crowd = engine.fuse(engine.encode_texts(rows), engine.encode_images(pixels), everyone, everyone)
        alone = engine.fuse(
            engine.encode_texts([tokens[1]]),
            engine.encode_images(pixels[position : position + 1]),
            np.array([0]),
            np.array([0]),
        )
        assert len(tokens[1]) < MAX_TOKENS
        np.testing.assert_allclose(crowd[position], alone[0], atol=1e-4)
        assert crowd[position].argmax() == alone[0].argmax()


@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("threads", [1, 2])
def test_batch_size_and_threads_do_not_change_the_answer(bundle, engine, tokens, batch_size, threads):
    other = Engine(bundle, device="cpu", threads=threads, batch_size=batch_size)
    for first, second in (
        (other.encode_texts(tokens), engine.encode_texts(tokens)),
        (other.encode_images(make_pixels(5)), engine.encode_images(make_pixels(5))),
    ):
        np.testing.assert_allclose(first.features, second.features, atol=1e-5)


def test_probabilities_sum_to_one_and_vary_with_the_post(engine, tokens):
    texts, images = engine.encode_texts(tokens), engine.encode_images(make_pixels(3))
    probabilities = fuse(engine, texts, images, [0, 1, 2, 3, 4, None], [None, 0, 1, 2, None, 1])
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert len(set(probabilities.argmax(axis=1))) > 1


def test_repeated_posts_share_their_features(engine, tokens):
    texts, images = engine.encode_texts(tokens), engine.encode_images(make_pixels(2))
    probabilities = fuse(engine, texts, images, [0, 1, 0], [1, 0, 1])
    np.testing.assert_array_equal(probabilities[0], probabilities[2])


def test_a_post_of_one_modality_is_answered_by_its_head(bundle, engine, tokens):
    texts, images = engine.encode_texts(tokens), engine.encode_images(make_pixels(2))
    session = onnxruntime.InferenceSession(str(bundle.graphs["fp32"]["fusion"]), providers=["CPUExecutionProvider"])
    inputs = {"text_features": texts.features, "image_features": images.features}
    inputs |= {"text_index": np.array([0, 5]), "image_index": np.array([2, 1])}
    by_text, by_image = session.run(["text_scores", "image_scores"], inputs)
    probabilities = engine.fuse(texts, images, np.array([0, 5]), np.array([2, 1]))
    np.testing.assert_allclose(probabilities[0], softmax(by_text)[0], atol=1e-6)
    np.testing.assert_allclose(probabilities[1], softmax(by_image)[1], atol=1e-6)


def test_none_stands_for_a_modality_that_no_post_has(engine, tokens):
    texts, images = engine.encode_texts(tokens), engine.encode_images(make_pixels(2))
    rows = np.array([2, 0])
    np.testing.assert_array_equal(
        engine.fuse(texts, None, rows, None), fuse(engine, texts, images, [2, 0], [None, None])
    )
    np.testing.assert_array_equal(engine.fuse(None, images, None, rows[1:]), fuse(engine, texts, images, [None], [0]))


def test_a_post_with_nothing_gets_nan(engine, tokens):
    texts, images = engine.encode_texts(tokens), engine.encode_images(make_pixels(2))
    probabilities = fuse(engine, texts, images, [None, 0], [None, 0])
    assert np.isnan(probabilities[0]).all() and not np.isnan(probabilities[1]).any()


def test_each_modality_has_its_temperature(tmp_path, engine, tokens):
    temperatures = {"text+image": 2.0, "text": 4.0, "image": 0.5}
    calm = Engine(load_bundle(make_bundle(tmp_path / "calm", temperatures=temperatures)), device="cpu")
    texts, images = engine.encode_texts(tokens), engine.encode_images(make_pixels(1))
    posts = ([0, 0, None], [0, None, 0])
    plain, calibrated = fuse(engine, texts, images, *posts), fuse(calm, texts, images, *posts)
    scores = np.log(plain.astype(np.float64))
    expected = softmax(scores / np.array([[2.0], [4.0], [0.5]]))
    np.testing.assert_allclose(calibrated, expected, atol=1e-5)


@pytest.mark.parametrize("index", [[-1], [6]])
def test_an_index_out_of_range_is_refused(engine, tokens, index):
    with pytest.raises(ValueError, match="text_index has rows outside 0 to 5"):
        engine.fuse(engine.encode_texts(tokens), None, np.array(index), None)


@pytest.mark.parametrize("modality", ["text", "image"])
def test_a_model_of_one_modality_ignores_the_other(tmp_path, tokens, modality):
    single = Engine(load_bundle(make_bundle(tmp_path / "one", modalities=[modality])), device="cpu")
    if modality == "text":
        probabilities = single.fuse(single.encode_texts(tokens), None, np.array([0, 5]), np.array([0, 0]))
        with pytest.raises(ValueError, match="reads no images"):
            single.encode_images(make_pixels(1))
    else:
        probabilities = single.fuse(None, single.encode_images(make_pixels(1)), np.array([0, 0]), np.array([0, 1]))
        with pytest.raises(ValueError, match="reads no texts"):
            single.encode_texts(tokens)
    assert np.isnan(probabilities).all(axis=1).tolist() == [False, True]


def test_scores_that_are_not_finite_are_an_error(engine):
    with pytest.raises(BundleError, match="scores that are not finite in fp32 on cpu"):
        engine.fuse(Encoded(np.full((1, 8), np.inf, np.float32)), None, np.array([0]), None)


# Sequences


@pytest.fixture(scope="module")
def attending(attending_bundle):
    return Engine(load_bundle(attending_bundle), device="cpu", batch_size=2)


def test_sequences_come_back_in_order_with_their_lengths(attending, tokens):
    together = attending.encode_texts(tokens)
    assert together.lengths.tolist() == [len(row) for row in tokens]
    assert together.sequence.shape == (len(TEXTS), max(map(len, tokens)), 8)
    for position, row in enumerate(tokens):
        alone = attending.encode_texts([row])
        np.testing.assert_allclose(alone.sequence[0], together.sequence[position, : len(row)], atol=1e-6)
    pixels = make_pixels(5)
    images = attending.encode_images(pixels)
    assert images.sequence.shape == (5, 16, 8) and images.lengths.tolist() == [16] * 5
    np.testing.assert_allclose(attending.encode_images(pixels[3:4]).sequence[0], images.sequence[3], atol=1e-6)


def test_nothing_to_encode_is_no_sequences(attending):
    texts, images = attending.encode_texts([]), attending.encode_images(make_pixels(0))
    assert texts.sequence.shape == (0, 1, 8) and images.sequence.shape == (0, 16, 8)
    assert fuse(attending, texts, images, [], []).shape == (0, 3)


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_a_post_with_sequences_answers_alone_as_among_others(attending, tokens, monkeypatch, batch):
    monkeypatch.setitem(attending._batches, "fusion", batch)
    pixels = make_pixels(3)
    texts, images = attending.encode_texts(tokens), attending.encode_images(pixels)
    posts = [(text, image) for text in (0, 1, 2, 3, 4, None) for image in (2, 0, None, 1)]
    together = fuse(attending, texts, images, *zip(*posts, strict=True))
    for (text, image), probabilities in zip(posts, together, strict=True):
        alone = attending.fuse(
            attending.encode_texts([] if text is None else [tokens[text]]),
            attending.encode_images(pixels[:0] if image is None else pixels[image : image + 1]),
            np.array([0]),
            np.array([0]),
        )
        np.testing.assert_allclose(probabilities, alone[0], atol=1e-5)
    assert np.nanstd(together, axis=0).min() > 0.01


def test_the_fusion_gets_the_sequences_of_its_batch_alone(attending, tokens):
    texts = attending.encode_texts(tokens)
    kept, index = texts.take(np.array([3, 5, 1, 3]))
    assert index.tolist() == [1, 2, 0, 1]
    assert kept.lengths.tolist() == [len(tokens[1]), len(tokens[3])]
    assert kept.sequence.shape[1] == max(len(tokens[1]), len(tokens[3])) < texts.sequence.shape[1]
    assert kept.mask.sum(axis=1).tolist() == kept.lengths.tolist()
    nothing, index = texts.take(np.array([5, 5]))
    assert len(nothing) == 0 and nothing.mask.shape == (0, 1) and index.tolist() == [0, 0]


def test_a_graph_of_other_cells_than_the_manifest_says_is_refused(tmp_path):
    image = {"encoder": "tiny-image", "size": IMAGE_SIZE, "width": 8, "cells": 49}
    bundle = load_bundle(make_bundle(tmp_path / "wrong", attends=True, changes={"image": image}))
    with pytest.raises(BundleError, match="image_sequence has 16 cells instead of 49"):
        Engine(bundle, device="cpu")


# What text and image say alone


@pytest.mark.parametrize("attends", [False, True])
def test_views_are_what_each_modality_alone_is_given(tmp_path, tokens, attends):
    temperatures = {"text+image": 2.0, "text": 4.0, "image": 0.5}
    path = make_bundle(tmp_path / "warm", temperatures=temperatures, attends=attends)
    engine = Engine(load_bundle(path), device="cpu")
    texts, images = engine.encode_texts(tokens), engine.encode_images(make_pixels(2))
    posts = np.array([0, 1, 5, 5]), np.array([1, 2, 0, 2])
    views = engine.fuse_with_views(texts, images, *posts)
    np.testing.assert_array_equal(views.probabilities, engine.fuse(texts, images, *posts))
    np.testing.assert_array_equal(views.text, engine.fuse(texts, None, posts[0], None))
    np.testing.assert_array_equal(views.image, engine.fuse(None, images, None, posts[1]))
    assert np.isnan(views.text[2:]).all() and np.isnan(views.image[[1, 3]]).all()


def test_views_need_both_heads(tmp_path):
    bundle = load_bundle(make_bundle(tmp_path / "one", heads=["text"]))
    with pytest.raises(ValueError, match="doesn't have both heads"):
        Engine(bundle, device="cpu").fuse_with_views(None, None, np.array([0]), None)


def test_pixels_of_another_shape_are_a_clear_error(engine):
    with pytest.raises(BundleError, match=r"The image graph of .* can't be run"):
        engine.encode_images(np.zeros((1, 3, 8, 8), np.uint8))
