"""The posts from which int8's scales are computed: those stored in a run, or those of a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sentimm.corpus import Chunk, CorpusReader, ImageFile, leave_out_absent, survey_corpus
from sentimm.errors import ImageError, InputError
from sentimm.images import decode_image
from sentimm.options import CorpusOptions
from sentimm.text import TextTokenizer, normalize_texts, pad_tokens
from sentimm.training.data.stored_posts import read_posts
from sentimm.training.run_folder import Run
from sentimm_export.int8.smoothing import MOST_TOKENS, Feeds

# All activations of a batch are in memory at once; percentiles over texts settle early.
_MOST_TEXTS = 192
_LEAST_TEXTS = 64  # of which there is one pooled vector each
_MOST_IMAGES = 96
_TEXT_BATCH = 32
_BATCH_TOKENS = 3072  # at most, which are 2 GB in a base-sized encoder
_IMAGE_BATCH = 8
_CHUNK_ROWS = 256

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ScalePosts:
    """Posts over which a model runs for the ranges of its activations.

    Attributes:
        path: the file that they are from.
        texts: normalised, none of them empty.
        images: uint8 (3, size, size) each.
    """

    path: Path
    texts: tuple[str, ...]
    images: tuple[Pixels, ...]

    def make_text_feeds(self, run: Run) -> Feeds:
        """Return the texts as tokens, in batches of one common length.

        Raises:
            InputError: there is no text.
        """
        if not self.texts or run.text is None:
            raise self._explain_missing("text")
        rows = TextTokenizer(run.tokenizer, run.text.max_tokens).encode(self.texts)
        longest = int(np.percentile([len(row) for row in rows], 90))
        rows = [row[:longest] for row in rows]
        # No more tokens than are looked at (`trace_tokens`), where that leaves enough texts.
        count = min(len(rows), max(_LEAST_TEXTS, MOST_TOKENS * len(rows) // sum(map(len, rows))))
        rows = [rows[place] for place in np.linspace(0, len(rows) - 1, count).astype(int)]
        ids, mask = pad_tokens(rows, run.text.backbone.get("pad_token_id", 0))
        size = max(1, min(_TEXT_BATCH, _BATCH_TOKENS // longest))
        return [
            {"input_ids": ids[start : start + size], "attention_mask": mask[start : start + size]}
            for start in range(0, len(ids), size)
        ]

    def make_image_feeds(self) -> Feeds:
        """Return the images in batches.

        Raises:
            InputError: there is no image.
        """
        if not self.images:
            raise self._explain_missing("image")
        starts = range(0, len(self.images), _IMAGE_BATCH)
        return [{"pixels": np.stack(self.images[start : start + _IMAGE_BATCH])} for start in starts]

    def _explain_missing(self, modality: str) -> InputError:
        return InputError(
            f"{self.path} holds no {modality}, and int8 needs some for its scales: name other posts with "
            "--calibration FILE --images DIR, or leave int8 out with --precision fp32,fp16."
        )


def load_scale_posts(run: Run) -> ScalePosts:
    """Load the posts that the run stores.

    Raises:
        RunError: their file is missing or damaged.
    """
    path = run.path / "calibration.parquet"
    posts = read_posts(path, None if run.image is None else run.image.size)
    texts = tuple(text for text in posts.texts if text)
    images = tuple(image for image in posts.images if image is not None)
    return ScalePosts(path, texts[:_MOST_TEXTS], images[:_MOST_IMAGES])


def read_scale_posts(run: Run, table: Path, folder: Path | None) -> ScalePosts:
    """Read the first texts and the first readable images of a table, whose images are in `folder`.

    Raises:
        InputError, ColumnError, TableError: see `survey_corpus`.
    """
    options = CorpusOptions(
        images=folder,
        text_column=run.options.get("text_column"),
        image_column=run.options.get("image_column"),
        id_column=run.options.get("id_column"),
        union=True,
        required=(),
    )
    options = leave_out_absent([str(table)], options)
    reader = CorpusReader(survey_corpus([str(table)], options), options)
    texts: list[str] = []
    images: list[Pixels] = []
    size, most_images = (0, 0) if run.image is None else (run.image.size, _MOST_IMAGES)
    while (len(texts) < _MOST_TEXTS or len(images) < most_images) and (chunk := reader.read(_CHUNK_ROWS)) is not None:
        texts += [text for text in normalize_texts(chunk.texts, run.normalization) if text]
        images += islice(_decode_images(chunk, size), most_images - len(images))
    return ScalePosts(table, tuple(texts[:_MOST_TEXTS]), tuple(images))


def _decode_images(chunk: Chunk, size: int) -> Iterator[Pixels]:
    for image in chunk.images:
        if isinstance(image, ImageFile):
            try:
                yield decode_image(image, size)
            except ImageError:
                continue
