from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sentimm.errors import InputError, UsageError
from sentimm.models.image_backbones import BackboneConfig, ImageBackbone, build_backbone, parse_backbones
from sentimm.models.image_encoder import ImageEncoder, ImageEncoderConfig, load_image_encoder
from sentimm.models.text_encoder import TextEncoder, load_text_encoder
from sentimm.models.timm_networks import Maps
from tests.support.tiny.models import make_image_encoder, make_text_encoder


def load_text(folder: Path, **changes: object) -> tuple[TextEncoder, bytes]:
    options = {"width": 8, "pooling": "mean", "max_tokens": 48, "dropout": 0.1, "bert_dropout": 0.1} | changes
    return load_text_encoder(str(folder), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_text_encoder_ignores_padding(tmp_path: Path, pooling: str) -> None:
    encoder, _ = load_text(make_text_encoder(tmp_path / "bert"), pooling=pooling)
    encoder.eval()
    ids = torch.tensor([[2, 5, 6, 3]])
    padded = torch.tensor([[2, 5, 6, 3, 0, 0, 0]])
    alone = encoder(ids, torch.ones_like(ids)).features
    assert torch.allclose(alone, encoder(padded, (padded != 0).long()).features, atol=1e-5)
    assert alone.shape == (1, 8)


def test_a_text_encoder_is_built_again_from_its_configuration(tmp_path: Path) -> None:
    encoder, tokenizer = load_text(make_text_encoder(tmp_path / "bert"))
    again = TextEncoder(encoder.config)
    again.load_state_dict(encoder.state_dict())
    assert b'"model"' in tokenizer
    assert str(tmp_path) not in repr(encoder.config)


def test_mean_pooling_is_the_mean_over_tokens(tmp_path: Path) -> None:
    encoder, _ = load_text(make_text_encoder(tmp_path / "bert"))
    encoder.eval()
    ids = torch.tensor([[2, 5, 6, 3, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 0]])
    hidden = encoder.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
    assert torch.allclose(encoder.extract(ids, mask), hidden[:, :4].mean(dim=1), atol=1e-6)


def test_a_text_encoder_that_is_not_there_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"--text-encoder PATH, a folder with config.json"):
        load_text(tmp_path / "empty")


def test_no_code_of_a_text_encoders_folder_is_run(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return (Path.touch, (tmp_path / "ran",))

    folder = make_text_encoder(tmp_path / "bert")
    (folder / "model.safetensors").unlink()
    torch.save({"embeddings.word_embeddings.weight": Touch()}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="--text-encoder PATH"):
        load_text(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"]
    config["auto_map"] = {"AutoConfig": "code.Config", "AutoModel": "code.Model", "AutoTokenizer": "code.Tokenizer"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match="--text-encoder PATH"):
        load_text(folder)
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_is_not_there_is_named_as_one(tmp_path: Path) -> None:
    for name in (tmp_path / "gone", "./gone", "models/bert/gone"):
        with pytest.raises(InputError, match=r"^There is no folder '.*gone': name one with --text-encoder"):
            load_text_encoder(str(name), width=8, pooling="mean", max_tokens=8, dropout=0, bert_dropout=0)


def test_more_tokens_than_the_encoder_reads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--max-tokens 100 is more than the 64"):
        load_text(make_text_encoder(tmp_path / "bert"), max_tokens=100)


def test_image_encoders_stand_side_by_side(tmp_path: Path) -> None:
    name = make_image_encoder(tmp_path / "image")
    one = load_image_encoder(name, width=8, size=32, dropout=0.0).eval()
    pair = load_image_encoder(f"{name}+{name}", width=8, size=32, dropout=0.0).eval()
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    single = one.extract(pixels)
    assert torch.allclose(pair.extract(pixels), torch.cat([single, single], dim=1), atol=1e-5)
    assert pair(pixels).features.shape == (2, 8)
    assert ImageEncoder(pair.config).load_state_dict(pair.state_dict())


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet50-half"])
def test_resnets_give_seven_by_seven_maps_of_224_pixels(name: str) -> None:
    backbone = build_backbone(name, BackboneConfig()).eval()
    with torch.inference_mode():
        features = backbone(torch.zeros(1, 3, 224, 224, dtype=torch.uint8))
    assert features.shape == (1, backbone.channels, 7, 7)


@pytest.mark.parametrize(
    ("name", "channels"),
    [("resnet18", 512), ("timm:resnet18", 512), ("timm:test_efficientnet", 256), ("resnet50-half", 1024)],
)
def test_finer_levels_stand_before_the_last_map(name: str, channels: int) -> None:
    torch.manual_seed(0)
    last = build_backbone(name, BackboneConfig()).eval()
    both = build_backbone(name, BackboneConfig(levels=2)).eval()
    both.load_state_dict(last.state_dict())
    pixels = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    with torch.inference_mode():
        coarse, joined = last(pixels), both(pixels)
    assert last.channels == channels == coarse.shape[1]
    assert joined.shape == (2, both.channels, *coarse.shape[2:])
    assert both.channels > channels
    assert torch.equal(joined[:, -channels:], coarse)
    assert joined[:, :-channels].std() > 0


def test_a_finer_level_is_averaged_cell_by_cell() -> None:
    backbone = build_backbone("resnet18", BackboneConfig(levels=2)).eval()
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    maps = []
    backbone.network.layer3.register_forward_hook(lambda *given: maps.append(given[-1]))
    with torch.inference_mode():
        joined, averages = backbone(pixels), backbone.pool(pixels)
    expected = maps[0].unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(joined[:, :256], expected)
    torch.testing.assert_close(averages, joined.mean(dim=(2, 3)))


@pytest.mark.parametrize("name", ["resnet18", "timm:resnet18"])
def test_more_levels_than_there_are_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=rf"--image-levels 9: the image encoder '{name}' has [45]\."):
        build_backbone(name, BackboneConfig(levels=9))


def test_a_local_state_dict_of_torchvision_is_loaded(tmp_path: Path) -> None:
    import torchvision

    network = torchvision.models.resnet18()
    torch.save(network.state_dict(), tmp_path / "resnet18-abc.pth")
    ((name, weights),) = parse_backbones(str(tmp_path / "resnet18-abc.pth"))
    backbone = build_backbone(name, BackboneConfig(), pretrained=True, weights=weights)
    assert torch.equal(backbone.network.conv1.weight, network.conv1.weight)
    with pytest.raises(InputError, match=r"do not fit the image encoder 'resnet34'"):
        build_backbone("resnet34", BackboneConfig(), pretrained=True, weights=weights)


def test_a_file_that_could_run_code_is_not_loaded(tmp_path: Path) -> None:
    class Boom:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("boom",))

    torch.save({"conv1.weight": Boom()}, tmp_path / "resnet18.pth")
    with pytest.raises(InputError, match="can't be read as a state dict"):
        build_backbone("resnet18", BackboneConfig(), pretrained=True, weights=tmp_path / "resnet18.pth")


def test_code_among_published_weights_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    class Touch:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return (Path.touch, (tmp_path / "ran",))

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save({"conv1.weight": Touch()}, cache / Path(torchvision.models.ResNet18_Weights.DEFAULT.url).name)
    with pytest.raises(InputError, match="pretrained weights of the image encoder 'resnet18'"):
        build_backbone("resnet18", BackboneConfig(), pretrained=True)
    assert not (tmp_path / "ran").exists()


def test_published_weights_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    network = torchvision.models.resnet18()
    torch.save(network.state_dict(), cache / Path(torchvision.models.ResNet18_Weights.DEFAULT.url).name)
    backbone = build_backbone("resnet18", BackboneConfig(), pretrained=True)
    assert torch.equal(backbone.network.conv1.weight, network.conv1.weight)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vgg", "'vgg' is not a supported model"),
        ("timm:no_such_model", "not a model of timm"),
        ("weights.pth", "does not tell which model the file holds"),
    ],
)
def test_unknown_image_encoders_are_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_image_encoder(name, width=8, size=32, dropout=0.0)


def test_missing_image_weights_name_the_option() -> None:
    with pytest.raises(InputError, match=r"'gone.pth' do not exist: check the path in --image-encoder"):
        load_image_encoder("resnet18=gone.pth", width=8, size=32, dropout=0.0)


def test_the_configuration_is_plain_data() -> None:
    assert ImageEncoderConfig(("resnet18",), width=8, size=32, dropout=0.0).backbones == ("resnet18",)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_text_sequence_is_the_hidden_states_projected(tmp_path: Path, pooling: str) -> None:
    folder = make_text_encoder(tmp_path / "bert")
    plain, _ = load_text(folder, pooling=pooling)
    encoder, _ = load_text(folder, pooling=pooling, sequence=True)
    encoder.load_state_dict(plain.state_dict())
    ids = torch.tensor([[2, 5, 6, 3, 0, 0], [2, 7, 8, 9, 10, 3]])
    mask = (ids != 0).long()
    found, expected = encoder.eval()(ids, mask), plain.eval()(ids, mask)
    linear = encoder.project[1]
    hidden = encoder.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
    assert expected.sequence is None and expected.mask is None
    assert torch.allclose(found.features, expected.features, atol=1e-6)
    assert torch.allclose(found.sequence, (hidden @ linear.weight.T + linear.bias).clamp(min=0), atol=1e-5)
    assert torch.equal(found.mask, mask)
    assert torch.allclose(encoder.finish(encoder.extract(ids, mask), mask).sequence, found.sequence)
    with pytest.raises(ValueError, match="need their attention_mask"):
        encoder.finish(hidden, None)


@pytest.mark.parametrize(("size", "cells"), [(32, 1), (64, 4), (96, 9)])
def test_an_image_sequence_is_the_last_map_cell_by_cell(tmp_path: Path, size: int, cells: int) -> None:
    name = make_image_encoder(tmp_path / "image")
    encoder = load_image_encoder(name, width=8, size=size, dropout=0.0, sequence=True).eval()
    pixels = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    found = encoder(pixels)
    maps = encoder.backbones[0](pixels)
    side = maps.shape[-1]
    assert encoder.count_cells() == cells == side * side
    assert found.sequence.shape == (2, cells, 8) and found.mask is None
    for row in range(side):
        for column in range(side):
            cell = encoder.project(maps[:, :, row, column])
            assert torch.allclose(found.sequence[:, row * side + column], cell, atol=1e-5)
    assert torch.allclose(found.features, encoder.project(maps.mean(dim=(2, 3))), atol=1e-5)


class OneMap(torch.nn.Conv2d):
    def forward(self, images: torch.Tensor) -> Maps:
        return Maps([super().forward(images)])


def test_backbones_whose_maps_differ_give_no_sequence() -> None:
    config = ImageEncoderConfig(("fine", "coarse"), width=8, size=32, dropout=0.0, sequence=True)
    fine, coarse = (ImageBackbone(OneMap(3, 4, step, step), 4, (0.5,) * 3, (0.2,) * 3).train() for step in (8, 16))
    with pytest.raises(UsageError, match=r"differ in size at --image-size 32 \(fine 4 x 4, coarse 2 x 2\)"):
        ImageEncoder(config, [fine, coarse])
    encoder = ImageEncoder(config, [fine, fine])
    assert fine.training and encoder.count_cells() == 16
    assert encoder.extract(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape == (1, 16, 8)


@pytest.mark.parametrize("sequence", [False, True])
def test_nothing_is_encoded_as_no_rows(tmp_path: Path, sequence: bool) -> None:
    text, _ = load_text(make_text_encoder(tmp_path / "bert"), sequence=sequence)
    image = load_image_encoder(make_image_encoder(tmp_path / "image"), width=8, size=32, dropout=0.0, sequence=sequence)
    for nothing in (text.encode_nothing(), image.encode_nothing()):
        assert nothing.features.shape == (0, 8)
        assert (nothing.sequence is None) == (not sequence)
        assert nothing.sequence is None or nothing.sequence.shape == (0, 1, 8)
