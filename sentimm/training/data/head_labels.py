"""The labels of posts of one modality: which heads they can train, and what they make the right answer."""

from __future__ import annotations

from collections.abc import Iterable

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
    for head, own, other, label in (
        ("text", posts.text, posts.image, posts.text_label),
        ("image", posts.image, posts.text, posts.image_label),
    ):
        if head in heads:
            alone = (own >= 0) & (other < 0) & (label >= 0)
            target[alone] = label[alone]
    return target
