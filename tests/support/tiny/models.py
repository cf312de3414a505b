"""Tiny real encoders, corpora and runs, made on the spot: a BERT of two layers, a small EfficientNet."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from sentimm.training.options import TrainOptions

WORDS = ("good", "bad", "table", "the", "day", "was", "very", "love", "hate", "train", "http", "user", "not", "so", "a")
IMAGE_SIZE = 32
MEANING = {
    "negative": ("bad hate", (200, 30, 30)),
    "neutral": ("table train", (120, 120, 120)),
    "positive": ("good love", (40, 200, 60)),
}


def make_text_encoder(folder: Path) -> Path:
    """Write a folder as transformers does: config.json, model.safetensors, tokenizer.json."""
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "@", "#", "!"]
    tokenizer = Tokenizer(WordPiece({piece: row for row, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def make_image_encoder(folder: Path) -> str:
    """Write random weights of timm's smallest network: the value for --image-encoder."""
    import timm

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    save_file(timm.create_model("test_efficientnet").state_dict(), folder / "tiny.safetensors")
    return f"timm:test_efficientnet={folder / 'tiny.safetensors'}"


def make_options(folder: Path, **changes: Any) -> TrainOptions:
    """Options for a training run of seconds, on a corpus and encoders made in `folder`."""
    options: dict[str, Any] = {
        "inputs": (str(make_corpus(folder / "corpus")),),
        "images": folder / "corpus" / "images",
        "fusion": "native-cat",
        "text_encoder": str(make_text_encoder(folder / "bert")),
        "image_encoder": make_image_encoder(folder / "image"),
        "image_size": IMAGE_SIZE,
        "width": 24,
        "max_tokens": 48,
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "val_fraction": 0.25,
        "device": "cpu",
    }
    return TrainOptions(**(options | changes))


def make_corpus(folder: Path, posts: int = 48, *, seed: int = 0) -> Path:
    """Write posts.csv and images/: labels that words and colours give away, some posts without a text or an image."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / "posts.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "image", "label", "text_label", "image_label"])
        for number in range(posts):
            label = ("negative", "neutral", "positive")[number % 3]
            words, colour = MEANING[label]
            text = " ".join([*rng.choice(WORDS[3:7], 3), words]) + f" {WORDS[number % len(WORDS)]}" * (number % 5)
            image = f"{number}.png"
            if number % 8 == 6:
                text = ""
            if number % 8 == 7:
                image = ""
            else:
                noise = rng.integers(-30, 30, (40, 40, 3))
                pixels = np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / "images" / image)
            views = (label if text else "", label if image else "") if number % 2 else ("", "")
            writer.writerow([number, text, image, label, *views])
    return folder / "posts.csv"
