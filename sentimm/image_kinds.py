"""What stands in an image's place: kinds of files that are not read as images, told by their first bytes."""

from __future__ import annotations

import codecs
import re

HEAD_BYTES = 4096  # of a file, which say what it is

# Files of these names are no images that can be read, and yet what a post has in place of one.
FOREIGN_SUFFIXES = (
    ".svg",
    ".jxl",
    ".mp4",
    ".m4v",
    ".mov",
    ".webm",
    ".mkv",
    ".avi",
    ".html",
    ".htm",
    ".pdf",
)

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}  # or AVIF
_FAILED = "the download failed"
_CONVERT = "which is not read: convert it to PNG or JPEG"
_VIDEO = "is a video, and only still images are read"
_MAGIC = {
    b"version https://git-lfs": "is a Git LFS pointer, not the image itself: fetch the images with `git lfs pull`",
    b"%PDF-": "is a PDF document, not an image",
    b"\x1a\x45\xdf\xa3": _VIDEO,  # Matroska, WebM
    b"FLV\x01": _VIDEO,
    b"PK\x03\x04": "is a ZIP archive, not an image",
    b"\x1f\x8b": "is compressed with gzip, not an image itself: decompress it",
    b"%!PS": f"is a PostScript drawing, {_CONVERT}",
    b"8BPS": f"is a Photoshop file, {_CONVERT}",
    b"\0\0\1\0": f"is an icon (ICO), {_CONVERT}",
    b"\xff\x0a": f"is a JPEG XL image, {_CONVERT}",
    b"\0\0\0\x0cJXL ": f"is a JPEG XL image, {_CONVERT}",
    b"\0\0\0\x0cjP  ": f"is a JPEG 2000 image, {_CONVERT}",
}
_MOVIE_BOXES = (b"moov", b"mdat", b"wide", b"skip")  # what a QuickTime file may begin with
_ASIDE = re.compile(rb"<!--.*?-->|<\?.*?\?>|<!doctype\s+svg[^>]*>", re.IGNORECASE | re.DOTALL)  # before the first tag
_PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|meta|script)\b", re.IGNORECASE)
_DRAWING = re.compile(rb"<(?:svg:)?svg\b", re.IGNORECASE)
_JSON = re.compile(rb'(?:\{\s*["}]|\[\s*[\[{"\]])')
_SHOWN_CHARS = 60  # of a text


def is_avif(data: bytes) -> bool:
    """Check whether a file is an AVIF image, by its brands."""
    return not _AVIF_BRANDS.isdisjoint(_list_brands(data))


def is_heic(data: bytes) -> bool:
    """Check whether a file is a HEIC photo, by its brands."""
    return not _HEIC_BRANDS.isdisjoint(_list_brands(data)) and not is_avif(data)


def describe_kind(data: bytes) -> str | None:
    """Return what a file is that is no image which can be read, a clause for a person; None where that is unclear.

    Args:
        data: the file, or its first HEAD_BYTES.
    """
    if not data:
        return f"is empty: {_FAILED}"
    head = data[:HEAD_BYTES]
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    if head[4:8] in _MOVIE_BOXES or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return _VIDEO
    if head[4:8] == b"ftyp":
        return None if is_heic(head) or is_avif(head) else _VIDEO
    return _describe_text(head)


def _describe_text(head: bytes) -> str | None:
    if (text := _decode(head)) is None:
        return None
    content = text.encode()
    tag = _ASIDE.sub(b"", content).lstrip()
    if _PAGE.match(tag):
        return f"is a web page: {_FAILED}"
    if _DRAWING.match(tag):
        return f"is an SVG drawing, {_CONVERT}"
    if content.startswith(b"<"):
        return f"is an XML document, such as a server's error: {_FAILED}"
    if _JSON.match(content):
        return f"is JSON, such as a server's error: {_FAILED}"
    shown = " ".join(text.split())
    shown = shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}..."
    return f"is text ({shown!r}): {_FAILED}" if shown else None


def _decode(head: bytes) -> str | None:
    """Return the beginning of a text; None where it is none."""
    encoding = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)  # which may end within a character
    except UnicodeDecodeError:
        return None
    return text.strip() if all(character.isprintable() or character.isspace() for character in text) else None


def _list_brands(data: bytes) -> list[bytes]:
    """List the brands of a file made of boxes, such as MP4, HEIC and AVIF; none where it is no such file."""
    if data[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(data[:4], "big"), len(data), HEAD_BYTES)
    return [data[8:12], *(data[start : start + 4] for start in range(16, end - 3, 4))]
