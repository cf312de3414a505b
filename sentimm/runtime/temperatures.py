"""From a model's scores to probabilities, at the temperature of each post's modalities."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sentimm.options import Modality

Present = Mapping[Modality, npt.NDArray[np.bool_]]  # which posts have the modality, bool (posts,)


def apply_temperatures(
    scores: npt.NDArray[np.float32], present: Present, temperatures: Mapping[str, float]
) -> npt.NDArray[np.float32]:
    """Return the softmax of scores, float32 (posts, labels), divided by a temperature; NaN where nothing is present.

    Args:
        scores: float32 (posts, labels).
        present: which posts have which modality.
        temperatures: by `text+image`, `text` and `image`; 1 where there is none.
    """
    text, image = _split(len(scores), present)
    temperature = np.ones(len(scores), np.float32)
    for name, posts in (("text+image", text & image), ("text", text & ~image), ("image", image & ~text)):
        if name in temperatures:
            temperature[posts] = temperatures[name]
    scored = text | image
    scores = np.where(scored[:, None], scores, 0).astype(np.float32) / temperature[:, None]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: npt.NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    probabilities[~scored] = np.nan
    return probabilities


def is_finite(scores: npt.NDArray[np.float32], present: Present) -> bool:
    """Return whether the scores of all posts with a modality are finite."""
    text, image = _split(len(scores), present)
    return bool(np.isfinite(scores[text | image]).all())


def _split(posts: int, present: Present) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    nothing = np.zeros(posts, np.bool_)
    return present.get("text", nothing), present.get("image", nothing)
