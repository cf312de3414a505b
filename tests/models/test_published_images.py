"""Image encoders from published classifiers: files and folders of timm, folders of transformers, without heads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from sentimm.errors import InputError
from sentimm.models.image_backbones import find_image_size
from sentimm.models.image_encoder import ImageEncoder, load_image_encoder
from sentimm.models.published_images import find_modality
from tests.support.tiny.classifiers import write_image_folder

COLOURS = ([0.4, 0.4, 0.4], [0.3, 0.3, 0.3])
SIDE = 224


def run_encoder(encoder: ImageEncoder, pixels: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return encoder.eval().extract(pixels)


def prepare(pixels: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in COLOURS)
    return (pixels.float() / 255 - mean) / std


def make_pixels(side: int) -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
def test_a_classifier_of_timm_is_read_without_its_head(tmp_path: Path, name: str) -> None:
    torch.manual_seed(1)
    network: Any = timm.create_model(name, num_classes=3).eval()
    with torch.no_grad():
        for key, weight in network.named_parameters():
            if "norm" in key:  # also that of the head, which is the encoder's
                weight.add_(torch.rand_like(weight))
    file = tmp_path / "network.safetensors"
    save_file(network.state_dict(), file)
    folder = write_image_folder(tmp_path / "folder", network.state_dict(), architecture=name)
    pixels = make_pixels(160)
    mean, std = (torch.tensor(network.pretrained_cfg[each]).view(1, 3, 1, 1) for each in ("mean", "std"))
    with torch.inference_mode():
        images = (pixels.float() / 255 - mean) / std
        expected = network.forward_head(network.forward_features(images), pre_logits=True)
    for value in (f"timm:{name}={file}", str(folder)):
        assert find_image_size(value) == 160
        found = run_encoder(load_image_encoder(value, width=8, size=160, dropout=0.0), pixels)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_folder_has_its_own_colours_and_size_also_when_it_is_rebuilt(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network: Any = timm.create_model("test_resnet", num_classes=3).eval()
    state = {f"timm_model.{name}": weight for name, weight in network.state_dict().items()}
    own = {"mean": COLOURS[0], "std": COLOURS[1], "input_size": [3, 96, 96]}
    folder = write_image_folder(
        tmp_path / "folder", state, model_type="timm_wrapper", architecture="test_resnet", pretrained_cfg=own
    )
    assert find_image_size(str(folder)) == 96
    encoder = load_image_encoder(str(folder), width=8, size=96, dropout=0.0)
    stored = json.loads(json.dumps(encoder.config.colours))
    rebuilt = ImageEncoder(encoder.config.__class__(**{**encoder.config.__dict__, "colours": stored}))
    rebuilt.load_state_dict(encoder.state_dict())
    pixels = make_pixels(96)
    with torch.inference_mode():
        expected = network.forward_head(network.forward_features(prepare(pixels)), pre_logits=True)
    for each in (encoder, rebuilt):
        torch.testing.assert_close(run_encoder(each, pixels), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["ViT", "ResNet"])
def test_a_classifier_of_transformers_answers_as_there(tmp_path: Path, kind: str) -> None:
    import transformers

    shape: dict[str, Any] = {"layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]}
    if kind == "ViT":
        shape = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768, "layer_norm_eps": 1e-6}
    torch.manual_seed(1)
    config = getattr(transformers, f"{kind}Config")(num_labels=3, **shape)
    network = getattr(transformers, f"{kind}ForImageClassification")(config).eval()
    network.save_pretrained(tmp_path)
    fields = {"image_mean": COLOURS[0], "image_std": COLOURS[1]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(fields))
    assert (find_modality(tmp_path), find_image_size(str(tmp_path))) == ("image", SIDE)
    pixels = make_pixels(SIDE)
    with torch.inference_mode():
        found = network.base_model(prepare(pixels))
    expected = found.last_hidden_state[:, 0] if kind == "ViT" else found.pooler_output.flatten(1)
    encoder = load_image_encoder(str(tmp_path), width=8, size=SIDE, dropout=0.0)
    torch.testing.assert_close(run_encoder(encoder, pixels), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "swin", "image_size": 224}, "holds a swin: use one of timm, or a ViT or ResNet"),
        ({"model_type": "vit", "hidden_size": 24}, "holds a vit with 12 layers of 24 and patches of 16 pixels"),
        ({"model_type": "resnet", "depths": [1, 1]}, "holds a resnet of bottleneck layers, 1, 1"),
        ({}, "holds no network of timm or transformers: use one of timm"),
        ({"architecture": "test_vit"}, "has no model.safetensors"),
        ({"model_type": "roberta", "vocab_size": 60}, "holds a roberta: use one of timm"),
    ],
)
def test_another_folder_is_refused_in_a_sentence(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(fields))
    with pytest.raises(InputError, match=message):
        load_image_encoder(str(tmp_path), width=8, size=160, dropout=0.0)
