"""Tiny published classifiers with random weights, as `save_pretrained` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.support.tiny.models import make_text_encoder
from tests.support.tiny.text_families import FAMILIES, SHAPE

SENTIMENTS = ("negative", "neutral", "positive")


def make_text_classifier(folder: Path, family: str = "Bert", labels: tuple[str, ...] = SENTIMENTS, **more: Any) -> Path:
    """Write a sequence classifier of a family, with the tokenizer of the tiny BERT, whose answers differ."""
    import transformers

    fields, _ = FAMILIES[family]
    shape = {} if family == "DistilBert" else SHAPE
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: row for row, label in enumerate(labels)}}
    config = getattr(transformers, f"{family}Config")(
        **{"vocab_size": 60, "max_position_embeddings": 50, **shape, **fields, **names, **more}
    )
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForSequenceClassification")(config)
    ids = torch.randint(5, 20, (32, 12))
    ids[:, 0], ids[:, -1] = 2, 3
    if len(labels) > 1:
        spread_answers(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    model.save_pretrained(make_text_encoder(folder))
    return folder


def make_image_classifier(folder: Path, labels: tuple[str, ...] = SENTIMENTS) -> Path:
    """Write a ViT that classifies images, with its processor."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    shape = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    torch.manual_seed(0)
    model = ViTForImageClassification(
        ViTConfig(image_size=32, patch_size=8, id2label=dict(enumerate(labels)), **shape)  # type: ignore[arg-type]
    )
    spread_answers(model, {"pixel_values": torch.rand(32, 3, 32, 32)})
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def spread_answers(model: Any, inputs: dict[str, torch.Tensor]) -> None:
    """Make the answers of random weights to random `inputs` as different as those of trained ones."""
    layers = [part for part in model.modules() if isinstance(part, torch.nn.Linear)]
    last = next(layer for layer in layers if layer.out_features == model.config.num_labels)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and "embed" not in name:
                weight.mul_(2)
        last.weight.mul_(1.5 / model.eval()(**inputs).logits.std(dim=0).mean())
        last.bias.sub_(model(**inputs).logits.mean(dim=0))


def write_image_folder(folder: Path, state: dict[str, torch.Tensor], **fields: Any) -> Path:
    """Write a folder of an image network as timm does: config.json with `fields`, and its tensors."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(fields))
    save_file(state, folder / "model.safetensors")
    return folder
