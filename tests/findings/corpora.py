"""Scored posts for the tests of findings."""

from __future__ import annotations

import numpy as np
import polars as pl

LABELS = ("negative", "neutral", "positive")


def make_scored(posts: int = 2000, seed: int = 0) -> pl.DataFrame:
    """Make posts as `score` writes them, with their true label in `truth`; every fourth text is a retweet."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet((1, 1, 2), posts).astype(np.float32)
    content = np.where(np.arange(posts) % 4 == 3, rng.integers(0, posts, posts), np.arange(posts))
    p = p[content]
    truth = (p.cumsum(axis=1) < rng.random((posts, 1))[content]).sum(axis=1).clip(0, 2)
    return pl.DataFrame(
        {
            "id": np.arange(posts),
            "text": [f"post number {number}" for number in content],
            "party": pl.Series(["red", "green", "blue"])[rng.choice(3, posts, p=[0.5, 0.3, 0.2])],
            "created_at": pl.Series(rng.integers(0, 365, posts)).cast(pl.Int32).cast(pl.Date),
            "likes": rng.integers(0, 100, posts),
            "truth": pl.Series(LABELS)[truth],
            "sentiment": pl.Series(LABELS)[p.argmax(axis=1)],
            "confidence": p.max(axis=1),
            **{f"p_{label}": p[:, k] for k, label in enumerate(LABELS)},
            "modality": "text",
            "status": "ok",
        }
    )


def label_sheet(sheet: pl.DataFrame, scored: pl.DataFrame) -> pl.DataFrame:
    """Fill in the column `label` with the truth."""
    truth = scored.select("text", "truth").unique("text")
    return sheet.join(truth, on="text", how="left", maintain_order="left").with_columns(label="truth").drop("truth")
