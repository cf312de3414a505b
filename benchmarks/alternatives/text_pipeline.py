"""The text-classification pipeline of transformers, on texts alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpus import BATCH, LABELS, Corpus, Floats
from models import load_model
from transformers import BertConfig, BertPreTrainedModel, PreTrainedTokenizerFast, pipeline
from transformers.modeling_outputs import SequenceClassifierOutput


def score_with_pipeline(corpus: Corpus, run: Path, tokenizer: PreTrainedTokenizerFast) -> tuple[Floats, float]:
    """Score texts with transformers' pipeline."""
    model = load_model(run)
    assert model.text is not None and model.text_head is not None

    class BertForSequenceClassification(BertPreTrainedModel):  # type: ignore[misc]
        """The text encoder and its head, as the pipeline takes them."""

        def __init__(self, config: BertConfig) -> None:
            super().__init__(config)
            self.encoder, self.head = model.text, model.text_head

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> SequenceClassifierOutput:
            return SequenceClassifierOutput(logits=self.head(self.encoder(input_ids, attention_mask).features))

    config = BertConfig(**model.text.config.backbone, id2label={n: str(n) for n in range(LABELS)})
    tokenizer.model_max_length = model.text.config.max_tokens
    classify = pipeline(
        "text-classification",
        model=BertForSequenceClassification(config).eval(),
        tokenizer=tokenizer,
        batch_size=BATCH,
        top_k=None,
    )
    began = time.perf_counter()
    answers = classify(corpus.texts, truncation=True)
    seconds = time.perf_counter() - began
    scores = [[found["score"] for found in sorted(answer, key=lambda found: found["label"])] for answer in answers]
    return np.array(scores, np.float32), seconds
