"""Each fusion against its formula, written out slowly for one post at a time, padding and absence included."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sentimm.errors import UsageError
from sentimm.models.encoder_output import EncoderOutput
from sentimm.models.sentiment_model import FUSIONS, FusionConfig, SentimentModel, check_fusion

WIDTH, LABELS, HEADS = 12, 3, 4
BOTH = ("text", "image")
TWO = [name for name, fusion in FUSIONS.items() if len(fusion.modalities) == 2]
# Posts: both, both, text alone, image alone, neither.
TEXT_INDEX, IMAGE_INDEX = torch.tensor([0, 1, 1, 2, 2]), torch.tensor([2, 0, 3, 1, 3])


def make_model(
    fusion: str, heads: tuple[str, ...] = (), *, literal: bool = False, composed: float = 0.0
) -> SentimentModel:
    torch.manual_seed(1)
    config = FusionConfig(fusion, WIDTH, heads, HEADS, literal=literal, composed=composed, neutral=1)
    model = SentimentModel(config, LABELS, None, None).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def make_encoded(*, seed: int = 2) -> tuple[EncoderOutput, EncoderOutput]:
    """Two texts of 3 and 5 tokens, padded to 6 with large numbers, and three images of 4 cells."""
    torch.manual_seed(seed)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]])
    sequence = torch.randn(2, 6, WIDTH).masked_fill(mask.unsqueeze(-1) == 0, 50.0)
    return (
        EncoderOutput(torch.randn(2, WIDTH), sequence, mask),
        EncoderOutput(torch.randn(3, WIDTH), torch.randn(3, 4, WIDTH)),
    )


def fuse(model: SentimentModel, text: EncoderOutput, image: EncoderOutput, posts: list[int] | None = None) -> Tensor:
    """What the model says of the posts, without heads; it is given what its fusion uses."""
    if not model.fusion.attends:
        text, image = EncoderOutput(text.features), EncoderOutput(image.features)
    rows = torch.arange(5) if posts is None else torch.tensor(posts)
    with torch.no_grad():
        return model.fuse(
            text if "text" in model.modalities else None,
            image if "image" in model.modalities else None,
            TEXT_INDEX[rows],
            IMAGE_INDEX[rows],
        ).fused


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def of_post(model: SentimentModel, text: EncoderOutput, image: EncoderOutput, post: int) -> tuple[np.ndarray, ...]:
    """A post's F_T, F_I, H_T and H_I without padding; the learned vector, as one token too, for what it lacks."""
    found = []
    for encoded, index, missing in (
        (text, TEXT_INDEX, model.missing_text),
        (image, IMAGE_INDEX, model.missing_image),
    ):
        row = int(index[post])
        if row == len(encoded):
            found.append((array(missing)[0], array(missing)))
            continue
        length = encoded.sequence.shape[1] if encoded.mask is None else int(encoded.mask[row].sum())
        found.append((array(encoded.features)[row], array(encoded.sequence)[row, :length]))
    return found[0][0], found[1][0], found[0][1], found[1][1]


def softmax(scores: list[float]) -> list[float]:
    powers = [np.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


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


@pytest.mark.parametrize("fusion", TWO)
def test_a_head_answers_posts_of_its_modality_alone(fusion: str) -> None:
    model, (text, image) = make_model(fusion, BOTH), make_encoded()
    scores = model.fuse(text, image, TEXT_INDEX, IMAGE_INDEX)
    assert scores.text_scores is not None and scores.image_scores is not None
    assert torch.equal(scores.scores[:2], scores.fused[:2])
    assert torch.equal(scores.scores[2], scores.text_scores[2])
    assert torch.equal(scores.scores[3], scores.image_scores[3])
    assert torch.equal(scores.scores[4], scores.fused[4])
    asked = model.score_heads(text, image, TEXT_INDEX, IMAGE_INDEX)
    assert torch.equal(asked[0], scores.text_scores) and torch.equal(asked[1], scores.image_scores)


@pytest.mark.parametrize("fusion", TWO)
def test_what_the_heads_make_together_is_mixed_into_answers_to_complete_posts(fusion: str) -> None:
    text, image = make_encoded()
    plain, mixed = (
        make_model(fusion, BOTH, composed=share).fuse(text, image, TEXT_INDEX, IMAGE_INDEX) for share in (0.0, 0.7)
    )
    for post in (0, 1):
        said, of_text, of_image = (
            softmax(scores[post].tolist()) for scores in (plain.fused, plain.text_scores, plain.image_scores)
        )
        together = [0.0, 0.0, 0.0]
        for one, other in itertools.product(range(3), repeat=2):
            # 1 is neutral: it yields, and two other labels that differ are left out.
            if one == other or 1 in (one, other):
                together[other if one == 1 else one] += of_text[one] * of_image[other]
        expected = [0.3 * a + 0.7 * b / sum(together) for a, b in zip(said, together, strict=True)]
        np.testing.assert_allclose(array(mixed.scores[post].softmax(dim=0)), expected, atol=1e-5)
        assert np.abs(np.subtract(expected, said)).max() > 0.01
    assert torch.equal(mixed.fused[2:], plain.fused[2:]) and torch.equal(mixed.scores[2:], plain.scores[2:])


def test_heads_that_exclude_each_other_leave_the_answer_to_the_fusion() -> None:
    model, (text, image) = make_model("native-cat", BOTH, composed=0.9), make_encoded()
    assert model.text_head is not None and model.image_head is not None
    with torch.no_grad():
        model.text_head.bias.copy_(torch.tensor([500.0, 0.0, 0.0]))
        model.image_head.bias.copy_(torch.tensor([0.0, 0.0, 500.0]))
    plain = make_model("native-cat", BOTH).fuse(text, image, TEXT_INDEX, IMAGE_INDEX)
    mixed = model.fuse(text, image, TEXT_INDEX, IMAGE_INDEX)
    assert torch.allclose(mixed.scores[:2].softmax(dim=1), plain.scores[:2].softmax(dim=1), atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": ("text",)}, "--composed needs both heads"),
        ({"name": "bert", "heads": ()}, "--composed needs both heads"),
        ({"neutral": None}, "--composed needs a label named `neutral`"),
        ({"name": "cmac", "literal": True}, "--literal is the paper's formula"),
    ],
)
def test_what_can_not_be_composed_is_refused(changes: dict[str, object], message: str) -> None:
    config = FusionConfig("native-cat", WIDTH, BOTH, composed=0.5, neutral=1)
    with pytest.raises(UsageError, match=message):
        check_fusion(dataclasses.replace(config, **changes))


@pytest.mark.parametrize("fusion", sorted(FUSIONS))
def test_a_post_is_answered_alike_alone_and_among_others(fusion: str) -> None:
    model, (text, image) = make_model(fusion), make_encoded()
    together = fuse(model, text, image)
    for post in range(5):
        assert torch.allclose(together[post], fuse(model, text, image, [post])[0], atol=1e-5)


@pytest.mark.parametrize("fusion", ["cmac", "hstec"])
def test_padding_says_nothing(fusion: str) -> None:
    model, (text, image) = make_model(fusion), make_encoded()
    other = dataclasses.replace(text, sequence=text.sequence.masked_fill(text.mask.unsqueeze(-1) == 0, -7.0))
    assert torch.allclose(fuse(model, text, image), fuse(model, other, image), atol=1e-5)


@pytest.mark.parametrize("fusion", ["cmac", "hstec"])
def test_every_token_and_cell_counts(fusion: str) -> None:
    model, (text, image) = make_model(fusion), make_encoded()
    before = fuse(model, text, image, [0])
    last_token, last_cell = text.sequence.clone(), image.sequence.clone()
    last_token[0, 2] += 1
    last_cell[2, 3] += 1
    assert not torch.allclose(before, fuse(model, dataclasses.replace(text, sequence=last_token), image, [0]))
    assert not torch.allclose(before, fuse(model, text, dataclasses.replace(image, sequence=last_cell), [0]))


@pytest.mark.parametrize("fusion", ["cmac", "hstec"])
def test_posts_without_any_image_are_scored(fusion: str) -> None:
    model, (text, image) = make_model(fusion), make_encoded()
    nothing = EncoderOutput(torch.zeros(0, WIDTH), torch.zeros(0, 1, WIDTH))
    with torch.no_grad():
        found = model.fuse(text, nothing, torch.tensor([1]), torch.tensor([0])).fused
    assert torch.allclose(found, fuse(model, text, image, [2]), atol=1e-5)


@pytest.mark.parametrize(("fusion", "width"), [("ote", 7), ("cmac", 10), ("hstec", 10)])
def test_a_width_that_heads_do_not_divide_is_refused(fusion: str, width: int) -> None:
    with pytest.raises(UsageError, match=f"--width {width} does not fit 12 attention heads"):
        SentimentModel(FusionConfig(fusion, width), LABELS, None, None)


@pytest.mark.parametrize("fusion", ["ote", "native-cat", "bert", "resnet"])
def test_one_classifier_has_no_literal_sum(fusion: str) -> None:
    with pytest.raises(UsageError, match=r"--literal is for fusions that add up two classifiers \(cmac, hstec"):
        make_model(fusion, literal=True)


def test_an_attending_fusion_needs_sequences() -> None:
    text, image = make_encoded()
    with pytest.raises(ValueError, match="must be built with sequence=True"):
        make_model("cmac").fuse(EncoderOutput(text.features), EncoderOutput(image.features), TEXT_INDEX, IMAGE_INDEX)
