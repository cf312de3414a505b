"""Awkward image files, made by code: what lies in folders of images, and what somebody hostile may put there."""

from __future__ import annotations

import io
import os
import random
import socket
import struct
import unicodedata
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tif"}
GOOD, BAD, GONE, EITHER = "ok", "image_unreadable", "image_missing", "either"


def encode(file_format: str, size: tuple[int, int] = (60, 40), seed: int = 0, **options) -> bytes:
    """Encode an image of smooth shapes and noise."""
    width, height = size
    values = np.random.default_rng(seed).normal(128, 30, (height, width, 3))
    values += 60 * np.sin(np.arange(width) / 7)[None, :, None]
    file = io.BytesIO()
    Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(file, file_format, **options)
    return file.getvalue()


def claim_size(file_format: str, side: int) -> bytes:
    """Make an image file of a few hundred bytes that says it is so large."""
    content = bytearray(encode(file_format, (8, 8)))
    if file_format == "PNG":
        header = content.index(b"IHDR")
        content[header + 4 : header + 12] = struct.pack(">II", side, side)
        content[header + 17 : header + 21] = struct.pack(">I", zlib.crc32(content[header : header + 17]))
    elif file_format == "GIF":
        content[6:10] = struct.pack("<HH", side, side)
    elif file_format == "BMP":
        content[18:26] = struct.pack("<ii", side, side)
    elif file_format == "JPEG":
        frame = content.index(b"\xff\xc0")
        content[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    else:
        (start,) = struct.unpack_from("<I", content, 4)
        (entries,) = struct.unpack_from("<H", content, start)
        for entry in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind = struct.unpack_from("<HH", content, entry)
            if tag in (256, 257):
                struct.pack_into("<I" if kind == 4 else "<H", content, entry + 8, side)
    return bytes(content)


def make_chunk(name: bytes, data: bytes) -> bytes:
    """Make a chunk of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def make_text_bomb() -> bytes:
    """Make a PNG whose comment unfolds to 200 MB."""
    png = encode("PNG")
    end = png.index(b"IDAT") - 4
    return png[:end] + make_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200 << 20), 9)) + png[end:]


def add_metadata(jpeg: bytes, megabytes: int) -> bytes:
    """Put so much metadata into a JPEG file."""
    segment = b"\xff\xe3" + struct.pack(">H", 65_000) + b"m" * 64_998
    return jpeg[:2] + segment * (megabytes * 1_000_000 // len(segment)) + jpeg[2:]


def list_damaged(file_format: str) -> dict[str, bytes]:
    """Make truncated files, at every twentieth of their length, and files with a few bits flipped."""
    whole = encode(file_format)
    files = {f"cut-{step}": whole[: len(whole) * step // 20] for step in range(20)}
    for seed in range(20):
        content, chance = bytearray(whole), random.Random(seed)
        for _ in range(chance.randint(1, 12)):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        files[f"flip-{seed}"] = bytes(content)
    return files


def make_folder(folder: Path) -> dict[str, str]:
    """Make a folder of awkward images; gives for each name that a table may hold what its status is to be."""
    folder.mkdir()
    expected: dict[str, str] = {}

    def add(name: str, content: bytes, status: str) -> None:
        (folder / name).write_bytes(content)
        expected[name] = status

    for file_format, suffix in FORMATS.items():
        add(f"whole.{suffix}", encode(file_format), GOOD)
        add(f"dot.{suffix}", encode(file_format, (1, 1)), GOOD)
        add(f"line.{suffix}", encode(file_format, (3000, 1)), GOOD)
        add(f"{suffix}-as.{'png' if suffix == 'jpg' else 'jpg'}", encode(file_format), GOOD)
        for name, content in list_damaged(file_format).items():
            add(f"{name}.{suffix}", content, BAD if name == "cut-0" else EITHER)
        if file_format != "WEBP":  # which can't say so
            add(f"bomb.{suffix}", claim_size(file_format, 60_000), BAD)
    frames = [Image.new("RGB", (30, 20), color) for color in ("red", "green", "blue")]
    for file_format in ("GIF", "PNG", "WEBP", "TIFF"):
        file = io.BytesIO()
        frames[0].save(file, file_format, save_all=True, append_images=frames[1:])
        add(f"animated.{FORMATS[file_format]}", file.getvalue(), GOOD)
    add("zeros.jpg", bytes(10_000), BAD)
    add("text-bomb.png", make_text_bomb(), BAD)
    add("metadata.jpg", add_metadata(encode("JPEG"), 40), GOOD)
    add("vector.svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", BAD)
    add("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), BAD)
    add("script.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(ran) print\n", BAD)
    add("icon.png", encode("ICO", (16, 16)), BAD)
    add("page.jpg", b"<!doctype html><title>404</title>", BAD)
    with (folder / "huge.jpg").open("wb") as file:
        file.write(encode("JPEG"))
        file.truncate(400 << 20)  # mostly a hole: it takes no room
    expected["huge.jpg"] = BAD

    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(folder)  # the path of a socket must be short
        try:
            listener.bind("socket.jpg")
        finally:
            os.chdir(here)
    (folder.parent / "secret.jpg").write_bytes(encode("JPEG"))
    for name, target in {
        "zero.jpg": "/dev/zero",
        "random.jpg": "/dev/urandom",
        "terminal.jpg": "/dev/tty",
        "nowhere.jpg": "nothing.jpg",
        "loop.jpg": "loop.jpg",
        "out.jpg": "../secret.jpg",
        "to-pipe.jpg": "pipe.jpg",
        "to-folder.jpg": "folder.jpg",
    }.items():
        (folder / name).symlink_to(target)
        expected[name] = GONE
    (folder / "inside.jpg").symlink_to("whole.jpg")
    expected |= {"inside.jpg": GOOD, f"{folder}/whole.jpg": GOOD}
    expected |= dict.fromkeys(
        ["folder.jpg", "pipe.jpg", "socket.jpg", "../secret.jpg", f"{folder.parent}/secret.jpg", "x/../whole.jpg"], GONE
    )
    expected |= dict.fromkeys(["/etc/passwd", "whole.jpg/", "a" * 5000 + ".jpg", "nul\0.jpg"], GONE)

    (folder / "Case.jpg").write_bytes(encode("JPEG"))
    expected |= {"Case.JPG": GOOD, "Case.Jpg": EITHER, "case.jpg": EITHER}  # as the file system sees it
    composed = unicodedata.normalize("NFC", "café-né.jpg")
    (folder / unicodedata.normalize("NFD", composed)).write_bytes(encode("JPEG"))
    expected[composed] = GOOD
    (folder / unicodedata.normalize("NFC", "Zoë.jpg")).write_bytes(encode("JPEG"))
    expected[unicodedata.normalize("NFD", "Zoë.jpg")] = GOOD
    for name in (
        "two\nlines.jpg",
        'quo"te.jpg',
        "-rf.jpg",
        "comma,.jpg",
        "日本.jpg",
        "\u202egpj.exe.jpg",
        "n" * 200 + ".jpg",
    ):
        add(name, encode("JPEG"), GOOD)
    Path(os.fsdecode(os.fsencode(folder) + b"/latin-\xe9.jpg")).write_bytes(encode("JPEG"))
    expected["latin-é.jpg"] = GONE
    return expected
