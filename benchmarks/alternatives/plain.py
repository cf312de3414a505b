"""PyTorch as people write it: batches in the order of the table, images from a DataLoader."""

from __future__ import annotations

import time

import numpy as np
import torch
from corpus import BATCH, Corpus, Floats, Photos
from models import tokenize
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from sentimm.models.sentiment_model import SentimentModel

WORKERS = 2


def score_plainly(corpus: Corpus, model: SentimentModel, tokenizer: PreTrainedTokenizerFast) -> tuple[Floats, float]:
    """Score in the order of the table, a batch of texts and images at a time."""
    assert model.text is not None and model.image is not None
    photos = DataLoader(Photos(corpus.images, model.image.config.size), batch_size=BATCH, num_workers=WORKERS)
    began, parts = time.perf_counter(), []
    with torch.inference_mode():
        for number, pixels in enumerate(photos):
            texts = corpus.texts[number * BATCH : (number + 1) * BATCH]
            tokens = tokenize(tokenizer, texts, model.text.config.max_tokens)
            index = torch.arange(len(texts))
            scores = model.fuse(
                model.text(tokens["input_ids"], tokens["attention_mask"]), model.image(pixels), index, index
            )
            parts.append(scores.scores.softmax(dim=1).numpy())
    return np.concatenate(parts), time.perf_counter() - began
