"""Validation posts that were seen in training: the same text, or an image that looks like one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from sentimm.corpus.images.similar_images import hash_image, is_like_any
from sentimm.training.data.posts import LabelledPosts

BoolArray = npt.NDArray[np.bool_]
Hashes = list[int | None]


def hash_images(posts: LabelledPosts, tell: Callable[[int, int], None]) -> Hashes:
    """Return the perceptual hash of each distinct image, or None; `tell` hears how many of how many are done."""
    hashes: Hashes = []
    with ThreadPoolExecutor() as pool:
        for done, image_hash in enumerate(pool.map(hash_image, posts.images), start=1):
            hashes.append(image_hash)
            tell(done, len(posts.images))
    return hashes


def flag_seen(
    training: LabelledPosts, validation: LabelledPosts, hashes: Hashes, validation_hashes: Hashes
) -> BoolArray:
    """Return which validation posts share a text with a training post or have an image like one: bool (posts,).

    The hashes are those of the `images` of each side.
    """
    texts = {training.texts[text] for text in training.text if text >= 0}
    training_hashes = {hashes[image] for image in training.all_images.ravel() if image >= 0} - {None}
    distinct = np.array([each for each in training_hashes if each is not None], dtype=np.uint64)
    alike = [is_like_any(each, distinct) for each in validation_hashes]
    seen = [
        (text >= 0 and validation.texts[text] in texts) or any(alike[image] for image in images if image >= 0)
        for text, images in zip(validation.text, validation.all_images, strict=True)
    ]
    return np.array(seen, dtype=bool)
