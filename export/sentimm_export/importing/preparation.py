"""How a published classifier wants its images: found by trying its own preparation on a few."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from sentimm.errors import InputError
from sentimm.images import decode_image
from sentimm_export.importing.photographs import load_photographs

_MOST_PIXELS = 2_048  # a side of a bundle's images
_SIDE = 256  # of the plain images that are tried
_TOLERANCE = 0.02  # of a grey level's share: preparations round
# Below it, in grey levels on a photograph, two ways of bilinear resizing differ; above it, one of them crops.
_SAME_LEVELS = 2.0

Prepare = Callable[[Image.Image], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Preparation:
    """How pixels become a network's input: `pixel * scale + shift` for each colour.

    Attributes:
        size: the side of the square input in pixels.
        scale, shift: of red, green and blue.
        difference: by how many grey levels our square image of a wide photograph differs on average from its own.
    """

    size: int
    scale: tuple[float, ...]
    shift: tuple[float, ...]
    difference: float

    def describe_difference(self) -> str | None:
        """Return a note on how images are prepared otherwise than by the classifier's own; None: they are not."""
        if self.difference <= _SAME_LEVELS:
            return None
        return (
            "images are squeezed to a square, and the classifier's own preparation crops or resizes them otherwise: on "
            f"a photograph of 640 x 427 pixels by {self.difference:.0f} of 255 grey levels on average; answers to "
            "images that are not square may differ from its own"
        )


def measure_preparation(prepare: Prepare, name: str) -> Preparation:
    """Find out what a preparation does, from what it makes of plain images and of a photograph.

    Args:
        prepare: makes an RGB image the network's input, float32 (3, size, size).
        name: the classifier's, for errors.

    Raises:
        InputError: it makes no square of three colours, pads images, or mixes colours.
    """
    black, white = (_prepare_plain(prepare, (level,) * 3, name) for level in (0, 255))
    scale, shift = (white - black) / 255, black
    for colour in ((128, 128, 128), (255, 0, 64)):
        expected = np.asarray(colour, np.float32) * scale + shift
        if np.abs(_prepare_plain(prepare, colour, name) - expected).max() > _TOLERANCE * np.abs(white - black).max():
            raise InputError(f"The image classifier {name!r} mixes or swaps colours, which a bundle can't: train one.")
    photograph = load_photographs()[0]
    theirs = prepare(photograph)
    size = theirs.shape[1]
    file = io.BytesIO()
    photograph.save(file, "BMP")
    ours = decode_image(file.getvalue(), size).astype(np.float32)
    levels = (theirs - shift[:, None, None]) / scale[:, None, None]
    return Preparation(size, tuple(map(float, scale)), tuple(map(float, shift)), float(np.abs(levels - ours).mean()))


def _prepare_plain(prepare: Prepare, colour: tuple[int, ...], name: str) -> npt.NDArray[np.float32]:
    """Return the three values that a plain image becomes."""
    made = prepare(Image.new("RGB", (_SIDE, _SIDE), colour))
    if made.ndim != 3 or made.shape[0] != 3 or made.shape[1] != made.shape[2] or made.shape[1] > _MOST_PIXELS:
        shape = " x ".join(map(str, made.shape))
        raise InputError(f"The image classifier {name!r} takes images of {shape}, and a bundle square ones in colour.")
    if np.ptp(made.reshape(3, -1), axis=1).max() > 1e-3:
        raise InputError(f"The image classifier {name!r} pads its images, which a bundle can't: train one.")
    return made[:, 0, 0]
