"""What a training run starts from: posts, model and batches, made of the options."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from sentimm.errors import InputError, UsageError
from sentimm.models.encoders import ImageEncoder, TextEncoder, load_image_encoder, load_text_encoder
from sentimm.models.fusion import FUSIONS, FusionConfig, SentimentModel
from sentimm.text import TextTokenizer
from sentimm.training.batches import Batcher, tokenize_posts
from sentimm.training.dataset import LabelledPosts, decode_images, load_posts, split_posts, target_labels
from sentimm.training.events import FeaturesExtracted, TrainingListener
from sentimm.training.frozen import extract_images, extract_texts
from sentimm.training.options import TrainOptions
from sentimm.training.run import Run, StoredPosts, is_run, open_run, write_posts

_CALIBRATION_POSTS = 256
_HELD_OUT_POSTS = 1000


@dataclass(frozen=True)
class TrainingData:
    """The posts to train on, and those to validate with."""

    training: LabelledPosts
    validation: LabelledPosts


def load_data(options: TrainOptions) -> TrainingData:
    """Read the tables, and hold posts out for validation where no table is named for it.

    Raises:
        InputError, ColumnError, TableError: a table is not there or can't be used, or has too few posts.
    """
    modalities = FUSIONS[options.fusion].modalities
    posts = load_posts(options.inputs, options, modalities, options.image_size)
    if options.val is not None:
        return TrainingData(posts, load_posts([options.val], options, modalities, options.image_size))
    training, validation = split_posts(posts, options.val_fraction, options.seed)
    if not len(training) or not len(validation):
        raise InputError(
            f"{len(posts)} usable posts are too few to hold some out for validation: add posts, or name a table "
            "with --val."
        )
    return TrainingData(training, validation)


def load_model(options: TrainOptions, posts: LabelledPosts) -> tuple[SentimentModel, bytes | None]:
    """Build the model over pretrained encoders, with its tokenizer.json; `posts` decide which heads it gets.

    Raises:
        InputError: an encoder can't be loaded.
    """
    text, image, tokenizer = None, None, None
    modalities = FUSIONS[options.fusion].modalities
    if "text" in modalities:
        text, tokenizer = _load_text(options)
    if "image" in modalities:
        image = _load_image(options)
    config = FusionConfig(
        options.fusion,
        options.width,
        _choose_heads(options, posts, modalities),
        dropout=options.dropout,
        literal=options.literal,
    )
    return SentimentModel(config, len(options.labels), text, image), tokenizer


def _load_text(options: TrainOptions) -> tuple[TextEncoder, bytes]:
    path = Path(options.text_encoder)
    if is_run(path):
        run = open_run(path)
        encoder = run.build_model("best").text
        if encoder is None:
            raise UsageError(f"--text-encoder {path} is a run without a text encoder.")
        config = replace(
            encoder.config,
            width=options.width,
            dropout=options.dropout,
            max_tokens=options.max_tokens,
            sequence=FUSIONS[options.fusion].attends,
        )
        return TextEncoder(config, encoder.backbone), run.tokenizer.read_bytes()
    return load_text_encoder(
        options.text_encoder,
        width=options.width,
        pooling=options.pooling,
        max_tokens=options.max_tokens,
        dropout=options.dropout,
        bert_dropout=options.bert_dropout,
        sequence=FUSIONS[options.fusion].attends,
    )


def _load_image(options: TrainOptions) -> ImageEncoder:
    path = Path(options.image_encoder)
    if is_run(path):
        encoder = open_run(path).build_model("best").image
        if encoder is None:
            raise UsageError(f"--image-encoder {path} is a run without an image encoder.")
        config = replace(
            encoder.config,
            width=options.width,
            dropout=options.dropout,
            size=options.image_size,
            sequence=FUSIONS[options.fusion].attends,
        )
        return ImageEncoder(config, list(encoder.backbones))  # type: ignore[arg-type]
    return load_image_encoder(
        options.image_encoder,
        width=options.width,
        size=options.image_size,
        dropout=options.dropout,
        sequence=FUSIONS[options.fusion].attends,
    )


def _choose_heads(options: TrainOptions, posts: LabelledPosts, modalities: tuple[str, ...]) -> tuple[str, ...]:
    """Give a fusion the heads that were asked for, or those that the posts have labels for."""
    if len(modalities) < 2:
        return ()
    if options.heads is not None:
        return options.heads
    text_alone = (posts.text >= 0) & ((posts.text_label >= 0) | (posts.image < 0) & (posts.label >= 0))
    image_alone = (posts.image >= 0) & ((posts.image_label >= 0) | (posts.text < 0) & (posts.label >= 0))
    return tuple(head for head, found in (("text", text_alone.any()), ("image", image_alone.any())) if found)


@dataclass(frozen=True)
class Batchers:
    """What makes batches of `TrainingData`."""

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
    made: list[Batcher] = []
    model.eval()
    for posts in (data.training, data.validation):
        if made and posts.texts is data.training.texts:
            # Split off from the training posts: the same texts and images, whose outputs are there.
            made.append(made[0].over(posts))
            continue
        tokens = tokenize_posts(posts, tokenizer)
        text_raw = image_raw = None
        if model.text is not None and "text" in options.freeze:
            text_raw = extract_texts(
                model.text,
                tokens,
                pad_id,
                device,
                cache,
                lambda done, total: tell(FeaturesExtracted("text", done, total)),
            )
        if model.image is not None and "image" in options.freeze and posts.images:
            image_raw = extract_images(
                model.image, posts, device, cache, lambda done, total: tell(FeaturesExtracted("image", done, total))
            )
        made.append(Batcher(posts, tokens, text_raw, image_raw, options.image_size, pad_id, device))
    return Batchers(*made)


def store_posts(run: Run, data: TrainingData, options: TrainOptions) -> None:
    """Write the posts that export needs into the run: those to calibrate int8 with, and held-out ones."""
    rng = np.random.default_rng(options.seed)
    held_out = data.validation.select(np.flatnonzero(target_labels(data.validation, run.fusion.heads) >= 0))
    for posts, count, name in (
        (data.training, _CALIBRATION_POSTS, "calibration.parquet"),
        (held_out, _HELD_OUT_POSTS, "held-out.parquet"),
    ):
        # Complete posts first: a calibration needs pictures even where most posts have none.
        order = rng.permutation(len(posts))
        order = order[np.argsort(~posts.is_complete[order], kind="stable")]
        half = min(count // 2, int(posts.is_complete.sum()))
        rows = np.concatenate([order[:half], rng.permutation(order[half:])])[:count]
        write_posts(_stored(posts.select(rows), run, options), run.path / name)


def _stored(posts: LabelledPosts, run: Run, options: TrainOptions) -> StoredPosts:
    with ThreadPoolExecutor() as pool:
        images = [
            None if image < 0 else decode_images([posts.images[image]], options.image_size, pool)[0]
            for image in posts.image
        ]
    texts = tuple("" if text < 0 else posts.texts[text] for text in posts.text)
    return StoredPosts(texts, tuple(images), target_labels(posts, run.fusion.heads))
