from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from sentimm.errors import UsageError
from sentimm.models.fusion import FUSIONS, FusionConfig, SentimentModel

WIDTH, LABELS = 12, 3


def make_model(fusion: str, heads: tuple[str, ...] = ()) -> SentimentModel:
    torch.manual_seed(1)
    model = SentimentModel(FusionConfig(fusion, WIDTH, heads), LABELS, None, None).eval()
    nn.init.normal_(model.missing_text)
    nn.init.normal_(model.missing_image)
    return model


def classify(classifier: nn.Module, inputs: Tensor) -> Tensor:
    """Two linear layers with ReLU between, written out."""
    state = classifier.state_dict()
    hidden = (inputs @ state["1.weight"].T + state["1.bias"]).clamp(min=0)
    return hidden @ state["4.weight"].T + state["4.bias"]


@pytest.fixture
def features() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two texts, three images; posts: both, both, text alone, image alone, neither."""
    torch.manual_seed(2)
    text_index, image_index = torch.tensor([0, 1, 1, 2, 2]), torch.tensor([2, 0, 3, 1, 3])
    return torch.randn(2, WIDTH), torch.randn(3, WIDTH), text_index, image_index


def gathered(model: SentimentModel, features: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    text, image, text_index, image_index = features
    rows = [text[i] if i < 2 else model.missing_text[0] for i in text_index.tolist()]
    columns = [image[i] if i < 3 else model.missing_image[0] for i in image_index.tolist()]
    return torch.stack(rows), torch.stack(columns)


def test_native_cat_classifies_the_concatenation(features: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    model = make_model("native-cat")
    text, image = gathered(model, features)
    expected = classify(model.fusion.classifier, torch.cat([text, image], dim=1))
    assert torch.allclose(model.fuse(*features).scores, expected, atol=1e-6)


def test_ote_attends_over_one_token_which_is_the_identity_on_its_values(
    features: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    model = make_model("ote")
    text, image = gathered(model, features)
    token = torch.cat([image, text], dim=1)
    layer = model.fusion.encoder.layers[0]
    _, _, values = (token @ layer.self_attn.in_proj_weight.T + layer.self_attn.in_proj_bias).chunk(3, dim=1)
    token = layer.norm1(token + layer.self_attn.out_proj(values))
    token = layer.norm2(token + layer.linear2(layer.linear1(token).clamp(min=0)))
    expected = classify(model.fusion.classifier, token)
    assert torch.allclose(model.fuse(*features).scores, expected, atol=1e-5)


def test_single_modalities_classify_their_features(features: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    text, image, _, _ = features
    bert, resnet = make_model("bert"), make_model("resnet")
    index = torch.tensor([1, 0])
    assert torch.allclose(bert.fuse(text, None, index, None).scores, classify(bert.fusion.classifier, text[index]))
    assert torch.allclose(
        resnet.fuse(None, image, None, index).scores, classify(resnet.fusion.classifier, image[index])
    )


@pytest.mark.parametrize("fusion", ["native-cat", "ote"])
def test_a_head_answers_posts_of_its_modality_alone(
    fusion: str, features: tuple[Tensor, Tensor, Tensor, Tensor]
) -> None:
    model = make_model(fusion, ("text", "image"))
    scores = model.fuse(*features)
    assert scores.text_scores is not None and scores.image_scores is not None
    assert torch.equal(scores.scores[:2], scores.fused[:2])
    assert torch.equal(scores.scores[2], scores.text_scores[2])
    assert torch.equal(scores.scores[3], scores.image_scores[3])
    assert torch.equal(scores.scores[4], scores.fused[4])


@pytest.mark.parametrize("fusion", sorted(FUSIONS))
def test_a_post_is_answered_alike_alone_and_among_others(
    fusion: str, features: tuple[Tensor, Tensor, Tensor, Tensor]
) -> None:
    model = make_model(fusion, ("text", "image") if len(FUSIONS[fusion].modalities) == 2 else ())
    text, image, text_index, image_index = features
    inputs = [text if "text" in model.modalities else None, image if "image" in model.modalities else None]
    together = model.fuse(*inputs, text_index, image_index).scores
    for post in range(5):
        alone = model.fuse(*inputs, text_index[post : post + 1], image_index[post : post + 1]).scores
        assert torch.allclose(together[post], alone[0], atol=1e-6)


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    config = dataclasses.replace(FusionConfig("ote", WIDTH), width=7)
    with pytest.raises(UsageError, match="--width 7 does not fit 12 attention heads"):
        SentimentModel(config, LABELS, None, None)
