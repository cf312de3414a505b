"""The corpus of a benchmark without one: posts with photographs, of the sizes and with the repeats of MVSA's."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image, ImageFilter

_PHOTOS = ((600, 600), (600, 800), (600, 450), (600, 337), (576, 1024), (600, 400))  # pixels
_SHARES = (97, 69, 60, 35, 18, 16)  # of these sizes
_QUALITY = 85
_GRAIN = 0.2
_WORDS = (4, 18)  # in a text: fewest, most
_REPEATED = 0.02
_SYLLABLES = ("ba", "con", "di", "el", "for", "ga", "in", "lo", "men", "on", "ra", "sti", "tion", "un", "ver", "ya")


def generate_corpus(table: Path, images: Path, posts: int) -> None:
    """Write a table of posts, and their photographs into the new folder `images`; the same every time."""
    images.mkdir()
    chance = random.Random(0)
    words = ["".join(chance.choices(_SYLLABLES, k=chance.randint(1, 3))) for _ in range(500)]
    rows: list[tuple[str, str]] = []
    for number in range(posts):
        if rows and chance.random() < _REPEATED:
            rows.append(chance.choice(rows))
            continue
        name = f"{number}.jpg"
        (images / name).write_bytes(_generate_photo(number, *chance.choices(_PHOTOS, _SHARES)[0]))
        rows.append((" ".join(chance.choices(words, k=chance.randint(*_WORDS))), name))
    pl.DataFrame(rows, schema=["text", "image"], orient="row").write_csv(table)


def _generate_photo(seed: int, width: int, height: int) -> bytes:
    """Return a JPEG of smooth colours with some grain, about as large as a photograph of its size."""
    noise = np.random.default_rng(seed)
    smooth = Image.fromarray(noise.integers(0, 256, (height // 50, width // 50, 3), np.uint8))
    field = smooth.resize((width, height), Image.Resampling.BICUBIC)
    grain = Image.fromarray(noise.integers(0, 256, (height, width, 3), np.uint8)).filter(ImageFilter.GaussianBlur(1))
    content = io.BytesIO()
    Image.blend(field, grain, _GRAIN).save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()
