"""Posts to look at: typical of each label, those that the model is least sure of, and text against image."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
import polars as pl

from sentimm.findings.designs import Design
from sentimm.findings.options import ReportOptions
from sentimm.findings.sampling import read_contents
from sentimm.findings.scored import ScoredPosts
from sentimm.findings.sheets.rows import make_thumbnail
from sentimm.findings.statistics.strata import measure_uncertainty

_TYPICAL, _UNSURE, _OPPOSED = 5, 8, 6  # posts of each kind that are shown
_LEAST_CONFLICT = 0.4
_MOST_PICTURES = 60


@dataclass(frozen=True)
class ShownPost:
    """A post on the page.

    Attributes:
        text: as it is; None: no text.
        picture: a small JPEG in base 64; None: no image.
        label, confidence: the model's.
        stands_for: posts of the corpus that it was drawn for.
    """

    text: str | None
    picture: str | None
    label: str
    confidence: float
    stands_for: int


def choose_posts(scored: ScoredPosts, design: Design, options: ReportOptions) -> dict[str, list[ShownPost]]:
    """Return posts by heading, of those that were drawn: each stands for many others."""
    posts = design.posts
    p = posts.select(f"p_{label}" for label in scored.labels).to_numpy()
    predicted, unsure = p.argmax(axis=1), measure_uncertainty(p)
    stratum = posts["stratum"].to_numpy()
    weights = design.frame.sizes[stratum] / design.drawn[stratum]
    chosen: dict[str, list[int]] = {}
    for number, label in enumerate(scored.labels):
        alike = np.flatnonzero(predicted == number)
        chosen[f"Typical of {label}"] = alike[np.argsort(-p[alike, number], kind="stable")][:_TYPICAL].tolist()
    chosen["Least sure"] = np.argsort(-unsure, kind="stable")[:_UNSURE].tolist()
    if (conflict := _read_conflict(scored, posts)) is not None:
        order = np.argsort(-conflict, kind="stable")
        chosen["Text against image"] = [row for row in order.tolist() if conflict[row] >= _LEAST_CONFLICT][:_OPPOSED]
    rows = sorted({row for own in chosen.values() for row in own})
    shown = _read_posts(scored, posts[rows], options)
    found = {}
    for heading, own in chosen.items():
        entries, seen = [], set()
        for row in own:
            text, picture = shown[rows.index(row)]
            if (text, picture) in seen:  # a retweet
                continue
            seen.add((text, picture))
            label = scored.labels[predicted[row]]
            entries.append(ShownPost(text, picture, label, float(p[row].max()), round(float(weights[row]))))
        if entries:
            found[heading] = entries
    return found


def _read_conflict(scored: ScoredPosts, posts: pl.DataFrame) -> np.ndarray | None:
    name = f"{scored.prefix}conflict"
    if name not in scored.columns:
        return None
    found = scored.take(posts["place"].to_numpy(), [name]).frame.collect()
    return np.asarray(found[name].fill_null(0.0).fill_nan(0.0).to_numpy())


def _read_posts(
    scored: ScoredPosts, posts: pl.DataFrame, options: ReportOptions
) -> list[tuple[str | None, str | None]]:
    """Return the text and the small picture of each post, in order."""
    places = posts["place"].to_numpy()
    texts, images = read_contents(scored, places, options.images, options.text_column, options.image_column)
    shown: list[tuple[str | None, str | None]] = []
    pictures = 0
    for text, image in zip(texts, images, strict=True):
        content = None if image is None or pictures >= _MOST_PICTURES else make_thumbnail(image)
        pictures += content is not None
        shown.append((text, None if content is None else base64.b64encode(content).decode()))
    return shown
