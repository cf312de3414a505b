"""Each fusion against its formula, written out slowly for one post at a time, padding and absence included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.tiny_fusions import HEADS, WIDTH, array, fuse, make_encoded, make_model, of_post, softmax


def attend(attention: nn.MultiheadAttention, queries: np.ndarray, values: np.ndarray) -> np.ndarray:
    """MHA(queries, values, values), token by token and head by head."""
    weights, biases = array(attention.in_proj_weight).reshape(3, WIDTH, WIDTH), array(attention.in_proj_bias)
    asked, keys, contents = (
        tokens @ weights[part].T + biases[part * WIDTH : (part + 1) * WIDTH]
        for part, tokens in enumerate((queries, values, values))
    )
    size = WIDTH // HEADS
    answers = np.zeros((len(queries), WIDTH))
    for token in range(len(queries)):
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            shares = softmax([float(asked[token, part] @ key[part]) / np.sqrt(size) for key in keys])
            for share, content in zip(shares, contents, strict=True):
                answers[token, part] += share * content[part]
    return answers @ array(attention.out_proj.weight).T + array(attention.out_proj.bias)


def normalize(norm: nn.LayerNorm, tokens: np.ndarray) -> np.ndarray:
    centred = tokens - tokens.mean(axis=1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True) + norm.eps)
    return centred / deviation * array(norm.weight) + array(norm.bias)


def encode_tokens(layer: nn.TransformerEncoderLayer, tokens: np.ndarray) -> np.ndarray:
    """One layer of a transformer encoder, normalised behind each of its halves."""
    tokens = normalize(layer.norm1, tokens + attend(layer.self_attn, tokens, tokens))
    inner = np.maximum(tokens @ array(layer.linear1.weight).T + array(layer.linear1.bias), 0)
    return normalize(layer.norm2, tokens + inner @ array(layer.linear2.weight).T + array(layer.linear2.bias))


def classify(classifier: nn.Module, *vectors: np.ndarray) -> np.ndarray:
    """Two linear layers with ReLU between, over the concatenation."""
    hidden = np.maximum(np.concatenate(vectors) @ array(classifier[1].weight).T + array(classifier[1].bias), 0)
    return hidden @ array(classifier[4].weight).T + array(classifier[4].bias)


def expect_cmac(model, f_text, f_image, h_text, h_image):
    about_text = attend(model.fusion.image_to_text, h_image, h_text).mean(axis=0)
    about_image = attend(model.fusion.text_to_image, h_text, h_image).mean(axis=0)
    return (
        classify(model.fusion.text_classifier, f_text, about_text),
        classify(model.fusion.image_classifier, f_image, about_image),
    )


def expect_hstec(model, f_text, f_image, h_text, h_image):
    mean = encode_tokens(model.fusion.encoder.layers[0], np.concatenate([h_text, h_image])).mean(axis=0)
    return (
        classify(model.fusion.text_classifier, f_text, mean),
        classify(model.fusion.image_classifier, f_image, mean),
    )


def expect_native_combine(model, f_text, f_image, h_text, h_image):
    return classify(model.fusion.text_classifier, f_text), classify(model.fusion.image_classifier, f_image)


SUMS = {"cmac": expect_cmac, "hstec": expect_hstec, "native-combine": expect_native_combine}


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("fusion", sorted(SUMS))
def test_the_sum_of_two_classifiers_is_as_the_formula_says(fusion: str, literal: bool) -> None:
    model, (text, image) = make_model(fusion, literal=literal), make_encoded()
    found = array(fuse(model, text, image))
    for post in range(5):
        text_term, image_term = SUMS[fusion](model, *of_post(model, text, image, post))
        if literal:
            text_term, image_term = np.array(softmax(list(text_term))), np.array(softmax(list(image_term)))
        if fusion == "native-combine":
            text_term = text_term * (post in (0, 1, 2))
            image_term = image_term * (post in (0, 1, 3))
        np.testing.assert_allclose(found[post], text_term + image_term, atol=1e-4)
    assert found[:4].std(axis=0).min() > 1e-3


def test_native_cat_classifies_the_concatenation() -> None:
    model, (text, image) = make_model("native-cat"), make_encoded()
    found = array(fuse(model, text, image))
    for post in range(5):
        f_text, f_image, _, _ = of_post(model, text, image, post)
        np.testing.assert_allclose(found[post], classify(model.fusion.classifier, f_text, f_image), atol=1e-4)


def test_ote_encodes_one_token_whose_attention_is_the_identity_on_its_values() -> None:
    model, (text, image) = make_model("ote"), make_encoded()
    found = array(fuse(model, text, image))
    layer = model.fusion.encoder.layers[0]
    values, bias = array(layer.self_attn.in_proj_weight)[4 * WIDTH :], array(layer.self_attn.in_proj_bias)[4 * WIDTH :]
    for post in range(5):
        f_text, f_image, _, _ = of_post(model, text, image, post)
        token = np.concatenate([f_image, f_text])
        answer = array(layer.self_attn.out_proj.weight) @ (values @ token + bias) + array(layer.self_attn.out_proj.bias)
        token = normalize(layer.norm1, (token + answer)[None])
        inner = np.maximum(token @ array(layer.linear1.weight).T + array(layer.linear1.bias), 0)
        inner = inner @ array(layer.linear2.weight).T + array(layer.linear2.bias)
        token = normalize(layer.norm2, token + inner)[0]
        np.testing.assert_allclose(found[post], classify(model.fusion.classifier, token), atol=1e-4)


@pytest.mark.parametrize("fusion", ["bert", "resnet"])
def test_single_modalities_classify_their_features(fusion: str) -> None:
    model, (text, image) = make_model(fusion), make_encoded()
    found = array(fuse(model, text, image, [0, 1]))
    for post in (0, 1):
        features = of_post(model, text, image, post)[0 if fusion == "bert" else 1]
        np.testing.assert_allclose(found[post], classify(model.fusion.classifier, features), atol=1e-4)


def test_literal_sums_leave_no_more_than_the_documented_confidence() -> None:
    model = make_model("native-combine", literal=True)
    with torch.no_grad():
        for classifier in (model.fusion.text_classifier, model.fusion.image_classifier):
            classifier[4].bias.copy_(torch.tensor([100.0, 0.0, 0.0]))
    probabilities = fuse(model, *make_encoded()).softmax(dim=1)
    assert probabilities[0, 0].item() == pytest.approx(np.e**2 / (np.e**2 + 2), abs=1e-5)
    assert probabilities[2, 0].item() == pytest.approx(np.e / (np.e + 2), abs=1e-5)
