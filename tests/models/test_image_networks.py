"""Image networks of every kind that timm has: vectors are timm's own, cells are the last map's, whatever its layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from sentimm.errors import UsageError
from sentimm.models.image_backbones import BackboneConfig, build_backbone, find_image_size
from sentimm.models.image_encoder import ImageEncoder, ImageEncoderConfig, load_image_encoder

# Each: the size, cells, and channels of vectors and of cells.
NETWORKS = {
    "test_vit": (160, 100, 64, 64),  # a class token, attention pooling or an average
    "test_vit3": (160, 100, 96, 96),
    "deit_tiny_distilled_patch16_224": (224, 196, 192, 192),  # two tokens beside the patches
    "eva02_tiny_patch14_224": (224, 256, 192, 192),
    "xcit_nano_12_p16_224": (224, 196, 128, 128),
    "mixer_s32_224": (224, 49, 512, 512),  # no token beside the patches
    "swin_tiny_patch4_window7_224": (224, 49, 768, 768),  # channels last
    "test_convnext": (160, 25, 64, 64),  # a norm behind the average
    "test_mambaout": (160, 25, 256, 64),  # a layer behind the average
    "mobilenetv3_small_050": (224, 49, 1024, 288),
    "pvt_v2_b0": (224, 49, 256, 256),
    "test_efficientnet": (160, 25, 256, 256),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_vectors_are_timms_own_and_cells_those_of_the_last_map(name: str) -> None:
    size, cells, pooled, channels = NETWORKS[name]
    assert find_image_size(f"timm:{name}") == size
    torch.manual_seed(0)
    backbone = build_backbone(f"timm:{name}", BackboneConfig(size)).eval()
    pixels = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    network = backbone.network.network
    with torch.inference_mode():
        vectors, maps = backbone.run(pixels)
        own = network((pixels.float() - backbone.mean) / backbone.std)
    assert (backbone.pooled_channels, backbone.channels) == (pooled, channels)
    assert maps.shape[1] == channels and maps.shape[2] * maps.shape[3] == cells
    assert vectors.shape == (2, pooled)
    torch.testing.assert_close(vectors, own, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_mambaout"])
def test_an_encoder_gives_vectors_and_cells(name: str, sequence: bool) -> None:
    config = ImageEncoderConfig((f"timm:{name}",), 8, 160, 0.0, sequence=sequence, own_pooling=True)
    encoder = ImageEncoder(config).eval()
    pixels = torch.randint(0, 256, (2, 3, 160, 160), dtype=torch.uint8)
    found = encoder(pixels)
    assert found.features.shape == (2, 8)
    assert (found.sequence is None) == (not sequence)
    if sequence:
        backbone = encoder.backbones[0]
        maps = backbone(pixels)
        own = backbone.pool(pixels) if backbone.pooled_channels == backbone.channels else maps.mean(dim=(2, 3))
        cells = maps.flatten(2).transpose(1, 2)
        torch.testing.assert_close(found.features, encoder.project(own), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.sequence, encoder.project(cells), atol=1e-5, rtol=1e-4)
        assert encoder.count_cells() == cells.shape[1]
    assert encoder.encode_nothing().features.shape == (0, 8)


def test_patches_have_no_finer_levels_and_windows_do() -> None:
    with pytest.raises(UsageError, match=r"--image-levels 2: the image encoder 'timm:test_vit' has 1\."):
        build_backbone("timm:test_vit", BackboneConfig(160, levels=2))
    both = build_backbone("timm:swin_tiny_patch4_window7_224", BackboneConfig(levels=2)).eval()
    with torch.inference_mode():
        vectors, maps = both.run(torch.zeros(1, 3, 224, 224, dtype=torch.uint8))
    assert vectors.shape == (1, 384 + 768) and maps.shape == (1, 384 + 768, 7, 7)


def test_positions_are_interpolated_to_another_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "vit.safetensors")
    name = f"timm:test_vit={tmp_path / 'vit.safetensors'}"
    assert find_image_size(name) == 160
    own, larger = (load_image_encoder(name, width=8, size=size, dropout=0.0).eval() for size in (160, 192))
    positions = [encoder.backbones[0].network.network.pos_embed for encoder in (own, larger)]
    assert [each.shape[1] for each in positions] == [101, 145]
    torch.testing.assert_close(positions[0][:, 0], positions[1][:, 0])
    assert larger(torch.zeros(1, 3, 192, 192, dtype=torch.uint8)).features.shape == (1, 8)


def test_a_size_that_a_network_can_not_be_built_for_names_its_own() -> None:
    with pytest.raises(UsageError, match=r"--image-size 100: .* timm:test_vit .*: use --image-size 160\."):
        build_backbone("timm:test_vit", BackboneConfig(100))


def test_encoders_of_different_sizes_need_one() -> None:
    with pytest.raises(UsageError, match=r"different sizes \(timm:test_vit 160, resnet18 224\): give --image-size"):
        find_image_size("timm:test_vit+resnet18")


def test_a_network_without_a_single_map_gives_vectors_alone() -> None:
    backbone = build_backbone("timm:crossvit_tiny_240", BackboneConfig(240)).eval()
    pixels = torch.zeros(1, 3, 240, 240, dtype=torch.uint8)
    with torch.inference_mode():
        assert backbone.pool(pixels).shape == (1, 288)
        with pytest.raises(UsageError, match="no last map of features"):
            backbone(pixels)


def test_runs_of_before_average_the_last_map() -> None:
    config = ImageEncoderConfig(("timm:test_convnext",), width=8, size=160, dropout=0.0)
    encoder = ImageEncoder(config).eval()
    pixels = torch.randint(0, 256, (1, 3, 160, 160), dtype=torch.uint8)
    torch.testing.assert_close(encoder.extract(pixels), encoder.backbones[0](pixels).mean(dim=(2, 3)))
