"""Time image decoders on a folder of photographs, from file bytes to uint8 (size, size, 3), one core, in turn.

pip install simplejpeg opencv-python-headless
python benchmarks/decoders.py DATA/mvsa_single/images --images 400
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import cykooz_resizer as resizer
import numpy as np
import simplejpeg
from PIL import Image

from sentimm.images import decode_image

ROUNDS = 3


def decode_with_pillow(data: bytes, size: int) -> None:
    """Decode at full scale."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0))


def decode_with_draft(data: bytes, size: int) -> None:
    """Decode at a reduced scale where that is large enough, and resize with Pillow."""
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (size, size))
    np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0))


def decode_with_simplejpeg(data: bytes, size: int) -> None:
    """Decode at the smallest of JPEG's scales that is large enough, and resize with Pillow."""
    pixels = simplejpeg.decode_jpeg(data, min_height=size, min_width=size, min_factor=1)
    np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0))


def decode_with_simplejpeg_and_resizer(data: bytes, size: int) -> None:
    """Decode as `decode_with_simplejpeg`, and resize as sentimm does."""
    pixels = simplejpeg.decode_jpeg(data, colorspace="RGBA", min_height=size, min_width=size, min_factor=1)
    kind = resizer.PixelType.U8x4
    given = resizer.ImageData(pixels.shape[1], pixels.shape[0], kind, pixels.tobytes())
    made = resizer.ImageData(size, size, kind)
    bilinear = resizer.ResizeAlg.convolution(resizer.FilterType.bilinear)
    resizer.Resizer().resize(given, made, resizer.ResizeOptions(bilinear, use_alpha=False))
    made.get_buffer()


def decode_with_opencv(data: bytes, size: int) -> None:
    """Decode at full scale and resize by areas, OpenCV's way of antialiasing."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


DECODERS: dict[str, Callable[[bytes, int], object]] = {
    "sentimm (Pillow with draft, cykooz_resizer)": decode_image,
    "Pillow with draft": decode_with_draft,
    "simplejpeg, scaled": decode_with_simplejpeg,
    "simplejpeg, scaled, cykooz_resizer": decode_with_simplejpeg_and_resizer,
    "OpenCV": decode_with_opencv,
    "Pillow at full scale": decode_with_pillow,
}


def main() -> None:
    """Print each decoder's best images/s of several rounds."""
    parser = argparse.ArgumentParser(description="Time image decoders.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--size", type=int, default=224)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    # simplejpeg reads nothing but JPEG.
    files = [path.read_bytes() for path in sorted(arguments.folder.glob("*.jpg"))]
    files = [data for data in files if data.startswith(b"\xff\xd8")][: arguments.images]
    best = dict.fromkeys(DECODERS, float("inf"))
    for _ in range(ROUNDS):
        for name, decode in DECODERS.items():
            started = time.perf_counter()
            for data in files:
                decode(data, arguments.size)
            best[name] = min(best[name], time.perf_counter() - started)
    for name, seconds in best.items():
        print(f"{name}: {len(files) / seconds:.0f} images/s")


if __name__ == "__main__":
    main()
