"""The depth of each weight: of transformers by layer, of timm's networks by block, of ResNets by stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from sentimm.models.depths import list_depths
from sentimm.models.image_encoder import ImageEncoder, ImageEncoderConfig
from sentimm.models.text_encoder import load_text_encoder
from tests.support.tiny.text_families import FAMILIES, make_family


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_by_layer(tmp_path: Path, family: str) -> None:
    folder = make_family(tmp_path / family, family)
    encoder, _ = load_text_encoder(str(folder), width=8, pooling="mean", max_tokens=8, dropout=0, bert_dropout=0)
    depths = list_depths(encoder)
    assert set(depths) == {name for name, _ in encoder.named_parameters() if name.startswith("backbone.")}
    layers = 1 if family == "Albert" else 2  # ALBERT has one layer, which it uses twice
    assert set(depths.values()) == set(range(layers + 1))
    assert all(depth == 0 for name, depth in depths.items() if "word_embeddings" in name or "tok_embeddings" in name)


@pytest.mark.parametrize(
    ("names", "layers"),
    [
        (("resnet18",), 4),
        (("timm:test_vit",), 6),
        (("timm:test_resnet",), 4),
        (("timm:swin_tiny_patch4_window7_224",), 12),
        (("timm:test_vit", "timm:test_efficientnet"), 6),
    ],
)
def test_images_by_block(names: tuple[str, ...], layers: int) -> None:
    size = 224 if "swin" in names[0] else 160
    encoder = ImageEncoder(ImageEncoderConfig(names, width=8, size=size, dropout=0.0, own_pooling=True))
    depths = list_depths(encoder)
    assert set(depths) == {name for name, _ in encoder.named_parameters() if name.startswith("backbones.")}
    assert set(depths.values()) == set(range(layers + 1))
    for number in range(len(names)):
        own = [depth for name, depth in depths.items() if name.startswith(f"backbones.{number}.")]
        assert own[0] == 0 and max(own) > 1
