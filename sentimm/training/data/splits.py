"""Splits for training and validation; the two sides share no text and no image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from sentimm.errors import InputError
from sentimm.text import NORMALIZATION
from sentimm.training.data.posts import Int64Array, LabelledPosts

_SPARE_POSTS = 2  # by which the part held out of a small table may exceed the fraction


def split_posts(posts: LabelledPosts, fractions: Sequence[float], seed: int) -> tuple[LabelledPosts, LabelledPosts]:
    """Split off about this much of the posts of every table; repeated texts and images stay on one side.

    `fractions` holds one for all tables, or one for each.

    The content of a post decides, with the seed: runs on the same table hold out the same posts of it, whatever other
    tables they read and however they normalise texts. A group of repeats far larger than the fraction stays in
    training.
    """
    groups = group_repeats(posts)
    keys = _draw_keys(posts, groups, seed)
    held_out = np.zeros(len(posts), dtype=bool)
    tables = len(posts.tables)
    wanted = np.round(np.bincount(posts.table, minlength=tables) * np.asarray(fractions))
    most = wanted + np.maximum(_SPARE_POSTS, wanted // 10)
    sizes = {group: np.zeros(tables, dtype=np.int64) for group in keys}
    for group, table in zip(groups.tolist(), posts.table.tolist(), strict=True):
        sizes[group][table] += 1
    held = np.zeros(tables, dtype=np.int64)
    for table in range(tables):
        order = sorted((group for group in keys if sizes[group][table]), key=keys.__getitem__)
        fitting = (group for group in order if (held + sizes[group] <= most)[sizes[group] > 0].all())
        while held[table] < wanted[table] and (group := next(fitting, None)) is not None:
            held_out |= groups == group
            held += sizes[group]
        if wanted[table] and len(order) > 1 and not held[table]:
            held_out |= groups == (group := min(order, key=lambda each: sizes[each].sum()))
            held += sizes[group]
    return posts.select(np.flatnonzero(~held_out)), posts.select(np.flatnonzero(held_out))


def split_fold(posts: LabelledPosts, folds: int, fold: int, seed: int) -> tuple[LabelledPosts, LabelledPosts]:
    """Split off one of `folds` parts of about the same size, the one numbered `fold` from 0.

    Every post is in one part; repeated texts and images are in the same one, and each table is spread over all.

    Raises:
        InputError: a part would be empty.
    """
    groups = group_repeats(posts)
    rng = np.random.default_rng(seed)
    sizes = np.zeros((folds, len(posts.tables)), dtype=np.int64)
    part = np.zeros(len(posts), dtype=np.int64)
    order = rng.permutation(np.unique(groups))
    members = {group: np.flatnonzero(groups == group) for group in order}
    # Large groups first, so that small ones can even out what these leave.
    for group in sorted(order, key=lambda group: -len(members[group])):
        counts = np.bincount(posts.table[members[group]], minlength=len(posts.tables))
        chosen = int(sizes[:, counts > 0].sum(axis=1).argmin())
        sizes[chosen] += counts
        part[members[group]] = chosen
    if not sizes.sum(axis=1).all():
        raise InputError(
            f"{len(posts)} usable posts in {len(order)} groups of common texts and images are too few for {folds} "
            "folds: add posts, or name a smaller number with --folds."
        )
    return posts.select(np.flatnonzero(part != fold)), posts.select(np.flatnonzero(part == fold))


def _draw_keys(posts: LabelledPosts, groups: Int64Array, seed: int) -> dict[int, str]:
    """Return each group's key in a random order, from the seed and the alphabetically first of its contents."""
    posts = posts.normalize_again(NORMALIZATION)
    first: dict[int, str] = {}
    for group, text, images in zip(groups.tolist(), posts.text, posts.all_images, strict=True):
        contents = [posts.texts[text]] if text >= 0 else []
        contents += [posts.image_digests[image] for image in images if image >= 0]
        first[group] = min(*contents, first.get(group, contents[0]))
    return {group: hashlib.sha256(f"{seed} {content}".encode()).hexdigest() for group, content in first.items()}


def group_repeats(posts: LabelledPosts) -> Int64Array:
    """Number the groups of posts that share a text, as it is where texts are compared, or an image: int64 (posts,)."""
    posts = posts.normalize_again(NORMALIZATION)
    parent = list(range(len(posts)))

    def find(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    all_images = posts.all_images
    first: dict[tuple[str, int | str], int] = {}
    for row in range(len(posts)):
        keys: list[tuple[str, int | str]] = []
        if posts.text[row] >= 0:
            keys.append(("text", int(posts.text[row])))
        keys += [("image", posts.image_digests[image]) for image in all_images[row] if image >= 0]
        for key in keys:
            parent[find(row)] = find(first.setdefault(key, row))
    return np.asarray([find(row) for row in range(len(posts))], dtype=np.int64)
