"""The trained model that the alternatives score with, and the paper's with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpus import LABELS
from transformers import BertConfig, PreTrainedTokenizerFast

from sentimm.models.fusions import FusionConfig
from sentimm.models.image_encoder import ImageEncoder, ImageEncoderConfig
from sentimm.models.sentiment_model import SentimentModel
from sentimm.models.text_encoder import TextEncoder, TextEncoderConfig
from sentimm.training.run_folder import open_run


def load_tokenizer(run: Path) -> PreTrainedTokenizerFast:
    """Load a run's tokenizer as transformers has it."""
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    return PreTrainedTokenizerFast(tokenizer_file=str(run / "tokenizer.json"), **names)


def load_model(run: Path) -> SentimentModel:
    """Load a run's model."""
    return use_fused_attention(open_run(run).build_model("last").eval())


def use_fused_attention(model: SentimentModel) -> SentimentModel:
    """Take the attention that transformers takes by default; sentimm builds its encoders with another, for export."""
    assert model.text is not None
    model.text.backbone.set_attn_implementation("sdpa")  # type: ignore[operator]
    return model


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], longest: int) -> Any:
    """Tokenise and pad a batch."""
    return tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")


def build_paper() -> SentimentModel:
    """Build the paper's system with random weights: BERT-base, ResNet-50, OTE."""
    bert = BertConfig()
    text = TextEncoderConfig("bert-base", bert.to_dict(), bert.hidden_size, "cls", 128, 0.1)
    image = ImageEncoderConfig(("resnet50",), bert.hidden_size, 224, 0.1)
    fusion = FusionConfig("ote", bert.hidden_size)
    return use_fused_attention(SentimentModel(fusion, LABELS, TextEncoder(text), ImageEncoder(image)).eval())
