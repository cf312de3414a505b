"""The labels of posts of one modality: which heads they can train, and what they make the right answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from sentimm.corpus.labels import IMAGE_LABEL, LABEL_COLUMNS, TEXT_LABEL
from sentimm.training.data.posts import Int64Array, LabelledPosts
from sentimm.training.options import TrainOptions


def choose_heads(options: TrainOptions, posts: LabelledPosts, modalities: tuple[str, ...]) -> tuple[str, ...]:
    """Choose the heads of `options`, or those that the posts have labels for; none beside a fusion of one modality."""
    if len(modalities) < 2:
        return ()
    return find_heads(posts) if options.heads is None else options.heads


def find_heads(posts: LabelledPosts) -> tuple[str, ...]:
    """Return the heads that the posts hold a label for: `text`, `image`, both or none."""
    text_alone = (posts.text >= 0) & ((posts.text_label >= 0) | (posts.image < 0) & (posts.label >= 0))
    image_alone = (posts.image >= 0) & ((posts.image_label >= 0) | (posts.text < 0) & (posts.label >= 0))
    return tuple(head for head, has_label in (("text", text_alone.any()), ("image", image_alone.any())) if has_label)


def choose_targets(posts: LabelledPosts, heads: Iterable[str]) -> Int64Array:
    """Return the label that `score` should answer for each post, int64 (posts,): a head's own where a head answers."""
    target = posts.label.copy()
    for alone, column in _list_own(posts, heads):
        target[alone] = getattr(posts, column)[alone]
    return target


def choose_allowed(posts: LabelledPosts, heads: Iterable[str]) -> npt.NDArray[np.bool_] | None:
    """Return the labels among which each post's target is one, bool (posts, labels); None: among all."""
    if posts.label_sets is None:
        return None
    labels = posts.label_sets.labels[posts.label_set]
    allowed = labels[:, 0].copy()
    for alone, column in _list_own(posts, heads):
        allowed[alone] = labels[alone, LABEL_COLUMNS.index(column)]
    return allowed


def _list_own(posts: LabelledPosts, heads: Iterable[str]) -> Iterator[tuple[npt.NDArray[np.bool_], str]]:
    """Yield the posts that a head answers, bool (posts,), with the column of their labels."""
    for head, own, other, column in (
        ("text", posts.text, posts.image, TEXT_LABEL),
        ("image", posts.image, posts.text, IMAGE_LABEL),
    ):
        if head in heads:
            yield (own >= 0) & (other < 0) & (getattr(posts, column) >= 0), column
