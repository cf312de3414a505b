from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sentimm.errors import UsageError
from sentimm.models.depths import list_depths
from sentimm.models.sentiment_model import SentimentModel
from sentimm.training.data.tables import load_posts
from sentimm.training.events import EpochTrained, StoppedEarly
from sentimm.training.learning.averaged_weights import AveragedWeights
from sentimm.training.learning.objective import compute_class_weights
from sentimm.training.learning.optimizer import freeze_statistics, make_optimizer, speed_up_convolutions
from sentimm.training.model import load_model
from sentimm.training.options import TrainOptions
from tests.support.tiny.models import IMAGE_SIZE
from tests.support.tiny.training_runs import losses, train, weights

BOTH = ("text", "image")


@pytest.fixture
def model(options: TrainOptions) -> SentimentModel:
    return load_model(options, load_posts(options.inputs, options, BOTH, IMAGE_SIZE))[0]


def test_encoders_and_the_rest_have_their_own_learning_rates(options: TrainOptions, model: SentimentModel) -> None:
    rated = replace(options, learning_rate=1e-5, image_lr=1e-4, head_lr=1e-2)
    rates = {
        id(weight): group["lr"] for group in make_optimizer(model, rated).param_groups for weight in group["params"]
    }
    for name, weight in model.named_parameters():
        expected = 1e-5 if name.startswith("text.backbone") else 1e-4 if name.startswith("image.backbones") else 1e-2
        assert rates[id(weight)] == expected, name


def test_a_frozen_encoder_is_not_in_the_optimizer(options: TrainOptions, model: SentimentModel) -> None:
    optimizer = make_optimizer(model, replace(options, freeze=("image",)))
    moved = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    assert model.image is not None and model.text is not None
    assert not moved & {id(weight) for weight in model.image.backbones.parameters()}
    assert moved >= {id(weight) for weight in model.text.backbone.parameters()}


def test_layers_are_frozen_from_the_embeddings_on(options: TrainOptions, model: SentimentModel) -> None:
    make_optimizer(model, replace(options, freeze=("text:1", "image:2")))
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    assert model.text is not None and model.image is not None
    for modality, encoder, depth in (("text", model.text, 1), ("image", model.image, 2)):
        expected = {f"{modality}.{name}" for name, own in list_depths(encoder).items() if own <= depth}
        assert {name for name in frozen if name.startswith(modality)} == expected
    with pytest.raises(UsageError, match="--freeze text:3: the text encoder has 2 layers"):
        make_optimizer(model, replace(options, freeze=("text:3",)))


def test_rates_fall_with_the_depth(options: TrainOptions, model: SentimentModel) -> None:
    optimizer = make_optimizer(model, replace(options, learning_rate=1e-3, head_lr=1e-2, layer_decay=0.5))
    rates = {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    assert model.text is not None
    depths = list_depths(model.text)
    for name, weight in model.text.named_parameters():
        expected = 1e-3 * 0.5 ** (2 - depths[name]) if name in depths else 1e-2
        assert rates[id(weight)] == pytest.approx(expected), name


def test_batch_norm_statistics_stay_while_the_image_encoder_is_trained(
    options: TrainOptions, model: SentimentModel
) -> None:
    assert model.image is not None
    before = {name: value.clone() for name, value in model.image.backbones.named_buffers()}
    model.train()
    freeze_statistics(model, options)
    model.image(torch.randint(0, 256, (4, 3, IMAGE_SIZE, IMAGE_SIZE), dtype=torch.uint8))
    assert all(torch.equal(value, before[name]) for name, value in model.image.backbones.named_buffers())


def test_fast_convolutions_give_what_plain_ones_give(options: TrainOptions, model: SentimentModel) -> None:
    assert model.image is not None
    model.eval()
    pixels = torch.randint(0, 256, (4, 3, IMAGE_SIZE, IMAGE_SIZE), dtype=torch.uint8)
    with torch.inference_mode():
        plain = model.image(pixels).features
        speed_up_convolutions(model, "bf16", torch.device("cpu"))
        torch.testing.assert_close(model.image(pixels).features, plain)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(model.image(pixels).features.float(), plain, rtol=0.1, atol=0.1)


def test_averaged_weights_follow_the_formula_and_give_the_model_its_own_back() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(1.0)
    averaged = AveragedWeights(layer, decay=0.3)
    expected = 1.0
    for step, value in enumerate((2.0, 3.0, 4.0), start=1):
        layer.weight.data.fill_(value)
        averaged.update()
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    with averaged.apply():
        assert layer.weight.item() == pytest.approx(expected)
    assert layer.weight.item() == 4.0


@pytest.mark.slow
def test_the_averaged_weights_are_what_is_saved(options: TrainOptions, tmp_path: Path) -> None:
    plain, _ = train(options, tmp_path / "plain")
    averaged, _ = train(replace(options, ema=0.9), tmp_path / "averaged")
    assert losses(plain) == losses(averaged)
    name = "fusion.classifier.1.weight"
    assert not torch.equal(weights(plain)[name], weights(averaged)[name])


@pytest.mark.slow
def test_accumulated_batches_are_one_larger_batch(options: TrainOptions, tmp_path: Path) -> None:
    still = replace(options, dropout=0.0, bert_dropout=0.0, modality_dropout=0.0)
    large, _ = train(replace(still, batch_size=8), tmp_path / "large")
    small, _ = train(replace(still, batch_size=3, accumulate=3), tmp_path / "small")
    same, _ = train(replace(still, batch_size=2, accumulate=4), tmp_path / "same")
    assert losses(same) == pytest.approx(losses(large), rel=1e-4)
    assert losses(small) != pytest.approx(losses(large), rel=1e-4)


def test_balanced_weights_are_inverse_to_what_an_epoch_sees() -> None:
    options = TrainOptions(inputs=("a", "b"), class_weights="balanced")
    targets = np.asarray([0, 0, 0, 1, 2, 2, -1], dtype=np.int64)
    seen = np.asarray([1, 1, 1, 1, 0.5, 0.5, 1])
    # Seen in an epoch: 3, 1 and 1.
    assert compute_class_weights(targets, seen, options) == pytest.approx([5 / 9, 5 / 3, 5 / 3])
    given = replace(options, class_weights=(1.0, 2.0, 3.0))
    assert compute_class_weights(targets, seen, given).tolist() == [1, 2, 3]
    assert compute_class_weights(targets, seen, replace(options, class_weights=())).tolist() == [1, 1, 1]


@pytest.mark.slow
def test_a_weighted_class_is_answered_more_often(options: TrainOptions, tmp_path: Path) -> None:
    weighted = replace(options, class_weights=(0.001, 1.0, 0.001), epochs=3)
    run, _ = train(weighted, tmp_path / "run")
    assert run.read_metrics()[-1]["tables"]["posts.csv"]["accuracy"] < 0.6


@pytest.mark.slow
def test_training_stops_when_nothing_gets_better(options: TrainOptions, tmp_path: Path) -> None:
    stuck = replace(options, learning_rate=1e-9, epochs=9, patience=2, metric="macro_f1")
    _, events = train(stuck, tmp_path / "run")
    assert [event.epoch for event in events if isinstance(event, EpochTrained)] == [1, 2, 3]
    assert [event for event in events if isinstance(event, StoppedEarly)] == [StoppedEarly(3, 2)]


@pytest.mark.slow
def test_a_run_gives_its_weights_to_another(options: TrainOptions, tmp_path: Path) -> None:
    first, _ = train(replace(options, epochs=1), tmp_path / "first")
    onward = replace(options, init=first.path, text_encoder=str(first.path), image_encoder=str(first.path))
    posts = load_posts(options.inputs, options, BOTH, IMAGE_SIZE)

    def taken(options: TrainOptions) -> set[str]:
        torch.manual_seed(99)
        own = load_model(options, posts)[0].state_dict()
        stored = weights(first, "best")
        return {name for name, weight in own.items() if name in stored and torch.equal(weight, stored[name])}

    assert taken(onward) == set(weights(first, "best"))
    other = taken(replace(onward, fusion="ote"))
    assert {"text.project.1.weight", "image.project.1.weight", "text_head.weight", "missing_text"} <= other
    assert not any(name.startswith("fusion.") for name in other)
    emotions = taken(replace(onward, labels=("joy", "anger", "negative")))
    assert {name.split(".")[0] for name in emotions} <= {"text", "image", "missing_text", "missing_image"}
    with pytest.raises(
        UsageError, match=r"its image encoder differs from this model's\. .* --width 24 and --image-levels 1\."
    ):
        load_model(replace(onward, image_levels=2), posts)
    finer = replace(options, epochs=1, fusion="resnet", image_levels=2)
    image = str(train(finer, tmp_path / "finer")[0].path)
    for levels, kept in ((None, 2), (1, 1)):
        model, _ = load_model(replace(options, image_encoder=image, image_levels=levels), posts)
        assert model.image is not None and model.image.config.levels == kept
    model, _ = load_model(replace(onward, bert_dropout=0.4), posts)
    assert model.text is not None
    dropouts = {part.p for part in model.text.backbone.modules() if isinstance(part, torch.nn.Dropout)}
    assert dropouts == {0.4}
    with pytest.raises(UsageError, match=r"--max-tokens 5000 is more than the \d+ that the text encoder .*first"):
        load_model(replace(onward, max_tokens=5000), posts)


@pytest.mark.slow
def test_a_run_of_another_model_is_refused(options: TrainOptions, tmp_path: Path) -> None:
    first, _ = train(replace(options, epochs=1, fusion="bert", pooling="cls"), tmp_path / "first")
    posts = load_posts(options.inputs, options, BOTH, IMAGE_SIZE)
    with pytest.raises(UsageError, match=r"its text encoder differs from this model's\. .* --width 24"):
        load_model(replace(options, init=first.path, width=36), posts)
    with pytest.raises(UsageError, match=r"\(bert\) and this one \(resnet\) have no encoder in common"):
        load_model(replace(options, init=first.path, fusion="resnet"), posts)
    named = replace(options, init=first.path, text_encoder=str(first.path), image_encoder=str(first.path))
    with pytest.raises(UsageError, match=r"--init .*first is a run without an image encoder: name one with"):
        load_model(named, posts)
    for pooling, used in ((None, "cls"), ("mean", "mean")):
        model, _ = load_model(replace(named, image_encoder=options.image_encoder, pooling=pooling), posts)  # type: ignore[arg-type]
        assert model.text is not None and model.text.config.pooling == used
