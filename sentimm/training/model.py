"""The model at the start of training: pretrained encoders or those of a run, and a new fusion or that of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from sentimm.errors import UsageError
from sentimm.models.image_encoder import ImageEncoder, load_image_encoder
from sentimm.models.sentiment_model import FUSIONS, FusionConfig, SentimentModel, check_fusion
from sentimm.models.text_encoder import TextEncoder, check_max_tokens, load_text_encoder, set_bert_dropout
from sentimm.training.data.columns.auxiliary import parse_auxiliary
from sentimm.training.data.head_labels import choose_heads
from sentimm.training.data.pictures import choose_image_size
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import Run, is_run, open_run

_BOTH = ("text", "image")
_NEUTRAL = "neutral"  # the label that yields to the others


def load_model(options: TrainOptions, posts: LabelledPosts) -> tuple[SentimentModel, bytes | None]:
    """Build the model over pretrained encoders, with its tokenizer.json; `posts` decide which heads it gets.

    Raises:
        InputError: an encoder can't be loaded.
        UsageError: the run of `options.init` is of another model.
    """
    text, image, tokenizer = None, None, None
    modalities = FUSIONS[options.fusion].modalities
    if "text" in modalities:
        text, tokenizer = _load_text(options)
    if "image" in modalities:
        image = _load_image(options)
    config = configure_fusion(options, choose_heads(options, posts, modalities))
    model = SentimentModel(config, len(options.labels), text, image)
    if options.init is not None:
        copy_weights(model, open_run(options.init), options)
    return model, tokenizer


def configure_fusion(options: TrainOptions, heads: tuple[str, ...]) -> FusionConfig:
    """Return the configuration of the fusion of `options`, with these heads."""
    return FusionConfig(
        options.fusion,
        options.width,
        heads,
        dropout=options.dropout,
        literal=options.literal,
        composed=options.composed,
        neutral=next((place for place, name in enumerate(options.labels) if name.lower() == _NEUTRAL), None),
    )


def check_options(options: TrainOptions) -> None:
    """Check, before posts and encoders are read, that the options describe a model.

    Raises:
        UsageError: see `check_fusion`; an option does not apply to the fusion; a cache is a file.
    """
    for option, folder in (("--feature-cache", options.feature_cache), ("--image-cache", options.image_cache)):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise UsageError(f"{option} {folder} is a file: name a folder.")
    modalities = FUSIONS[options.fusion].modalities if options.fusion in FUSIONS else _BOTH
    if options.heads and len(modalities) < len(_BOTH):
        raise UsageError(f"--heads need a fusion of text and image, and {options.fusion} is none: leave it out.")
    for value in options.freeze:
        if (modality := value.partition(":")[0]) not in modalities:
            raise UsageError(f"--freeze {value}: {options.fusion} has no {modality} encoder.")
    for value in options.auxiliary:
        parse_auxiliary(value, modalities)
    possible = modalities if options.heads is None else options.heads
    check_fusion(configure_fusion(options, tuple(head for head in possible if len(modalities) > 1)))


def copy_weights(model: SentimentModel, run: Run, options: TrainOptions) -> None:
    """Copy the best weights of a run into a model: encoders, and fusion and heads where they and the labels match.

    Raises:
        UsageError: an encoder of the run differs from the model's.
        RunError: the run has no weights.
    """
    stored = run.build_model("best").state_dict()
    own = model.state_dict()
    copied: dict[str, Tensor] = {}
    for part in ("text", "image"):
        weights = {name: weight for name, weight in stored.items() if name.startswith(f"{part}.")}
        wanted = {name: weight.shape for name, weight in own.items() if name.startswith(f"{part}.")}
        if not weights or not wanted:
            continue
        if {name: weight.shape for name, weight in weights.items()} != wanted:
            levels = f" and --image-levels {run.image.levels}" if part == "image" and run.image is not None else ""
            raise UsageError(
                f"--init {run.path}: its {part} encoder differs from this model's. Leave --{part}-encoder out to use "
                f"the run's, with its --width {run.fusion.width}{levels}."
            )
        copied |= weights
    if not copied:
        raise UsageError(
            f"--init {run.path}: that model ({run.fusion.name}) and this one ({options.fusion}) have no encoder in "
            "common."
        )
    if run.labels == options.labels:
        rest = {name: weight for name, weight in stored.items() if not name.startswith(("text.", "image."))}
        if run.fusion.name != options.fusion:
            rest = {name: weight for name, weight in rest.items() if not name.startswith("fusion.")}
        copied |= {name: weight for name, weight in rest.items() if name in own and own[name].shape == weight.shape}
    model.load_state_dict(copied, strict=False)


def _load_text(options: TrainOptions) -> tuple[TextEncoder, bytes]:
    path = Path(options.text_encoder)
    if is_run(path):
        run = open_run(path)
        encoder = run.build_model("best").text
        if encoder is None:
            raise _explain_missing("text", path, options)
        check_max_tokens(encoder.backbone, options.max_tokens, str(path))
        config = replace(
            encoder.config,
            backbone=set_bert_dropout(encoder, options.bert_dropout),
            width=options.width,
            pooling=options.pooling or encoder.config.pooling,
            dropout=options.dropout,
            max_tokens=options.max_tokens,
            sequence=FUSIONS[options.fusion].attends,
        )
        return TextEncoder(config, encoder.backbone), run.tokenizer.read_bytes()
    return load_text_encoder(
        options.text_encoder,
        width=options.width,
        pooling=options.pooling or "mean",
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
            raise _explain_missing("image", path, options)
        config = replace(
            encoder.config,
            width=options.width,
            dropout=options.dropout,
            size=choose_image_size(options),
            sequence=FUSIONS[options.fusion].attends,
            levels=options.image_levels or encoder.config.levels,
        )
        rebuilt = ImageEncoder(config)
        rebuilt.backbones.load_state_dict(encoder.backbones.state_dict())
        return rebuilt
    return load_image_encoder(
        options.image_encoder,
        width=options.width,
        size=choose_image_size(options),
        dropout=options.dropout,
        sequence=FUSIONS[options.fusion].attends,
        levels=options.image_levels or 1,
    )


def _explain_missing(modality: str, path: Path, options: TrainOptions) -> UsageError:
    named = "--init" if path == options.init else f"--{modality}-encoder"
    return UsageError(
        f"{named} {path} is a run without {'an image' if modality == 'image' else 'a text'} encoder: name one with "
        f"--{modality}-encoder."
    )
