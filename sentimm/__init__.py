"""sentimm labels social-media posts, text and image together; see README.md.

Importing this package is cheap: what needs polars or ONNX Runtime is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Scorer", "__version__", "load_bundle"]

if TYPE_CHECKING:
    from sentimm.bundle import load_bundle
    from sentimm.scoring.scorer import Scorer


def __getattr__(name: str) -> Any:
    if name == "Scorer":
        from sentimm.scoring.scorer import Scorer

        return Scorer
    if name == "load_bundle":
        from sentimm.bundle import load_bundle

        return load_bundle
    raise AttributeError(f"module 'sentimm' has no attribute {name!r}")
