"""What holds for every fusion: heads, composition, padding, absent modalities, and neighbours."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from sentimm.errors import UsageError
from sentimm.models.encoder_output import EncoderOutput
from sentimm.models.sentiment_model import FUSIONS, FusionConfig, SentimentModel, check_fusion
from tests.support.tiny_fusions import (
    BOTH,
    IMAGE_INDEX,
    LABELS,
    TEXT_INDEX,
    TWO,
    WIDTH,
    array,
    fuse,
    make_encoded,
    make_model,
    softmax,
)


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
