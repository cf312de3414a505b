"""Compare image encoders: what their frozen features know of the labels, and how fast they run in int8.

The probe is a logistic regression on the pooled features, five-fold cross-validation, folds grouped by text.

python benchmarks/image_encoders.py DATA/mvsa_single/train.csv --images DATA/mvsa_single/images \
    timm:tf_efficientnet_lite2=WORK/weights/efficientnet_lite2.safetensors \
    resnet50-half=WORK/weights/resnet50_half.safetensors --levels 1 2
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import torch
from onnxruntime import InferenceSession
from sentimm_export.graphs import write_graphs
from sentimm_export.int8.precision import quantize_convolutions
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sentimm.models.fusions import FusionConfig
from sentimm.models.image_encoder import ImageEncoder, load_image_encoder
from sentimm.models.sentiment_model import SentimentModel
from sentimm.training.data.posts import LabelledPosts, decode_images
from sentimm.training.data.tables import load_posts
from sentimm.training.options import TrainOptions

SIZE = 224
BATCH = 8
ROUNDS = 3


def extract_features(encoder: ImageEncoder, posts: LabelledPosts) -> np.ndarray:
    """Run the backbones over all distinct images: float32 (images, channels)."""
    parts = []
    with torch.inference_mode(), ThreadPoolExecutor() as pool:
        for start in range(0, len(posts.images), BATCH):
            pixels = decode_images(posts.images[start : start + BATCH], SIZE, pool)
            parts.append(encoder.extract(torch.from_numpy(pixels)).numpy())
    return np.concatenate(parts)


def probe(features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float:
    """Return the accuracy of a linear classifier on posts that it has not seen."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=3e-4, max_iter=500))
    found = cross_val_predict(classifier, features, labels, groups=groups, cv=GroupKFold(5))
    return float((found == labels).mean())


def measure_speed(encoder: ImageEncoder, pixels: np.ndarray) -> float:
    """Return images/s of the int8 graph in batches, without decoding, the best of several rounds."""
    model = SentimentModel(FusionConfig("resnet", encoder.config.width), 3, None, encoder)
    batches = [{"pixels": pixels[start : start + BATCH]} for start in range(0, len(pixels), BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "image.int8.onnx"
        quantize_convolutions(write_graphs(model, Path(folder))["image"], target, batches[:12])
        session = InferenceSession(target, providers=["CPUExecutionProvider"])
        best = float("inf")
        for _ in range(ROUNDS):
            started = time.perf_counter()
            for batch in batches:
                session.run(None, batch)
            best = min(best, time.perf_counter() - started)
    return len(pixels) / best


def main() -> None:
    """Print a line for each encoder."""
    parser = argparse.ArgumentParser(description="Compare image encoders.")
    parser.add_argument("table")
    parser.add_argument("encoders", nargs="+", help="as --image-encoder of `sentimm train` takes them")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--levels", type=int, nargs="+", default=[1], help="as --image-levels")
    arguments = parser.parse_args()
    posts = load_posts([arguments.table], TrainOptions(inputs=(), images=arguments.images), ("text", "image"), SIZE)
    posts = posts.select(np.flatnonzero(posts.image >= 0))
    with ThreadPoolExecutor() as pool:
        pixels = decode_images(posts.images[:192], SIZE, pool)
    for name, levels in product(arguments.encoders, arguments.levels):
        encoder = load_image_encoder(name, width=384, size=SIZE, dropout=0.0, levels=levels).eval()
        features = extract_features(encoder, posts)[posts.image]
        figures = ", ".join(
            f"{label} {probe(features[kept], labels[kept], posts.text[kept]):.1%}"
            for label, labels in (("merged label", posts.label), ("image label", posts.image_label))
            if (kept := labels >= 0).any()
        )
        parameters = sum(parameter.numel() for parameter in encoder.backbones.parameters()) / 1e6
        speed = measure_speed(encoder, pixels)
        print(f"{name}, levels {levels}: {parameters:.1f} M, {figures}, {speed:.0f} images/s", flush=True)


if __name__ == "__main__":
    main()
