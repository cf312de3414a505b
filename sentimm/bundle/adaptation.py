"""How a bundle was adapted to other posts: what its answers are corrected by (see `runtime.correction`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sentimm.bundle.manifest import Fields

METHODS = ("prior", "vector", "head")


@dataclass(frozen=True)
class Adaptation:
    """The correction of a model's probabilities: softmax(scale * log p + bias + what the head says of the features).

    Attributes:
        method: of METHODS: `prior`, the bias alone; `vector`, scale and bias; `head`, all three.
        scale, bias: of each label.
        head: the head's weights, little-endian float32 (rows, labels): for the text, then for the image, of what the
            model reads, a row for each number of its features, and one for the constant; None: there is no head.
    """

    method: str
    scale: tuple[float, ...]
    bias: tuple[float, ...]
    head: Path | None = None


def read_adaptation(fields: Fields, files: Fields, labels: int, widths: Sequence[int]) -> Adaptation:
    """Read the field `adaptation` of a manifest, of a model with so many labels and features of these widths.

    Raises:
        BundleError: it is not as it should be.
    """
    method = fields.string("method")
    if method not in METHODS:
        raise fields.error("adaptation.method", f"one of {', '.join(METHODS)}", method)
    head = fields.file("head", files) if method == "head" else None
    if head is not None:
        expected = sum(width + 1 for width in widths) * labels * 4
        size = files.fields(head.name).integer("bytes", 0)
        if size != expected:
            raise fields.error("adaptation.head", f"a file of {expected:,} bytes", size)
    return Adaptation(method, fields.numbers("scale", labels), fields.numbers("bias", labels), head)
