"""Runs that were never trained, with weights that spread the scores: what an exporter needs, in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from sentimm.models.image_encoder import load_image_encoder
from sentimm.models.sentiment_model import FUSIONS, FusionConfig, SentimentModel
from sentimm.models.text_encoder import load_text_encoder
from sentimm.text import NORMALIZATION
from sentimm.training.data.stored_posts import StoredPosts, write_posts
from sentimm.training.run_folder import Run, save_weights
from tests.support.tiny.models import WORDS

WIDTH, LABELS = 24, ("negative", "neutral", "positive")
IMAGE_SIZE = 64  # the tiny encoder's last map has 2 x 2 cells


def make_run(
    folder: Path, encoders: tuple[Path, str], fusion: str, *, literal: bool, levels: int = 1, composed: float = 0.0
) -> Run:
    """Write a run that was never trained, with weights that spread the scores."""
    made, attends = FUSIONS[fusion], FUSIONS[fusion].attends
    text = image = None
    folder.mkdir()
    torch.manual_seed(3)
    if "text" in made.modalities:
        text, tokenizer = load_text_encoder(
            str(encoders[0]), width=WIDTH, pooling="mean", max_tokens=48, dropout=0, bert_dropout=0, sequence=attends
        )
        (folder / "tokenizer.json").write_bytes(tokenizer)
    torch.manual_seed(4)
    if "image" in made.modalities:
        image = load_image_encoder(
            encoders[1], width=WIDTH, size=IMAGE_SIZE, dropout=0, sequence=attends, levels=levels
        )
        # Statistics of BatchNorm, without which random weights give all images alike.
        for module in image.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        with torch.no_grad():
            image.train().extract(torch.from_numpy(make_pixels(16)))
    torch.manual_seed(5)
    heads = ("text", "image") if composed else ()
    config = FusionConfig(fusion, WIDTH, heads, literal=literal, composed=composed, neutral=1)
    model = SentimentModel(config, len(LABELS), text, image)
    for name, parameter in model.named_parameters():
        if name.startswith(("fusion", "text_head", "image_head")) and parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.4)
        elif name.startswith("missing"):
            nn.init.normal_(parameter)
    run = Run(
        path=folder,
        labels=LABELS,
        fusion=model.config,
        text=None if text is None else text.config,
        image=None if image is None else image.config,
        normalization=NORMALIZATION,
        options={},
        provenance={"sentimm": "0", "tables": {}},
    )
    run.write_config()
    save_weights(model, folder / "best.safetensors")
    posts = make_posts(40, made.modalities)
    write_posts(posts, folder / "calibration.parquet")
    write_posts(posts, folder / "held-out.parquet")
    return run


def make_pixels(count: int) -> np.ndarray:
    """Make pictures of all colours and contrasts, uint8 (count, 3, size, size)."""
    rng = np.random.default_rng(0)
    colours, contrasts = rng.integers(0, 256, (count, 3, 1, 1)), rng.integers(5, 120, (count, 1, 1, 1))
    noise = rng.normal(size=(count, 3, IMAGE_SIZE // 8, IMAGE_SIZE // 8)).repeat(8, axis=2).repeat(8, axis=3)
    return np.clip(colours + contrasts * noise, 0, 255).astype(np.uint8)


def make_posts(count: int, modalities: tuple[str, ...]) -> StoredPosts:
    """Make posts of texts and images of all lengths and colours; of two modalities, some posts lack one."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 1 + number % 20)) for number in range(count)]
    lacks_one = len(modalities) == 2
    none = np.full(count, -1)
    return StoredPosts(
        tuple("" if lacks_one and number % 4 == 2 else text for number, text in enumerate(texts)),
        tuple(None if lacks_one and number % 4 == 3 else image for number, image in enumerate(make_pixels(count))),
        np.arange(count) % len(LABELS),
        none,
        none,
    )
