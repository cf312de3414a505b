"""Preparation: from the options to posts, split and checked, and to batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch

from sentimm.corpus.labels import LABEL, note_absent_labels
from sentimm.errors import InputError, UsageError
from sentimm.models.sentiment_model import FUSIONS, SentimentModel
from sentimm.text import TextTokenizer
from sentimm.training.data.batches import Batcher, tokenize_posts
from sentimm.training.data.columns.auxiliary import note_auxiliary
from sentimm.training.data.columns.label_sets import note_label_sets
from sentimm.training.data.epochs import count_epoch_posts
from sentimm.training.data.frozen_features import extract_images, extract_texts
from sentimm.training.data.head_labels import choose_allowed, choose_heads, choose_targets, find_heads
from sentimm.training.data.pictures import ImageNoise, Pictures, choose_image_size
from sentimm.training.data.posts import LabelledPosts, decode_images, find_usable, keep_modalities
from sentimm.training.data.splits import split_fold, split_posts
from sentimm.training.data.stored_posts import StoredPosts, write_posts
from sentimm.training.data.tables import load_posts, read_labelled_posts
from sentimm.training.events import FeaturesExtracted, ThumbnailsMade, TrainingListener
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import Run

_SCALE_POSTS = 256
_HELD_OUT_POSTS = 1000
_ARTICLES = {"text": "a text", "image": "an image"}


@dataclass(frozen=True)
class TrainingData:
    """The posts to train on, and those to validate with."""

    training: LabelledPosts
    validation: LabelledPosts

    def digests(self) -> list[str]:
        """Return the digests of both sides."""
        return [self.training.digest(), self.validation.digest()]


def load_data(options: TrainOptions) -> TrainingData:
    """Read the tables, and hold posts out for validation where no table is named.

    The split heeds texts that the model does not read, and images where --images names them: runs with one seed hold
    out the same posts.

    Raises:
        InputError, ColumnError, TableError: a table is missing or can't be used, or has too few posts.
    """
    modalities = FUSIONS[options.fusion].modalities
    if options.val is not None:
        posts, validation = load_tables(options, modalities)
        return split_for_model(options, posts, validation)
    posts = read_labelled_posts(options.inputs, options, modalities, choose_image_size(options))
    return split_for_model(options, posts, None)


def load_tables(options: TrainOptions, modalities: Sequence[str]) -> tuple[LabelledPosts, LabelledPosts | None]:
    """Read the posts of the inputs, and those of the validation table where one is named.

    Raises:
        InputError, ColumnError, TableError: a table is missing or can't be used.
    """
    size = choose_image_size(options)
    posts = load_posts(options.inputs, options, modalities, size)
    if options.val is None:
        return posts, None
    return posts, load_posts([options.val], replace(options, balance=None), modalities, size, is_training=False)


def split_for_model(options: TrainOptions, posts: LabelledPosts, validation: LabelledPosts | None) -> TrainingData:
    """Split posts, then keep those that the model can use: the same split for every model.

    Raises:
        InputError: there are too few posts.
    """
    modalities = FUSIONS[options.fusion].modalities
    data = split_data(options, posts, validation)
    usable = TrainingData(keep_modalities(data.training, modalities), keep_modalities(data.validation, modalities))
    return _check_size(posts, options, usable)


def split_data(options: TrainOptions, posts: LabelledPosts, validation: LabelledPosts | None) -> TrainingData:
    """Split posts into those to train on and those to validate with, by `split_seed`, or by `seed` where it is None.

    Raises:
        InputError: there are too few posts.
    """
    if validation is not None:
        return TrainingData(posts, validation)
    seed = options.seed if options.split_seed is None else options.split_seed
    if options.folds is not None:
        return TrainingData(*split_fold(posts, options.folds, options.fold, seed))
    return TrainingData(*split_posts(posts, options.val_fraction, seed))


def _check_size(posts: LabelledPosts, options: TrainOptions, data: TrainingData) -> TrainingData:
    modalities = FUSIONS[options.fusion].modalities
    if not len(find_usable(posts, modalities)):
        raise InputError(
            f"None of the {len(posts):,} posts has {' or '.join(_ARTICLES[each] for each in modalities)}, which "
            f"{options.fusion} learns from."
        )
    if not len(data.training) or not len(data.validation):
        how = "name a table with --val" if options.folds is None else "name a smaller number with --folds"
        raise InputError(
            f"Of the posts, {options.fusion} can be trained on {len(data.training):,} and validated with "
            f"{len(data.validation):,}, which is too few: add posts, or {how}."
        )
    return data


def check_posts(data: TrainingData, options: TrainOptions) -> None:
    """Check that the model can learn from the posts.

    Raises:
        InputError: no post to train on has one of the model's modalities, no post has a label, all have the same one,
            or none has one for a head of `options`.
        UsageError: an epoch would have no post.
    """
    modalities = FUSIONS[options.fusion].modalities
    posts = data.training
    sizes = np.bincount(posts.table, minlength=len(options.inputs)).tolist()
    if options.table_weights and not any(map(count_epoch_posts, sizes, options.table_weights)):
        raise UsageError("--table-weights leave no post in an epoch: use larger ones.")
    for modality, rows, how in (
        ("text", posts.text, "name their column with --text-column, or choose resnet, which reads images alone"),
        ("image", posts.image, "name their folder with --images, or choose bert, which reads texts alone"),
    ):
        # The run of --init may have learned a modality that these posts lack.
        if modality in modalities and options.init is None and (rows < 0).all():
            raise InputError(
                f"None of the {len(posts):,} posts to train on has {_ARTICLES[modality]} that can be used, and "
                f"{options.fusion} learns from both: {how}."
            )
    for head in options.heads or ():
        if options.init is None and head not in find_heads(posts):
            raise InputError(
                f"--heads {head}: none of the {len(posts):,} posts to train on has {_ARTICLES[head]}_label, or a label "
                f"and {_ARTICLES[head]} alone, for it to learn from."
            )
    _check_auxiliary(posts)
    heads = choose_heads(options, posts, modalities)
    for chosen, purpose in ((posts, "train on"), (data.validation, "validate with")):
        if (choose_targets(chosen, heads) < 0).all():
            raise InputError(
                f"None of the {len(chosen):,} posts to {purpose} has a label in the column {options.label_column!r}: "
                "name another table, or the column of labels with --label-column."
            )
    targets = choose_targets(posts, heads)
    labels = np.unique(targets[targets >= 0])
    if len(labels) == 1 and not options.teacher:  # a teacher has more to say
        raise InputError(
            f"All posts to train on have the label {options.labels[labels[0]]!r}, from which nothing can be learned: "
            "name a table with at least two labels, or the column of labels with --label-column."
        )


def _check_auxiliary(posts: LabelledPosts) -> None:
    for place, each in enumerate(posts.auxiliary_columns):
        assert posts.auxiliary is not None
        present = posts.text if each.modality == "text" else posts.image
        values = posts.auxiliary[present >= 0, place]
        if len(np.unique(values[~np.isnan(values)])) < 2:
            raise InputError(
                f"{each.title}: of the {len(posts):,} posts to train on, those with {_ARTICLES[each.modality]} have "
                "fewer than two different values there, from which nothing can be learned: leave it out."
            )


def note_labels(data: TrainingData, options: TrainOptions, heads: Iterable[str]) -> tuple[str, ...]:
    """Return notes about labels that no post has, or none of a table, of those to train on and to validate with."""
    heads = tuple(heads)
    sides = ((data.training, "post to train on"), (data.validation, "post to validate with"))
    notes = [
        note for posts, name in sides for note in note_absent_labels(choose_targets(posts, heads), options.labels, name)
    ]
    posts = data.training
    learnt = (LABEL, "table", *(f"{head}_label" for head in heads))
    columns = {name: getattr(posts, name) for name in learnt}
    notes += note_label_sets(posts.label_sets, posts.tables, columns, options.labels)
    return (*notes, *note_auxiliary(posts.auxiliary_columns, posts.auxiliary))


@dataclass(frozen=True)
class Batchers:
    """The batchers of both sides of `TrainingData`."""

    training: Batcher
    validation: Batcher


def make_batchers(
    run: Run,
    model: SentimentModel,
    options: TrainOptions,
    data: TrainingData,
    device: torch.device,
    tell: TrainingListener,
) -> Batchers:
    """Tokenise the texts, run the frozen backbones over all posts, and make the batchers."""
    tokenizer = TextTokenizer(run.tokenizer, options.max_tokens) if model.text is not None else None
    pad_id = 0 if tokenizer is None else tokenizer.pad_id
    cache = options.feature_cache or run.path / "cache"
    batchers: list[Batcher] = []
    model.eval()
    for posts in (data.training, data.validation):
        if batchers and posts.texts is data.training.texts and posts.images is data.training.images:
            # Held out of the same tables: texts and images, and their frozen features, are shared.
            batchers.append(batchers[0].share_with(posts, _make_pictures(posts, options, tell, is_training=False)))
            continue
        tokens = tokenize_posts(posts, tokenizer)
        frozen_text = frozen_image = None
        if model.text is not None and "text" in options.freeze:
            frozen_text = extract_texts(
                model.text,
                tokens,
                pad_id,
                device,
                cache,
                lambda done, total: tell(FeaturesExtracted("text", done, total)),
            )
        if model.image is not None and "image" in options.freeze and posts.images:
            frozen_image = extract_images(
                model.image, posts, device, cache, lambda done, total: tell(FeaturesExtracted("image", done, total))
            )
        pictures = _make_pictures(posts, options, tell, is_training=not batchers)
        batchers.append(Batcher(posts, tokens, frozen_text, frozen_image, pictures, pad_id, device))
    return Batchers(*batchers)


def _make_pictures(
    posts: LabelledPosts, options: TrainOptions, tell: TrainingListener, *, is_training: bool
) -> Pictures:
    return Pictures(
        posts,
        choose_image_size(options),
        augment_seed=options.seed if options.augment and is_training else None,
        noise=ImageNoise(options.seed, options.image_noise) if options.image_noise and is_training else None,
        cache=None if "image" in options.freeze else options.image_cache,
        tell=lambda done, total: tell(ThumbnailsMade(done, total)),
    )


def store_posts(run: Run, data: TrainingData, options: TrainOptions) -> None:
    """Write the posts that export needs: some for the scales of int8, and held-out ones."""
    rng = np.random.default_rng(options.seed)
    for posts, count, name in (
        (data.training, _SCALE_POSTS, "calibration.parquet"),
        (_hold_out(data.validation, run.fusion.heads), _HELD_OUT_POSTS, "held-out.parquet"),
    ):
        # Complete posts first: the scales need images even where most posts have none.
        order = rng.permutation(len(posts))
        order = order[np.argsort(~posts.is_complete[order], kind="stable")]
        half = min(count // 2, int(posts.is_complete.sum()))
        rows = np.concatenate([order[:half], rng.permutation(order[half:])])[:count]
        write_posts(_to_stored(posts.select(rows), run, options), run.path / name)


def _hold_out(posts: LabelledPosts, heads: tuple[str, ...]) -> LabelledPosts:
    """Return the labelled posts; where some could have any label, these alone: temperatures are fitted on them."""
    is_used = choose_targets(posts, heads) >= 0
    if (allowed := choose_allowed(posts, heads)) is not None:
        could_be_any = is_used & (allowed | ~allowed[is_used].any(axis=0)).all(axis=1)
        is_used = could_be_any if could_be_any.any() else is_used
    return posts.select(np.flatnonzero(is_used))


def _to_stored(posts: LabelledPosts, run: Run, options: TrainOptions) -> StoredPosts:
    size = choose_image_size(options)
    with ThreadPoolExecutor() as pool:
        images = [None if image < 0 else decode_images([posts.images[image]], size, pool)[0] for image in posts.image]
    texts = tuple("" if text < 0 else posts.texts[text] for text in posts.text)
    target = choose_targets(posts, run.fusion.heads)
    return StoredPosts(texts, tuple(images), target, posts.text_label, posts.image_label)
