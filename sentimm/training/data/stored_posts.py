"""Posts that a run stores for its export: `calibration.parquet` and `held-out.parquet`."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image

from sentimm.corpus.labels import LABEL_COLUMNS
from sentimm.errors import ImageError, RunError
from sentimm.images import decode_image
from sentimm.storage.atomic import commit_file


@dataclass(frozen=True)
class StoredPosts:
    """Posts of a run, ready for a model: arrays of equal length, with -1 for "no label".

    Attributes:
        texts: normalised texts, "" where a post has none.
        images: uint8 (3, size, size) each, None where a post has none.
        labels: the answers that `score` should give, int64 (posts,).
        text_labels, image_labels: the labels of one modality alone, int64 (posts,).
    """

    texts: tuple[str, ...]
    images: tuple[npt.NDArray[np.uint8] | None, ...]
    labels: npt.NDArray[np.int64]
    text_labels: npt.NDArray[np.int64]
    image_labels: npt.NDArray[np.int64]


def write_posts(posts: StoredPosts, path: Path) -> None:
    """Write posts as Parquet, and images as PNG: the exact pixels of the encoder's input.

    Raises:
        OutputError: they can't be written.
    """
    frame = pl.DataFrame(
        {
            "text": list(posts.texts),
            "image": [None if image is None else _to_png(image) for image in posts.images],
            "label": posts.labels,
            "text_label": posts.text_labels,
            "image_label": posts.image_labels,
        },
        schema={"text": pl.String, "image": pl.Binary} | dict.fromkeys(LABEL_COLUMNS, pl.Int64),
    )
    with commit_file(path) as temporary:
        frame.write_parquet(temporary)


def read_posts(path: Path, size: int | None) -> StoredPosts:
    """Read the file that `write_posts` wrote; `size` is the side of the images in pixels.

    Runs of sentimm 0.1 have no labels of one modality: all are -1 then.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        frame = pl.read_parquet(path, glob=False)
        images = tuple(
            None if data is None or size is None else decode_image(data, size) for data in frame["image"].to_list()
        )
        none = pl.Series([-1] * len(frame), dtype=pl.Int64)
        labels = [(frame[name] if name in frame.columns else none).to_numpy() for name in LABEL_COLUMNS]
        return StoredPosts(tuple(frame["text"].to_list()), images, *labels)
    except (OSError, pl.exceptions.PolarsError, ImageError) as error:
        raise RunError(f"{path} is missing or damaged: train again, or restore the file.") from error


def _to_png(image: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(buffer, "PNG")
    return buffer.getvalue()
