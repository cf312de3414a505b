"""Validation posts that were seen in training: the same text, or an image that looks like one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from sentimm.evaluation.seen import hash_image, is_like_any
from sentimm.training.data.posts import LabelledPosts

Flags = npt.NDArray[np.bool_]
Hashes = list[int | None]


def hash_images(posts: LabelledPosts, tell: Callable[[int, int], None]) -> Hashes:
    """Hash each distinct image by what it looks like; `tell` hears how many of how many are done."""
    found: Hashes = []
    with ThreadPoolExecutor() as pool:
        for done, hashed in enumerate(pool.map(hash_image, posts.images), start=1):
            found.append(hashed)
            tell(done, len(posts.images))
    return found


def find_seen(training: LabelledPosts, validation: LabelledPosts, hashes: Hashes, validation_hashes: Hashes) -> Flags:
    """Tell which validation posts have a text of the training posts, or an image like one of theirs: bool (posts,).

    The hashes are those of the `images` of each side.
    """
    texts = {training.texts[text] for text in training.text if text >= 0}
    used = {hashes[image] for image in training.image if image >= 0} - {None}
    known = np.array([each for each in used if each is not None], dtype=np.uint64)
    alike = [is_like_any(each, known) for each in validation_hashes]
    seen = [
        (text >= 0 and validation.texts[text] in texts) or (image >= 0 and alike[image])
        for text, image in zip(validation.text, validation.image, strict=True)
    ]
    return np.array(seen, dtype=bool)
