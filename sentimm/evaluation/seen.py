"""Posts that occur in another table: the same text once normalised, or an image that looks the same.

Images are compared by perceptual hash (`imagehash.phash`: 64 bits of the lowest frequencies), so a copy that was
resized or compressed again is found too.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from PIL import Image

from sentimm.corpus import Chunk, CorpusReader, ImageFile, ImageSource, survey_corpus
from sentimm.errors import ImageError
from sentimm.images import decode_image
from sentimm.options import CorpusOptions
from sentimm.text import normalize_texts

# Of MVSA-Single's 800 validation images 36 lie within 2 bits of a training image, 37 within 6 to 10, 47 within 12, 125
# within 14: copies are near, strangers begin at 12.
_MAX_BITS = 8
_SIDE = 128  # pixels that an image is decoded to before it is hashed
_CHUNK_ROWS = 10_000

Flags = npt.NDArray[np.bool_]


class SeenPosts:
    """The texts and images of a table, by which posts of another one are found again; a context, as it holds threads.

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
            hashes.update(found for found in self._pool.map(hash_image, chunk.images) if found is not None)
        self._hashes = np.array(sorted(hashes), dtype=np.uint64)

    @property
    def has_images(self) -> bool:
        """Tell whether the table has an image to compare with."""
        return len(self._hashes) > 0

    def __enter__(self) -> SeenPosts:
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def find_texts(self, chunk: Chunk) -> Flags:
        """Tell which posts have a text of the table, bool (posts,)."""
        return np.fromiter((text in self._texts for text in normalize_texts(chunk.texts)), bool, chunk.rows)

    def find_images(self, chunk: Chunk) -> Flags:
        """Tell which posts have an image that looks like one of the table's, bool (posts,)."""
        own = self._pool.map(hash_image, chunk.images)
        return np.fromiter((is_like_any(each, self._hashes) for each in own), bool, chunk.rows)


def is_like_any(own: int | None, hashes: npt.NDArray[np.uint64]) -> bool:
    """Tell whether an image's hash is close to one of `hashes`, uint64 (images,); False where it has none."""
    return own is not None and bool((np.bitwise_count(hashes ^ np.uint64(own)) <= _MAX_BITS).any())


def hash_image(source: ImageSource) -> int | None:
    """Hash an image by what it looks like, 64 bits; None where there is none that can be decoded."""
    from imagehash import phash

    if not isinstance(source, ImageFile):
        return None
    try:
        pixels = decode_image(source, _SIDE)
    except ImageError:
        return None
    bits = phash(Image.fromarray(pixels.transpose(1, 2, 0))).hash
    return int.from_bytes(np.packbits(bits).tobytes())
