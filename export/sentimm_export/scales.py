"""The posts that int8's scales are found with: those that a run keeps, or a table's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sentimm.corpus import Chunk, CorpusReader, ImageFile, leave_out_absent, survey_corpus
from sentimm.errors import ImageError, InputError
from sentimm.images import decode_image
from sentimm.options import CorpusOptions
from sentimm.text import TextTokenizer, normalize_texts, pad_tokens
from sentimm.training.run_folder import Run
from sentimm.training.stored_posts import read_posts

# Histograms of all activations are in memory at once: of texts the percentiles settle early.
_MOST_TEXTS = 192
_MOST_IMAGES = 96
_TEXT_BATCH = 32
_IMAGE_BATCH = 8
_CHUNK_ROWS = 256

Feeds = list[dict[str, npt.NDArray[Any]]]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ScalePosts:
    """What a model is run over to see its activations.

    Attributes:
        path: where it is from.
        texts: normalised, none of them empty.
        images: uint8 (3, size, size) each.
    """

    path: Path
    texts: tuple[str, ...]
    images: tuple[Pixels, ...]

    def feed_texts(self, run: Run) -> Feeds:
        """Give the texts as the run's tokens, in batches of one common length, which the histograms' collector needs.

        Raises:
            InputError: there is no text.
        """
        if not self.texts or run.text is None:
            raise self._explain_missing("text")
        rows = TextTokenizer(run.tokenizer, run.text.max_tokens).encode(self.texts)
        longest = int(np.percentile([len(row) for row in rows], 90))
        ids, mask = pad_tokens([row[:longest] for row in rows], run.text.backbone.get("pad_token_id", 0))
        return [
            {"input_ids": ids[start : start + _TEXT_BATCH], "attention_mask": mask[start : start + _TEXT_BATCH]}
            for start in range(0, len(ids) - len(ids) % _TEXT_BATCH or len(ids), _TEXT_BATCH)
        ]

    def feed_images(self) -> Feeds:
        """Give the images in batches.

        Raises:
            InputError: there is no image.
        """
        if not self.images:
            raise self._explain_missing("image")
        starts = range(0, len(self.images), _IMAGE_BATCH)
        return [{"pixels": np.stack(self.images[start : start + _IMAGE_BATCH])} for start in starts]

    def _explain_missing(self, modality: str) -> InputError:
        return InputError(
            f"{self.path} holds no {modality}, and int8 needs some for its scales: name posts that have one with "
            "--calibration FILE --images DIR, or leave int8 out with --precision fp32,fp16."
        )


def keep_scale_posts(run: Run) -> ScalePosts:
    """Give the posts that the run keeps.

    Raises:
        RunError: their file is not there or damaged.
    """
    path = run.path / "calibration.parquet"
    posts = read_posts(path, None if run.image is None else run.image.size)
    texts = tuple(text for text in posts.texts if text)
    images = tuple(image for image in posts.images if image is not None)
    return ScalePosts(path, texts[:_MOST_TEXTS], images[:_MOST_IMAGES])


def read_scale_posts(run: Run, table: Path, folder: Path | None) -> ScalePosts:
    """Read the first texts and the first images that can be decoded of a table, whose images lie in `folder`.

    Raises:
        InputError, ColumnError, TableError: see `survey_corpus`.
    """
    options = CorpusOptions(
        images=folder,
        text_column=run.options.get("text_column"),
        image_column=run.options.get("image_column"),
        id_column=run.options.get("id_column"),
    )
    options = leave_out_absent([str(table)], options)
    reader = CorpusReader(survey_corpus([str(table)], options), options)
    texts: list[str] = []
    images: list[Pixels] = []
    size, most_images = (0, 0) if run.image is None else (run.image.size, _MOST_IMAGES)
    while (len(texts) < _MOST_TEXTS or len(images) < most_images) and (chunk := reader.read(_CHUNK_ROWS)) is not None:
        texts += [text for text in normalize_texts(chunk.texts) if text]
        images += islice(_decode_images(chunk, size), most_images - len(images))
    return ScalePosts(table, tuple(texts[:_MOST_TEXTS]), tuple(images))


def _decode_images(chunk: Chunk, size: int) -> Iterator[Pixels]:
    for image in chunk.images:
        if isinstance(image, ImageFile):
            try:
                yield decode_image(image, size)
            except ImageError:
                continue
