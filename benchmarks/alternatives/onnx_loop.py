"""ONNX Runtime with its defaults, in fp32, in a for-loop."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from corpus import BATCH, Corpus, Floats, Photos
from tokenizers import Tokenizer

from sentimm.bundle.bundle import load_bundle


def score_with_onnx(corpus: Corpus, bundle_path: Path) -> tuple[Floats, float]:
    """Score with ONNX Runtime with its defaults, a batch of posts at a time."""
    bundle = load_bundle(bundle_path)
    assert bundle.text is not None and bundle.image is not None
    sessions = {
        part: ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for part, path in bundle.graphs["fp32"].items()
    }
    tokenizer = Tokenizer.from_file(str(bundle.text.tokenizer))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(bundle.text.max_tokens)
    photos = Photos(corpus.images, bundle.image.size)
    began, parts = time.perf_counter(), []
    for start in range(0, len(corpus), BATCH):
        encodings = tokenizer.encode_batch(corpus.texts[start : start + BATCH])
        ids = np.array([encoding.ids for encoding in encodings], np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
        pixels = np.stack([photos[place].numpy() for place in range(start, start + len(ids))])
        index = np.arange(len(ids))
        (text,) = sessions["text"].run(["text_features"], {"input_ids": ids, "attention_mask": mask})
        (image,) = sessions["image"].run(["image_features"], {"pixels": pixels})
        feed = {"text_features": text, "image_features": image, "text_index": index, "image_index": index}
        (scores,) = sessions["fusion"].run(["scores"], feed)
        parts.append(torch.from_numpy(scores).softmax(dim=1).numpy())
    return np.concatenate(parts), time.perf_counter() - began
