"""Images as the models see them: decoded, upright, RGB on white, resized to a square; in training and scoring alike.

The whole picture is stretched to the square: what lies at the edges counts for sentiment too (words, faces).
Pillow decodes (docs/benchmarks.md compares decoders): it reads all formats. cykooz_resizer resizes, in two fifths
of Pillow's time and to pixels that are off by a grey level here and there; where there is no build of it, Pillow does.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

try:
    import cykooz_resizer as resizer
except ImportError:
    resizer = None

from sentimm.errors import ImageError, ImageMissingError, ImageUnreachableError
from sentimm.image_kinds import FOREIGN_SUFFIXES, HEAD_BYTES, describe_kind, is_avif, is_heic
from sentimm.storage import RemoteFile, read_bytes

# Goes into the names of kept pixels and features: others' differ by a grey level.
RESIZER = "pillow" if resizer is None else "cykooz_resizer"
MAX_FILE_BYTES = 256 << 20
IMAGE_SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".jfif",
    ".avif",
    ".heic",
    ".heif",
)

# Only these decoders are offered a file, whatever its name says; AVIF and HEIC only files that begin like them.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_MAX_PIXELS = 120_000_000  # the bound on what a decompression bomb can take
_MAX_JPEG_PIXELS = 250_000_000  # more than cameras make; only JPEGs can be decoded at a reduced scale
_JPEG_MAGIC = b"\xff\xd8"
_REDUCING_GAP = 3.0  # a picture so many times as large is first made smaller by averaging whole pixels

# Pillow warns of odd metadata and of large images; here an image either decodes or is an ImageError.
warnings.filterwarnings("ignore", module=r"PIL\.")


def decode_image(source: Path | RemoteFile | bytes, size: int) -> npt.NDArray[np.uint8]:
    """Decode an image file (its path or its bytes) to uint8 (3, size, size), RGB.

    The first frame counts, EXIF orientation is applied, transparency is laid on white, 16-bit greys are scaled down.

    Raises:
        ImageError: the file can't be read or is not an image that can be decoded; the message says why.
    """
    data = source if isinstance(source, bytes) else read_image(source)
    try:
        return _resize(_decode(data, size), size)
    except ImageError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged bytes
        raise ImageError(_reason(error, data)) from error


def read_image(path: Path | RemoteFile) -> bytes:
    """Read an image file.

    Raises:
        ImageMissingError: its server says that it is not there.
        ImageUnreachableError: its server does not give it.
        ImageError: it can't be read; the message says why.
    """
    if isinstance(path, RemoteFile):
        return _fetch_image(path)
    try:
        # Of what may have taken a file's place since its folder was listed, a pipe would be waited for.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 (of a descriptor)
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ImageError("is not a regular file")
            head = b""
            if _is_foreign(path.name) or status.st_size > MAX_FILE_BYTES:
                _check_kind(head := file.read(HEAD_BYTES))
            check_size(status.st_size)
            return head + file.read()
    except OSError as error:
        raise ImageError(f"can't be read: {error.strerror or error}") from error


def _fetch_image(image: RemoteFile) -> bytes:
    try:
        if _is_foreign(image.url):  # a video need not be fetched to its end
            _check_kind(read_bytes(image, HEAD_BYTES))
        content = read_bytes(image, MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise ImageMissingError(f"can't be fetched: {error.strerror}") from error
    except PermissionError as error:
        if not image.url.startswith("http"):  # it was listed
            raise ImageUnreachableError(f"can't be fetched: {error.strerror}") from error
        raise ImageMissingError(f"can't be fetched: {error.strerror}") from error
    except OSError as error:
        raise ImageUnreachableError(f"can't be fetched: {error.strerror}") from error
    check_size(len(content))
    return content


def _is_foreign(name: str) -> bool:
    return name.lower().endswith(FOREIGN_SUFFIXES)


def _check_kind(head: bytes) -> None:
    if (kind := describe_kind(head)) is not None:
        raise ImageError(kind)


def check_size(length: int) -> None:
    """Check that an image file of this many bytes may be decoded.

    Raises:
        ImageError: it has more than MAX_FILE_BYTES.
    """
    if length > MAX_FILE_BYTES:
        raise ImageError(f"has {length / 1e6:,.0f} MB, more than the {MAX_FILE_BYTES / 1e6:,.0f} MB allowed")


def to_chw(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Turn an RGB image into a uint8 (3, height, width) array."""
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))


def _resize(image: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """Resize an RGB image to uint8 (3, size, size): bilinear, with antialiasing."""
    if resizer is None:
        return to_chw(image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=_REDUCING_GAP))
    # As Pillow does it.
    across, down = (max(1, int(side / size / _REDUCING_GAP)) for side in image.size)
    box = resizer.CropBox(0, 0, image.width / across, image.height / down)
    if max(across, down) > 1:
        image = image.reduce((across, down))
    # Four bytes for a pixel: what Pillow holds, and what is fastest to resize.
    kind = resizer.PixelType.U8x4
    given = resizer.ImageData(*image.size, kind, image.tobytes("raw", "RGBX"))
    made = resizer.ImageData(size, size, kind)
    bilinear = resizer.ResizeAlg.convolution(resizer.FilterType.bilinear)
    resizer.Resizer().resize(given, made, resizer.ResizeOptions(bilinear, use_alpha=False, crop_box=box))
    pixels = np.frombuffer(made.get_buffer(), np.uint8).reshape(size, size, 4)
    return np.ascontiguousarray(pixels[:, :, :3].transpose(2, 0, 1))


def _decode(data: bytes, size: int) -> Image.Image:
    """Decode an image file to an upright RGB image; a large JPEG to a reduced one, with sides of at least `size`."""
    image = _open(data)
    most = _MAX_JPEG_PIXELS if isinstance(image, JpegImageFile) else _MAX_PIXELS
    _check_pixels(image, most)
    if image.format == "JPEG":
        image.draft("RGB", (size, size))
        _check_pixels(image, _MAX_PIXELS)
    image = ImageOps.exif_transpose(image)
    return _to_rgb(image)


def _open(data: bytes) -> Image.Image:
    """Open an image file, without decoding it."""
    if is_heic(data):
        return _open_heic(data)
    if is_avif(data):
        return _open_avif(data)
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        if not data.startswith(_JPEG_MAGIC):
            raise
    else:
        if image.format != "MPO" or image.width * image.height <= _MAX_PIXELS:
            return image
    # Pillow refuses to open what is so large, and reduces no picture with another one behind it.
    return JpegImageFile(io.BytesIO(data))


def _open_avif(data: bytes) -> Image.Image:
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # many images are decoded at once already, and each thread takes addresses
    return Image.open(io.BytesIO(data), formats=("AVIF",))


def _open_heic(data: bytes) -> Image.Image:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError("is a HEIC photo: pip install 'sentimm[heic]'") from None
    pillow_heif.register_heif_opener(decode_threads=1)
    return Image.open(io.BytesIO(data), formats=("HEIF",))


def _check_pixels(image: Image.Image, most: int) -> None:
    if image.width * image.height > most:
        sides = f"{image.width} x {image.height}"
        raise ImageError(f"has {sides} pixels, more than the {most // 1_000_000} million allowed")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        scale = 257.0 if image.mode.startswith("I;16") or values.max(initial=0) > 255 else 1.0
        image = Image.fromarray(np.clip(values / scale, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.new("RGBA", layer.size, "white")
        image.alpha_composite(layer)
    return image.convert("RGB")


def _reason(error: Exception, data: bytes) -> str:
    if isinstance(error, MemoryError):
        return "takes too much memory to decode"
    if (kind := describe_kind(data)) is not None:
        return kind
    if isinstance(error, UnidentifiedImageError):
        return "is not an image in a format that can be read"
    if isinstance(error, Image.DecompressionBombError):
        return "has too many pixels"
    text = " ".join(str(error).split()) or type(error).__name__
    return f"can't be decoded: {text}"
