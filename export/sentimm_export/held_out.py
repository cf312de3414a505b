"""Held-out posts: a bundle's metrics on them, and the temperatures that calibrate its probabilities."""

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
from sentimm.training.data.stored_posts import StoredPosts
from sentimm_export.parity import score_posts

# A temperature over 50 posts has a standard error of some 15%; over fewer it does more harm than good.
MIN_POSTS = 50
_BATCH = 32
_TINY = 1e-30  # below it a probability has no logarithm in float32

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class HeldOutResult:
    """The metrics and the temperature of one kind of post; `calibration` is None below 50 posts."""

    report: Report
    calibration: Calibration | None


def measure_held_out(bundle: Bundle, posts: StoredPosts) -> dict[str, HeldOutResult]:
    """Measure the answers to each kind of post that the model reads, in its best precision, and fit temperatures.

    A post with text and image is also scored with one side alone, and that answer compared with the label of that side
    where a head gives it, else with the post's. The temperatures of `bundle` must be 1.

    Returns:
        the results by kind (`text+image`, `text`, `image`), of those with labelled posts.
    """
    engine = Engine(bundle, device="cpu", precision=_choose_precision(bundle), batch_size=_BATCH)
    results = {}
    for kind in bundle.temperatures:
        shown, true = _restrict(posts, kind, bundle)
        rows = np.flatnonzero(true >= 0)
        if not len(rows):
            continue
        probabilities = score_posts(engine, _select(shown, rows))
        scores = np.log(np.maximum(probabilities, _TINY))
        results[kind] = HeldOutResult(
            measure_probabilities(true[rows], probabilities, bundle.labels),
            calibrate(scores, true[rows]) if len(rows) >= MIN_POSTS else None,
        )
    return results


def describe_results(results: Mapping[str, HeldOutResult], bundle: Bundle) -> dict[str, Any]:
    """Return the metrics of bundle.json: `held_out` and `calibration`, by kind of post.

    `<figure>_95` is the interval that holds 95% of the bootstrap samples.
    """
    figures: dict[str, Any] = {"precision": _choose_precision(bundle)}
    for kind, each in results.items():
        figures[kind] = {"posts": each.report.posts}
        for name in ("accuracy", "macro_f1", "macro_recall"):
            interval: Interval = getattr(each.report, name)
            figures[kind] |= {name: interval.value, f"{name}_95": [interval.low, interval.high]}
    fitted = {kind: asdict(each.calibration) for kind, each in results.items() if each.calibration is not None}
    fields = {"held_out": figures, "calibration": fitted}
    return {name: _round(each) for name, each in fields.items() if each}


def list_temperatures(results: Mapping[str, HeldOutResult]) -> dict[str, float]:
    """Return the fitted temperatures by kind of post."""
    return {
        kind: round(each.calibration.temperature, 4) for kind, each in results.items() if each.calibration is not None
    }


def list_unfitted(bundle: Bundle, results: Mapping[str, HeldOutResult]) -> list[str]:
    """Return a note on each kind of post that keeps the temperature 1."""
    return [
        f"the temperature of {kind} posts stays 1: the run has fewer than {MIN_POSTS} labelled held-out ones"
        for kind in bundle.temperatures
        if kind not in list_temperatures(results)
    ]


def _round(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _round(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_round(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value


def _choose_precision(bundle: Bundle) -> Precision:
    """Return fp32 where the bundle has it, else fp16, else int8."""
    return next(precision for precision in reversed(PRECISIONS) if precision in bundle.precisions)


def _restrict(posts: StoredPosts, kind: str, bundle: Bundle) -> tuple[StoredPosts, Int64Array]:
    """Return the posts with the modalities of `kind` alone, and their true labels, int64 (posts,) or -1."""
    has_text = np.fromiter(map(bool, posts.texts), bool, len(posts.texts))
    has_image = np.fromiter((image is not None for image in posts.images), bool, len(posts.images))
    if kind == "text+image":
        return posts, np.where(has_text & has_image, posts.labels, -1)
    if kind == "text":
        shown, has, other, own = replace(posts, images=(None,) * len(has_text)), has_text, has_image, posts.text_labels
    else:
        shown, has, other, own = replace(posts, texts=("",) * len(has_text)), has_image, has_text, posts.image_labels
    own = np.where(other, own, posts.labels) if kind in bundle.fusion.heads else posts.labels
    return shown, np.where(has, own, -1)


def _select(posts: StoredPosts, rows: Int64Array) -> StoredPosts:
    return StoredPosts(
        tuple(posts.texts[row] for row in rows),
        tuple(posts.images[row] for row in rows),
        posts.labels[rows],
        posts.text_labels[rows],
        posts.image_labels[rows],
    )
