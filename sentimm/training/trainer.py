"""Training: from labelled tables to a run folder, resumable at each epoch, the same for the same seed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import sentimm
from sentimm.errors import DeviceError, InputError, RunNotFoundError, TrainingError, UsageError
from sentimm.evaluation.metrics import Metrics, measure_labels
from sentimm.models.encoders import (
    ImageEncoder,
    TextEncoder,
    load_image_encoder,
    load_text_encoder,
)
from sentimm.models.fusion import FUSIONS, FusionConfig, Scores, SentimentModel
from sentimm.text import NORMALIZATION, TextTokenizer
from sentimm.training.batches import Batch, Batcher, extract_images, extract_texts, tokenize_posts
from sentimm.training.dataset import LabelledPosts, decode_images, load_posts, split_posts
from sentimm.training.events import BatchTrained, EpochTrained, FeaturesExtracted, PostsLoaded, TrainingListener
from sentimm.training.options import TrainOptions
from sentimm.training.run import (
    Run,
    StoredPosts,
    is_run,
    load_state,
    load_weights,
    open_run,
    replace_file,
    save_state,
    save_weights,
    write_posts,
)

_CALIBRATION_POSTS = 256
_HELD_OUT_POSTS = 1000


def start_run(options: TrainOptions, path: Path, tell: TrainingListener) -> Run:
    """Train a new model into the folder `path`, and give the finished run.

    Raises:
        UsageError: options that don't go together, or a folder that is in use.
        InputError, ColumnError, TableError: the tables or encoders can't be read.
        TrainingError: the loss is no longer a number.
    """
    if options.fusion not in FUSIONS:
        raise UsageError(f"--fusion {options.fusion!r} is not one of {', '.join(FUSIONS)}.")
    if path.exists() and any(path.iterdir()):
        raise UsageError(f"{path} is there already: name another folder with -o, or go on with --resume {path}.")
    data = _load_data(options)
    torch.manual_seed(options.seed)
    model, tokenizer = _load_model(options, data.training)
    path.mkdir(parents=True, exist_ok=True)
    if tokenizer is not None:
        replace_file(path / "tokenizer.json", tokenizer)
    run = Run(
        path=path,
        labels=options.labels,
        fusion=model.config,
        text=None if model.text is None else model.text.config,
        image=None if model.image is None else model.image.config,
        normalization=NORMALIZATION,
        options=_plain_options(options),
        provenance={
            "sentimm": sentimm.__version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "tables": {
                name: int((data.training.table == number).sum()) for number, name in enumerate(data.training.tables)
            },
        },
    )
    _store_posts(run, data, options)
    save_weights(model, path / "initial.safetensors")
    run.write_config()
    return _train(run, model, options, data, tell, state=None)


def resume_run(path: Path, tell: TrainingListener) -> Run:
    """Go on with a run after its last finished epoch.

    Raises:
        RunNotFoundError: there is no run at `path`.
        RunError: the run is damaged.
    """
    run = open_run(path)
    options = _options_of(run)
    state = load_state(path / "trainer.pt") if (path / "trainer.pt").exists() else None
    model = run.build_model()
    load_weights(model, path / ("initial.safetensors" if state is None else "last.safetensors"))
    return _train(run, model, options, _load_data(options), tell, state)


def newest_run(folder: Path) -> Path:
    """Find the run in `folder` that was written last.

    Raises:
        RunNotFoundError: there is none.
    """
    runs = [path for path in folder.glob("*") if is_run(path)] if folder.is_dir() else []
    if not runs:
        raise RunNotFoundError(
            f"There is no training run in {folder}/: train one with `sentimm train`, or name a run folder."
        )
    return max(runs, key=lambda path: (path / "config.json").stat().st_mtime)


def target_labels(posts: LabelledPosts, heads: Iterable[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Tell what `score` should answer for each post, int64 (posts,): a head's own label where a head answers."""
    target = posts.label.copy()
    for head, own, other, label in (
        ("text", posts.text, posts.image, posts.text_label),
        ("image", posts.image, posts.text, posts.image_label),
    ):
        if head in heads:
            alone = (own >= 0) & (other < 0) & (label >= 0)
            target[alone] = label[alone]
    return target


@dataclass(frozen=True)
class _Data:
    training: LabelledPosts
    validation: LabelledPosts


def _load_data(options: TrainOptions) -> _Data:
    modalities = FUSIONS[options.fusion].modalities
    posts = load_posts(options.inputs, options, modalities, options.image_size)
    if options.val is not None:
        return _Data(posts, load_posts([options.val], options, modalities, options.image_size))
    training, validation = split_posts(posts, options.val_fraction, options.seed)
    if not len(training) or not len(validation):
        raise InputError(
            f"{len(posts)} usable posts are too few to hold some out for validation: add posts, or name a table "
            "with --val."
        )
    return _Data(training, validation)


def _load_model(options: TrainOptions, posts: LabelledPosts) -> tuple[SentimentModel, bytes | None]:
    text, image, tokenizer = None, None, None
    modalities = FUSIONS[options.fusion].modalities
    if "text" in modalities:
        text, tokenizer = _load_text(options)
    if "image" in modalities:
        image = _load_image(options)
    config = FusionConfig(
        options.fusion, options.width, _choose_heads(options, posts, modalities), dropout=options.dropout
    )
    return SentimentModel(config, len(options.labels), text, image), tokenizer


def _load_text(options: TrainOptions) -> tuple[TextEncoder, bytes]:
    path = Path(options.text_encoder)
    if is_run(path):
        run = open_run(path)
        encoder = run.build_model("best").text
        if encoder is None:
            raise UsageError(f"--text-encoder {path} is a run without a text encoder.")
        config = replace(encoder.config, width=options.width, dropout=options.dropout, max_tokens=options.max_tokens)
        return TextEncoder(config, encoder.backbone), run.tokenizer.read_bytes()
    return load_text_encoder(
        options.text_encoder,
        width=options.width,
        pooling=options.pooling,
        max_tokens=options.max_tokens,
        dropout=options.dropout,
        bert_dropout=options.bert_dropout,
    )


def _load_image(options: TrainOptions) -> ImageEncoder:
    path = Path(options.image_encoder)
    if is_run(path):
        encoder = open_run(path).build_model("best").image
        if encoder is None:
            raise UsageError(f"--image-encoder {path} is a run without an image encoder.")
        config = replace(encoder.config, width=options.width, dropout=options.dropout, size=options.image_size)
        return ImageEncoder(config, list(encoder.backbones))  # type: ignore[arg-type]
    return load_image_encoder(
        options.image_encoder, width=options.width, size=options.image_size, dropout=options.dropout
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


def _train(
    run: Run,
    model: SentimentModel,
    options: TrainOptions,
    data: _Data,
    tell: TrainingListener,
    state: dict[str, Any] | None,
) -> Run:
    device = _choose_device(options.device)
    model.to(device)
    done = 0 if state is None else int(state["epoch"])
    tell(
        PostsLoaded(
            run.path,
            len(data.training),
            len(data.validation),
            int(data.training.is_complete.sum()),
            data.training.skipped,
            done,
        )
    )
    batchers = _make_batchers(run, model, options, data, device, tell)
    optimizer = _make_optimizer(model, options)
    weights = options.table_weights or (1.0,) * len(options.inputs)
    steps = options.epochs * len(batchers.training.plan_epoch(weights, options.batch_size, np.random.default_rng(0)))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps, options.warmup))
    best = -1.0
    if state is not None:
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        best = float(state["best"])
    records = run.read_metrics()[:done]
    for epoch in range(done + 1, options.epochs + 1):
        started = time.monotonic()
        # Seeded for each epoch, so that a resumed run goes on as an undisturbed one.
        torch.manual_seed(options.seed * 100_003 + epoch)
        rng = np.random.default_rng([options.seed, epoch])
        plan = batchers.training.plan_epoch(weights, options.batch_size, rng)
        loss = _train_epoch(model, optimizer, schedule, batchers.training, plan, options, epoch, tell)
        metrics = _evaluate(model, batchers.validation, options)
        score = float(np.mean([getattr(table, options.metric) for table in metrics.values()]))
        is_best = score > best
        best = max(score, best)
        seconds = time.monotonic() - started
        records.append(
            {
                "epoch": epoch,
                "loss": loss,
                "seconds": round(seconds, 1),
                "score": score,
                "tables": {name: asdict(table) for name, table in metrics.items()},
            }
        )
        _save_epoch(run, model, optimizer, schedule, records, epoch, best, is_best)
        tell(EpochTrained(epoch, options.epochs, loss, seconds, metrics, score, is_best))
    return run


def _save_epoch(
    run: Run,
    model: SentimentModel,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    records: list[dict[str, Any]],
    epoch: int,
    best: float,
    is_best: bool,
) -> None:
    if is_best:
        save_weights(model, run.path / "best.safetensors")
    save_weights(model, run.path / "last.safetensors")
    replace_file(run.path / "metrics.ndjson", "".join(json.dumps(record) + "\n" for record in records).encode())
    state = {"epoch": epoch, "best": best, "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    save_state(state, run.path / "trainer.pt")
    (run.path / "initial.safetensors").unlink(missing_ok=True)


@dataclass(frozen=True)
class _Batchers:
    training: Batcher
    validation: Batcher


def _make_batchers(
    run: Run, model: SentimentModel, options: TrainOptions, data: _Data, device: torch.device, tell: TrainingListener
) -> _Batchers:
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
                model.text, tokens, pad_id, device, lambda done, total: tell(FeaturesExtracted("text", done, total))
            )
        if model.image is not None and "image" in options.freeze and posts.images:
            image_raw = extract_images(
                model.image, posts, device, cache, lambda done, total: tell(FeaturesExtracted("image", done, total))
            )
        made.append(Batcher(posts, tokens, text_raw, image_raw, options.image_size, pad_id, device))
    return _Batchers(*made)


def _make_optimizer(model: SentimentModel, options: TrainOptions) -> torch.optim.Optimizer:
    """AdamW over the backbones that are trained and, with its own rate, over all the rest."""
    backbones: list[nn.Parameter] = []
    for modality, backbone in (
        ("text", None if model.text is None else model.text.backbone),
        ("image", None if model.image is None else model.image.backbones),
    ):
        if backbone is not None:
            backbone.requires_grad_(modality not in options.freeze)
            backbones += list(backbone.parameters())
    known = {id(parameter) for parameter in backbones}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in known]
    return torch.optim.AdamW(
        [
            {"params": [parameter for parameter in backbones if parameter.requires_grad], "lr": options.learning_rate},
            {"params": rest, "lr": options.head_lr or options.learning_rate},
        ],
        weight_decay=options.weight_decay,
    )


def _rate(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up over the share `warmup` of all steps, then linear decay to zero."""
    rising = steps * warmup
    if step < rising:
        return (step + 1) / (rising + 1)
    return max(0.0, (steps - step) / max(steps - rising, 1))


def _train_epoch(
    model: SentimentModel,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    batcher: Batcher,
    plan: list[np.ndarray[Any, np.dtype[np.int64]]],
    options: TrainOptions,
    epoch: int,
    tell: TrainingListener,
) -> float:
    model.train()
    _freeze_statistics(model, options)
    total = 0.0
    for number, batch in enumerate(batcher.iterate(plan), start=1):
        loss = _loss(model, batch, options)
        value = float(loss.detach())
        if not np.isfinite(value):
            raise TrainingError(
                f"The loss of epoch {epoch}, batch {number} is {value}: train again with a smaller --learning-rate."
            )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
        optimizer.step()
        schedule.step()
        total += value
        tell(BatchTrained(epoch, options.epochs, number, len(plan), len(batch.label), total / number))
    return total / len(plan)


def _freeze_statistics(model: SentimentModel, options: TrainOptions) -> None:
    """Keep the image backbones' BatchNorm statistics: small batches of tweets' pictures make poor ones."""
    if model.image is not None:
        model.image.backbones.eval()
    if model.text is not None and "text" in options.freeze:
        model.text.backbone.eval()


def _encode(model: SentimentModel, batch: Batch) -> tuple[Tensor | None, Tensor | None]:
    text = image = None
    if model.text is not None:
        if batch.text_raw is not None:
            text = model.text.project(batch.text_raw)
        elif batch.ids is not None and batch.mask is not None:
            text = model.text(batch.ids, batch.mask)
        else:
            text = model.missing_text[:0]
    if model.image is not None:
        if batch.image_raw is not None:
            image = model.image.project(batch.image_raw)
        elif batch.pixels is not None:
            image = model.image(batch.pixels)
        else:
            image = model.missing_image[:0]
    return text, image


def _loss(model: SentimentModel, batch: Batch, options: TrainOptions) -> Tensor:
    """Cross entropy of the fusion and of the heads, over the batch's posts that have the label in question."""
    text, image = _encode(model, batch)
    heads = model.config.heads
    has_text = batch.text_index < (0 if text is None else text.shape[0])
    has_image = batch.image_index < (0 if image is None else image.shape[0])
    complete = has_text & has_image
    text_index, image_index = batch.text_index, batch.image_index
    if text is not None and image is not None and options.modality_dropout:
        # At most one of the two is dropped, from the fusion's view alone.
        draw = torch.rand(complete.shape, device=complete.device)
        drop = options.modality_dropout / 2
        text_index = text_index.masked_fill(complete & (draw < drop), text.shape[0])
        image_index = image_index.masked_fill(complete & (draw > 1 - drop), image.shape[0])
    fused = model.fuse(text, image, text_index, image_index).fused
    answered = complete if heads else torch.ones_like(complete)
    loss = _sum_losses(fused, batch.label, answered, options)
    if heads:
        scores: Scores = model.fuse(text, image, batch.text_index, batch.image_index)
        for head_scores, own, label, present, other in (
            (scores.text_scores, batch.text_label, batch.label, has_text, has_image),
            (scores.image_scores, batch.image_label, batch.label, has_image, has_text),
        ):
            if head_scores is not None:
                target = torch.where((own < 0) & ~other, label, own)
                loss = loss + options.head_weight * _sum_losses(head_scores, target, present, options)
    return loss / len(batch.label)


def _sum_losses(scores: Tensor, label: Tensor, counted: Tensor, options: TrainOptions) -> Tensor:
    counted = counted & (label >= 0)
    losses = F.cross_entropy(scores, label.clamp(min=0), reduction="none", label_smoothing=options.label_smoothing)
    return (losses * counted).sum()


def _evaluate(model: SentimentModel, batcher: Batcher, options: TrainOptions) -> dict[str, Metrics]:
    """Measure the answers on the validation posts, for each table that has labels of them."""
    model.eval()
    plan = batcher.plan_evaluation(options.batch_size)
    predicted = np.full(len(batcher.posts), -1, dtype=np.int64)
    with torch.inference_mode():
        for rows, batch in zip(plan, batcher.iterate(plan), strict=True):
            scores = model.fuse(*_encode(model, batch), batch.text_index, batch.image_index).scores
            predicted[rows] = scores.argmax(dim=1).cpu().numpy()
    target = target_labels(batcher.posts, model.config.heads)
    found = {}
    for number, name in enumerate(batcher.posts.tables):
        rows = np.flatnonzero((batcher.posts.table == number) & (target >= 0))
        if len(rows):
            found[name] = measure_labels(target[rows], predicted[rows])
    return found


def _store_posts(run: Run, data: _Data, options: TrainOptions) -> None:
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
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as pool:
        images = [
            None if image < 0 else decode_images([posts.images[image]], options.image_size, pool)[0]
            for image in posts.image
        ]
    texts = tuple("" if text < 0 else posts.texts[text] for text in posts.text)
    return StoredPosts(texts, tuple(images), target_labels(posts, run.fusion.heads))


def _choose_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(
            "--device cuda was asked for, but PyTorch finds no GPU that it can use: run `sentimm doctor`."
        )
    return torch.device(name)


def _plain_options(options: TrainOptions) -> dict[str, Any]:
    return {key: str(value.resolve()) if isinstance(value, Path) else value for key, value in asdict(options).items()}


def _options_of(run: Run) -> TrainOptions:
    stored = dict(run.options)
    for name in ("images", "feature_cache"):
        stored[name] = None if stored[name] is None else Path(stored[name])
    for name in ("inputs", "labels", "table_weights", "freeze"):
        stored[name] = tuple(stored[name])
    stored["heads"] = None if stored["heads"] is None else tuple(stored["heads"])
    return TrainOptions(**stored)
