"""What an adapted bundle does to a model's probabilities: computed here alone, to fit it and to use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sentimm.bundle.bundle import Bundle
from sentimm.errors import BundleError
from sentimm.options import Modality

LEAST_P = 1e-6  # whose logarithm is taken

Floats = npt.NDArray[np.float64]
Features = Mapping[Modality, tuple[npt.NDArray[np.floating], npt.NDArray[np.int64]]]


@dataclass(frozen=True)
class Correction:
    """Corrects probabilities: softmax(scale * log p + bias + head(features)).

    Attributes:
        scale, bias: float64 (labels,).
        head: by modality the weights of its features and of the constant, float64 (width + 1, labels).
    """

    scale: Floats
    bias: Floats
    head: Mapping[Modality, Floats] = field(default_factory=dict)

    def apply(self, p: npt.NDArray[np.floating], features: Features) -> npt.NDArray[np.float32]:
        """Return corrected probabilities, float32 (posts, labels); NaN stays.

        Args:
            p: probabilities, (posts, labels).
            features: by modality those of texts or images, (rows, width), and the row of each post, int64 (posts,); the
                number of rows stands for none.
        """
        logits = self.scale * take_logarithm(p) + self.bias
        for modality, weights in self.head.items():
            if modality in features:
                rows, index = features[modality]
                there = index < len(rows)
                logits[there] += rows[index[there]].astype(np.float64) @ weights[:-1] + weights[-1]
        return soften(logits).astype(np.float32)


def load_correction(bundle: Bundle) -> Correction | None:
    """Load the correction of an adapted bundle; None: it is not adapted.

    Raises:
        BundleError: its head has weights that are no numbers.
    """
    adaptation = bundle.adaptation
    if adaptation is None:
        return None
    head: dict[Modality, Floats] = {}
    if adaptation.head is not None:
        rows = np.fromfile(adaptation.head, "<f4").reshape(-1, len(bundle.labels)).astype(np.float64)
        if not np.isfinite(rows).all():
            raise BundleError(f"{adaptation.head} holds weights that are not finite: adapt the model again.")
        for modality in bundle.modalities:
            spec = bundle.text if modality == "text" else bundle.image
            assert spec is not None
            head[modality], rows = rows[: spec.width + 1], rows[spec.width + 1 :]
    return Correction(np.array(adaptation.scale), np.array(adaptation.bias), head)


def take_logarithm(p: npt.NDArray[np.floating]) -> Floats:
    """Return the logarithms of probabilities, float64 of the same shape; those of next to nothing are LEAST_P's."""
    return np.asarray(np.log(np.maximum(p.astype(np.float64), LEAST_P)))


def soften(logits: Floats) -> Floats:
    """Return the softmax of logits, float64 (posts, labels)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
