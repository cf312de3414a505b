"""What the commands for making models need besides what scoring needs."""

from __future__ import annotations

from importlib.util import find_spec

from sentimm.errors import MissingExtraError

_TRAIN = ("torch", "torchvision", "accelerate", "transformers", "timm", "safetensors", "onnx", "onnxscript", "sklearn")


def require_train(command: str) -> None:
    """Check that the extra `train` is installed, without importing it.

    Raises:
        MissingExtraError: a package is not there.
    """
    missing = [package for package in _TRAIN if find_spec(package) is None]
    if missing:
        raise MissingExtraError(
            f"`sentimm {command}` needs {', '.join(missing)}, which scoring does without: pip install 'sentimm[train]'"
        )
