"""Photographs that are always there: those that come with scikit-learn and matplotlib, and pieces of them."""

from __future__ import annotations

import io
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from sentimm.images import decode_image

_LEAST_SHARE = 0.3  # of the shorter side that a piece has


@cache
def load_photographs() -> tuple[Image.Image, ...]:
    """Load the photographs: the first is 640 x 427 pixels."""
    import matplotlib

    china, flower = (resources.files("sklearn.datasets.images") / name for name in ("china.jpg", "flower.jpg"))
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    files = (china.read_bytes(), flower.read_bytes(), hopper.read_bytes())
    return tuple(Image.open(io.BytesIO(file)).convert("RGB") for file in files)


def cut_pieces(count: int, size: int) -> list[npt.NDArray[np.uint8]]:
    """Cut pieces out of the photographs, uint8 (3, size, size) each, some of them mirrored; always the same ones."""
    rng = np.random.default_rng(0)
    pieces = []
    for number in range(count):
        photograph = load_photographs()[number % len(load_photographs())]
        width, height = (int(side * rng.uniform(_LEAST_SHARE, 1)) for side in photograph.size)
        left = int(rng.integers(photograph.width - width + 1))
        top = int(rng.integers(photograph.height - height + 1))
        file = io.BytesIO()
        photograph.crop((left, top, left + width, top + height)).save(file, "BMP")
        piece = decode_image(file.getvalue(), size)
        pieces.append(np.ascontiguousarray(piece[:, :, ::-1]) if rng.random() < 0.5 else piece)
    return pieces
