"""Make a large corpus of a small one: every copy of a post distinct, and the same with the repeats left in.

python benchmarks/copies.py DATA/mvsa_single/val.csv --images DATA/mvsa_single/images --rows 8000 -o FOLDER

writes FOLDER/distinct.csv, FOLDER/repeats.csv and FOLDER/images. A copy is made distinct by a comment in the JPEG and a
word in the text, so that nothing is saved by encoding repeats once. The table has the columns `text` and `image`.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

START_OF_IMAGE = b"\xff\xd8"
COMMENT = b"\xff\xfe"


def add_comment(jpeg: bytes, comment: str) -> bytes:
    """Put a comment right behind the start of a JPEG."""
    if not jpeg.startswith(START_OF_IMAGE):
        raise SystemExit("an image is not a JPEG: choose a table of JPEGs")
    content = comment.encode()
    return START_OF_IMAGE + COMMENT + (len(content) + 2).to_bytes(2, "big") + content + jpeg[2:]


def main() -> None:
    """Write both tables and the images."""
    parser = argparse.ArgumentParser(description="Make a large corpus of a small one.")
    parser.add_argument("table", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    with options.table.open(encoding="utf-8", newline="") as file:
        posts = [(row["text"], row["image"]) for row in csv.DictReader(file)]
    images = options.output / "images"
    images.mkdir(parents=True, exist_ok=True)
    with (
        (options.output / "distinct.csv").open("w", encoding="utf-8", newline="") as distinct_file,
        (options.output / "repeats.csv").open("w", encoding="utf-8", newline="") as repeats_file,
    ):
        distinct, repeats = csv.writer(distinct_file), csv.writer(repeats_file)
        for table in (distinct, repeats):
            table.writerow(["id", "text", "image"])
        for row in range(options.rows):
            copy, place = divmod(row, len(posts))
            text, image = posts[place]
            jpeg = (options.images / image).read_bytes()
            name = f"{place}.jpg" if not copy else f"{place}-{copy}.jpg"
            (images / name).write_bytes(add_comment(jpeg, f"copy {copy}") if copy else jpeg)
            distinct.writerow([row, f"{text} copy{copy}" if copy else text, name])
            repeats.writerow([row, text, f"{place}.jpg"])


if __name__ == "__main__":
    main()
