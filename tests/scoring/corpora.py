"""Small corpora for the tests of scoring: every kind of post, good and bad."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from PIL import Image

KINDS = 8  # after as many posts, their kinds repeat


def make_images(folder: Path) -> Path:
    """Make a folder of four images, the fourth of them broken."""
    folder.mkdir()
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
