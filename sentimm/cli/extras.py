"""What some commands need besides what scoring needs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from sentimm.errors import MissingExtraError

# Modules, and the packages that they come in.
_TRAIN = {
    "torch": "torch",
    "torchvision": "torchvision",
    "accelerate": "accelerate",
    "transformers": "transformers",
    "timm": "timm",
    "safetensors": "safetensors",
    "onnxscript": "onnxscript",
    "sklearn": "scikit-learn",
    "scipy": "scipy",
    "matplotlib": "matplotlib",
}
METRICS = {"sklearn": "scikit-learn"}
FIGURES = {"matplotlib": "matplotlib"}
HASHES = {"imagehash": "ImageHash"}


def require_train(command: str) -> None:
    """Check that what training and export need is installed, without importing it.

    Raises:
        MissingExtraError: a package is not there.
    """
    require(f"sentimm {command}", _TRAIN)


def require(what: str, packages: Mapping[str, str]) -> None:
    """Check that `packages` (by module), all of the extra `train`, are installed; `what` needs them.

    Raises:
        MissingExtraError: one is not there.
    """
    missing = [package for module, package in packages.items() if find_spec(module) is None]
    if missing:
        raise MissingExtraError(
            f"`{what}` needs {', '.join(missing)}, which scoring does without: pip install 'sentimm[train]'"
        )
