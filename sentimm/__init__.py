"""sentimm labels social-media posts, text and image together; see README.md.

Importing this package is cheap: what needs polars or ONNX Runtime is loaded on first use.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# ONNX Runtime would keep an id of this machine and events for its makers: nothing of a job is anyone's business.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = ["Scorer", "__version__", "load_bundle"]

if TYPE_CHECKING:
    from sentimm.bundle.bundle import load_bundle
    from sentimm.scoring.scorer import Scorer


def __getattr__(name: str) -> Any:
    if name == "Scorer":
        from sentimm.scoring.scorer import Scorer

        return Scorer
    if name == "load_bundle":
        from sentimm.bundle.bundle import load_bundle

        return load_bundle
    raise AttributeError(f"module 'sentimm' has no attribute {name!r}")
