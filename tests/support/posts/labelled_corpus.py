"""A small labelled corpus with pictures, for the tests of `evaluate`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from sentimm.scoring.scorer import Scorer

WORDS = ("happy day", "awful rain", "coffee in the city", "never again", "love it so much", "the train was late")
LABELS = ("negative", "neutral", "positive")
PIXELS = 64


def draw(path: Path, seed: int, *, side: int = PIXELS) -> None:
    """Write a picture of coarse random fields; the same seed gives the same picture at any side."""
    fields = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(fields).resize((side, side), Image.Resampling.BICUBIC).save(path)


def make_labelled_corpus(folder: Path) -> Path:
    """Make a folder with posts.csv (24 posts: some without image or text, two without a label) and images/."""
    (folder / "images").mkdir()
    rows = []
    for number in range(24):
        if number % 6 != 5:
            draw(folder / "images" / f"{number}.png", number)
        text = "" if number % 6 == 4 else f"{WORDS[number % 6]} {number}"
        rows.append(
            {
                "id": number,
                "text": text,
                "image": "gone.png" if number == 23 else f"{number}.png" if number % 6 != 5 else "",
                "label": "" if number in (3, 9) else LABELS[number % 3],
                "text_label": LABELS[(number + 1) % 3] if text else "",
                "image_label": LABELS[number % 3] if number % 6 != 5 else "",
            }
        )
    pl.DataFrame(rows).write_csv(folder / "posts.csv")
    return folder


@cache
def score_alone(corpus: Path, bundle: Path, modality: str | None) -> pl.DataFrame:
    frame = pl.read_csv(corpus / "posts.csv")
    return Scorer(bundle, device="cpu").score(frame, corpus / "images", only=modality)  # type: ignore[arg-type]
