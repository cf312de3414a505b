"""Small corpora for the tests of scoring: every kind of post, good and bad."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

KINDS = 8  # after as many posts, their kinds repeat


def make_images(folder: Path) -> Path:
    """Make a folder of four images, the fourth of them broken."""
    folder.mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (40, 30 + number), (60 * number, 90, 200 - 60 * number)).save(folder / f"{number}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 not an image")
    return folder


def make_posts(rows: int) -> pl.DataFrame:
    """Make posts: complete, text only, image only, empty, with a broken and with a missing image."""
    texts = ["a good day", "bad rain", None, None, "so sad", "great movie", "good", None]
    images = ["0.png", None, "1.png", None, "broken.jpg", "gone.png", "2.png", "gone.png"]
    return pl.DataFrame(
        {
            "id": [f"{number:04d}" for number in range(rows)],
            "text": [texts[number % KINDS] for number in range(rows)],
            "image": [images[number % KINDS] for number in range(rows)],
            "likes": list(range(rows)),
        },
        schema={"id": pl.String, "text": pl.String, "image": pl.String, "likes": pl.Int64},
    )


STATUSES = ["ok", "ok", "ok", "empty", "image_unreadable", "image_missing", "ok", "image_missing"]
MODALITIES = ["text+image", "text", "image", "none", "text", "text", "text+image", "none"]


def make_large(folder: Path, rows: int, images: int, *, broken_rows: float = 0.0, size: int = 40) -> None:
    """Make posts.csv and images/ in `folder`: every second post has one of so many images, one in twenty is broken.

    `broken_rows` is the share of records that are no rows. The same arguments always make the same posts.
    """
    chance = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    for number in range(images):
        file = folder / "images" / f"{number}.jpg"
        pixels = np.kron(chance.integers(0, 256, (4, 5, 3), np.uint8), np.ones((size // 4, size // 4, 1), np.uint8))
        Image.fromarray(pixels).save(file, quality=85)
        if number % 20 == 0:
            file.write_bytes(file.read_bytes()[: int(chance.integers(2, 300))])
    words = np.array(["good", "bad", "happy", "sad", "the", "a", "day", "movie", "rain", "sun", "love", "never"])
    texts = [" ".join(words[chance.integers(0, len(words), 8)]) + f" {row % 9973}" for row in range(rows)]
    chosen = chance.integers(0, images, rows)
    is_broken = chance.random(rows) < broken_rows
    with (folder / "posts.csv").open("w", encoding="utf-8") as file:
        file.write("id,text,image,likes\n")
        for row, text in enumerate(texts):
            image = f"{chosen[row]}.jpg" if row % 2 else ""
            file.write(f"{row:07d},{text},{image},{row % 100}{',one,two' if is_broken[row] else ''}\n")
