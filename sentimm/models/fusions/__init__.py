"""The seven fusions of the paper by name; docs/research/models.md has their formulas and our choices."""

from __future__ import annotations

from sentimm.models.fusions.attending import CrossModalAttention, HiddenStateTransformerEncoder
from sentimm.models.fusions.base import Fusion, FusionConfig, ModalityInput
from sentimm.models.fusions.vectors import ImageOnly, NativeCat, NativeCombine, OutputTransformerEncoder, TextOnly

FUSIONS: dict[str, type[Fusion]] = {
    "ote": OutputTransformerEncoder,
    "cmac": CrossModalAttention,
    "hstec": HiddenStateTransformerEncoder,
    "native-cat": NativeCat,
    "native-combine": NativeCombine,
    "bert": TextOnly,
    "resnet": ImageOnly,
}

__all__ = ["FUSIONS", "Fusion", "FusionConfig", "ModalityInput"]
