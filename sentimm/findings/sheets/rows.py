"""What a sheet asks, and what a person answered."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from sentimm.errors import ImageError
from sentimm.images import check_size, read_image
from sentimm.storage import RemoteFile

THUMBNAIL_PIXELS = 240
_QUALITY = 80


@dataclass(frozen=True)
class SheetRow:
    """One content to label: a distinct text and image.

    Attributes:
        sheet_id: tells it in the sheet.
        text: as the post has it; None: no text.
        image: a file, or its content; None: no image, or one that can't be read.
    """

    sheet_id: str
    text: str | None
    image: Path | RemoteFile | bytes | None = None


@dataclass(frozen=True)
class Judgement:
    """What one person said of one content.

    Attributes:
        sheet_id: of the row.
        label: as it is written; None: left blank.
        annotator: who; None: not stated.
        unsure: the person said so.
        comment: theirs.
    """

    sheet_id: str
    label: str | None
    annotator: str | None = None
    unsure: bool = False
    comment: str = ""


def make_thumbnail(image: Path | RemoteFile | bytes, pixels: int = THUMBNAIL_PIXELS) -> bytes | None:
    """Return an image as a small JPEG without metadata (no EXIF, no GPS); None where it can't be read."""
    try:
        content = image if isinstance(image, bytes) else read_image(image)
        check_size(len(content))
        with Image.open(io.BytesIO(content)) as opened:
            opened.draft("RGB", (pixels, pixels))
            upright = ImageOps.exif_transpose(opened)
            flat = Image.new("RGB", upright.size, "white")
            rgba = upright.convert("RGBA")
            flat.paste(rgba, mask=rgba.getchannel("A"))
            flat.thumbnail((pixels, pixels))
    except (ImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    written = io.BytesIO()
    flat.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def list_labels(labels: Sequence[str]) -> str:
    """Return labels for a sentence: `negative, neutral or positive`."""
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} or {labels[-1]}"
