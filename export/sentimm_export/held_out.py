"""What held-out posts say of a bundle: how good it is, and the temperatures that make its probabilities true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sentimm.bundle.bundle import PRECISIONS, Bundle, Precision
from sentimm.metrics.calibration import Calibration, calibrate
from sentimm.metrics.intervals import Interval
from sentimm.metrics.report import Report, measure_probabilities
from sentimm.runtime.engine import Engine
from sentimm.training.stored_posts import StoredPosts
from sentimm_export.parity import score_posts

# The standard error of a temperature over so many posts is some 15%; over fewer it does more harm than good.
_MIN_POSTS = 50
_BATCH = 32
_TINY = 1e-30  # below it a probability has no logarithm in float32

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Finding:
    """What the held-out posts of one kind say; `calibration` is None where they are fewer than 50."""

    report: Report
    calibration: Calibration | None


def examine_bundle(bundle: Bundle, posts: StoredPosts) -> dict[str, Finding]:
    """Measure the answers to each kind of post that the model reads, with its most exact graphs, and fit temperatures.

    A post with text and image is also asked for one side alone, and that answer held against the label of that side
    where a head gives it, else against the post's. The temperatures that `bundle` has already must be 1.

    Returns:
        what was found, by kind (`text+image`, `text`, `image`), for those that there are labelled posts of.
    """
    engine = Engine(bundle, device="cpu", precision=_choose_precision(bundle), batch_size=_BATCH)
    found = {}
    for kind in bundle.temperatures:
        asked, true = _ask(posts, kind, bundle)
        rows = np.flatnonzero(true >= 0)
        if not len(rows):
            continue
        probabilities = score_posts(engine, _select(asked, rows))
        scores = np.log(np.maximum(probabilities, _TINY))
        found[kind] = Finding(
            measure_probabilities(true[rows], probabilities, bundle.labels),
            calibrate(scores, true[rows]) if len(rows) >= _MIN_POSTS else None,
        )
    return found


def describe_findings(found: Mapping[str, Finding], bundle: Bundle) -> dict[str, Any]:
    """Turn findings into what bundle.json holds among its metrics: `held_out` and `calibration`, by kind of post.

    `<figure>_95` is the interval that holds 95% of the bootstrap samples.
    """
    figures: dict[str, Any] = {"precision": _choose_precision(bundle)}
    for kind, each in found.items():
        figures[kind] = {"posts": each.report.posts}
        for name in ("accuracy", "macro_f1", "macro_recall"):
            interval: Interval = getattr(each.report, name)
            figures[kind] |= {name: interval.value, f"{name}_95": [interval.low, interval.high]}
    fitted = {kind: asdict(each.calibration) for kind, each in found.items() if each.calibration is not None}
    fields = {"held_out": figures, "calibration": fitted}
    return {name: _round(each) for name, each in fields.items() if each}


def list_temperatures(found: Mapping[str, Finding]) -> dict[str, float]:
    """Give the temperatures that were fitted, by kind of post."""
    return {
        kind: round(each.calibration.temperature, 4) for kind, each in found.items() if each.calibration is not None
    }


def list_unfitted(bundle: Bundle, found: Mapping[str, Finding]) -> list[str]:
    """Say which kinds of posts keep the temperature 1."""
    return [
        f"the temperature of {kind} posts stays 1: the run keeps fewer than {_MIN_POSTS} held-out ones with a label"
        for kind in bundle.temperatures
        if kind not in list_temperatures(found)
    ]


def _round(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _round(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_round(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value


def _choose_precision(bundle: Bundle) -> Precision:
    """Choose fp32, else fp16, else int8."""
    return next(precision for precision in reversed(PRECISIONS) if precision in bundle.precisions)


def _ask(posts: StoredPosts, kind: str, bundle: Bundle) -> tuple[StoredPosts, Int64Array]:
    """Leave each post the modalities of `kind`, and give the label that it should then be answered with, or -1."""
    has_text = np.fromiter(map(bool, posts.texts), bool, len(posts.texts))
    has_image = np.fromiter((image is not None for image in posts.images), bool, len(posts.images))
    if kind == "text+image":
        return posts, np.where(has_text & has_image, posts.labels, -1)
    if kind == "text":
        asked, has, other, own = replace(posts, images=(None,) * len(has_text)), has_text, has_image, posts.text_labels
    else:
        asked, has, other, own = replace(posts, texts=("",) * len(has_text)), has_image, has_text, posts.image_labels
    own = np.where(other, own, posts.labels) if kind in bundle.fusion.heads else posts.labels
    return asked, np.where(has, own, -1)


def _select(posts: StoredPosts, rows: Int64Array) -> StoredPosts:
    return StoredPosts(
        tuple(posts.texts[row] for row in rows),
        tuple(posts.images[row] for row in rows),
        posts.labels[rows],
        posts.text_labels[rows],
        posts.image_labels[rows],
    )
