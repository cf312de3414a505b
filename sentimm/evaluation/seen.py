"""Posts that occur in another table: the same text once normalised, or an image that looks the same.

Images are compared by perceptual hash, so a copy that was resized or compressed again counts too.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from sentimm.corpus import Chunk, CorpusReader, list_images, survey_corpus
from sentimm.corpus.images.similar_images import hash_image, is_like_any
from sentimm.options import CorpusOptions
from sentimm.text import normalize_texts

_CHUNK_ROWS = 10_000

BoolArray = npt.NDArray[np.bool_]


class SeenPosts:
    """The texts and images of a table, to recognise them among other posts; a context, because it holds threads.

    Args:
        table: the table.
        options: how to read it.

    Raises:
        InputError, ColumnError, TableError: see `survey_corpus`.
    """

    def __init__(self, table: str, options: CorpusOptions) -> None:
        self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="hash")
        self._texts: set[str] = set()
        hashes: set[int] = set()
        reader = CorpusReader(survey_corpus([table], options), options)
        while (chunk := reader.read(_CHUNK_ROWS)) is not None:
            self._texts.update(text for text in normalize_texts(chunk.texts) if text)
            images = [image for post in chunk.images for image in list_images(post)]
            hashes.update(found for found in self._pool.map(hash_image, images) if found is not None)
        self._hashes = np.array(sorted(hashes), dtype=np.uint64)

    @property
    def has_images(self) -> bool:
        """Whether the table has an image to compare with."""
        return len(self._hashes) > 0

    def __enter__(self) -> SeenPosts:
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def flag_texts(self, chunk: Chunk) -> BoolArray:
        """Return which posts have a text of the table, bool (posts,)."""
        return np.fromiter((text in self._texts for text in normalize_texts(chunk.texts)), bool, chunk.rows)

    def flag_images(self, chunk: Chunk) -> BoolArray:
        """Return which posts have an image that looks like one of the table's, bool (posts,)."""
        posts = [list_images(images) for images in chunk.images]
        own = self._pool.map(hash_image, [image for images in posts for image in images])
        like = [[is_like_any(next(own), self._hashes) for _ in images] for images in posts]
        return np.array([any(each) for each in like], dtype=bool)
