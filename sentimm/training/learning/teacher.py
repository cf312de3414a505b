"""The teacher: a run whose answers to the posts are learned beside their labels.

Knowledge distillation at temperature 1: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator

from sentimm.errors import InputError, UsageError
from sentimm.models.sentiment_model import FUSIONS, SentimentModel
from sentimm.text import TextTokenizer
from sentimm.training.data.array_cache import load_array, save_array
from sentimm.training.data.batches import Batcher, tokenize_posts
from sentimm.training.data.frozen_features import digest_weights
from sentimm.training.data.pictures import Pictures
from sentimm.training.data.posts import Int64Array, LabelledPosts
from sentimm.training.events import TeacherScored, TrainingListener
from sentimm.training.learning.optimizer import speed_up_convolutions
from sentimm.training.learning.processes import share_result
from sentimm.training.learning.validation import score_posts
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import Run, Weights, open_run

_BATCH = 64


def open_teacher(options: TrainOptions) -> Run | None:
    """Open the run of `options.teacher`, where there is one.

    Raises:
        RunNotFoundError, RunError: it is no run, or damaged.
        UsageError: it has other labels, or no modality in common with the model.
    """
    if options.teacher is None:
        return None
    run = open_run(options.teacher)
    if run.labels != options.labels:
        raise UsageError(
            f"The teacher {options.teacher} has the labels {', '.join(run.labels)}, not {', '.join(options.labels)}: "
            "name a run with the same labels in the same order."
        )
    if not set(FUSIONS[run.fusion.name].modalities) & set(FUSIONS[options.fusion].modalities):
        raise UsageError(
            f"The teacher {options.teacher} ({run.fusion.name}) and {options.fusion} have no modality in common: name "
            "a run of another model."
        )
    return run


def check_teacher(run: Run, posts: LabelledPosts, heads: Sequence[str]) -> None:
    """Check that a teacher answers some of the posts, or trains one of the model's heads.

    Raises:
        InputError: it reads no whole post, and no head's modality.
        RunError: its weights can't be read.
    """
    run.build_model("best")
    modalities = FUSIONS[run.fusion.name].modalities
    if not _flag_whole_posts(modalities, posts).any() and not set(heads) & set(modalities):
        raise InputError(
            f"The teacher {run.path} ({run.fusion.name}) reads {modalities[0]}s alone, and none of the {len(posts):,} "
            f"posts to train on is one: name a teacher that reads both, or use --heads {modalities[0]}."
        )


def ask_teacher(
    run: Run,
    posts: LabelledPosts,
    options: TrainOptions,
    cache: Path,
    accelerator: Accelerator,
    tell: TrainingListener,
) -> npt.NDArray[np.float32]:
    """Return what `compute_answers` does, NaN for the posts of tables that have a `--teacher-weight` of 0.

    Raises:
        RunError, OutputError: see `compute_answers`.
    """
    taught = np.flatnonzero(np.asarray(options.teacher_weights)[posts.table] > 0)
    answers = np.full((len(posts), 3, len(run.labels)), np.nan, dtype=np.float32)
    answers[taught] = compute_answers(run, posts.select(taught), cache, accelerator, tell)
    return answers


def compute_answers(
    run: Run,
    posts: LabelledPosts,
    cache: Path,
    accelerator: Accelerator,
    tell: TrainingListener,
    weights: Weights = "best",
) -> npt.NDArray[np.float32]:
    """Return a run's probabilities for posts, float32 (posts, 3, labels): for the whole post, its text and its image.

    They are NaN where the post lacks that or the run can't read it. The run reads texts by its own normalisation. They
    are computed in the precision of `accelerator`, whose processes share the work (all must call this together), and
    cached in the folder `cache` by content: the same text, image or post is asked once, whatever table it is in.

    Raises:
        RunError: the run's weights are missing.
        OutputError: the cache can't be written to.
    """
    posts = posts.normalize_again(run.normalization)
    model = run.build_model(weights)
    digest = digest_weights(model, f"{run.fusion} {accelerator.mixed_precision}").hexdigest()
    file = cache / f"{digest[:32]}-answers.npy"
    dtype = np.dtype([("content", "S32"), ("scores", np.float32, (model.labels,))])
    cached = share_result(accelerator, lambda: load_array(file))
    cached = np.empty(0, dtype) if cached is None or cached.dtype != dtype else cached
    questions = _list_questions(posts, FUSIONS[run.fusion.name].modalities)
    contents = [_digest_contents(part) for _, part, _ in questions]
    missing = [np.flatnonzero(~np.isin(content, cached["content"])) for content in contents]
    total = sum(len(rows) for rows in missing)
    done = 0

    def count(scored: int) -> None:
        nonlocal done
        done = min(done + scored * accelerator.num_processes, total)
        tell(TeacherScored(done, total))

    model.to(accelerator.device)
    speed_up_convolutions(model, accelerator.mixed_precision, accelerator.device)
    answers = np.full((len(posts), 3, model.labels), np.nan, dtype=np.float32)
    for (place, part, rows), content, asked in zip(questions, contents, missing, strict=True):
        if len(asked):
            batcher = _make_batcher(run, model, part.select(asked), accelerator.device)
            found = np.empty(len(asked), dtype)
            found["content"] = content[asked]
            found["scores"] = score_posts(model, batcher, _BATCH, accelerator, count)
            cached = np.concatenate([cached, found])
            share_result(accelerator, partial(save_array, file, cached))
        order = np.argsort(cached["content"], kind="stable")
        scores = cached["scores"][order[np.searchsorted(cached["content"], content, sorter=order)]]
        answers[rows >= 0, place] = torch.from_numpy(scores).softmax(dim=1).numpy()[rows[rows >= 0]]
    for place, other in ((1, posts.image), (2, posts.text)):
        answers[other < 0, 0] = answers[other < 0, place]
    return answers


def _digest_contents(posts: LabelledPosts) -> npt.NDArray[np.bytes_]:
    """Return a digest of each post's text and images: S32 (posts,)."""
    texts = [posts.texts[text] if text >= 0 else None for text in posts.text]
    images = [[posts.image_digests[image] for image in row if image >= 0] for row in posts.all_images]
    contents = (json.dumps(content).encode() for content in zip(texts, images, strict=True))
    return np.array([blake2b(content, digest_size=16).hexdigest() for content in contents], dtype="S32")


def _flag_whole_posts(modalities: Sequence[str], posts: LabelledPosts) -> npt.NDArray[np.bool_]:
    """Return which posts have no other than the `modalities`: bool (posts,)."""
    reads_text, reads_image = "text" in modalities, "image" in modalities
    return (reads_text | (posts.text < 0)) & (reads_image | (posts.image < 0))


def _list_questions(posts: LabelledPosts, modalities: Sequence[str]) -> list[tuple[int, LabelledPosts, Int64Array]]:
    """Return questions: a place in the answers, the posts to score, and each post's row of these (int64, -1: none)."""
    nothing = np.full(len(posts), -1, dtype=np.int64)
    complete = np.flatnonzero(posts.is_complete)
    parts = []
    if set(modalities) == {"text", "image"}:
        rows = nothing.copy()
        rows[complete] = np.arange(len(complete))
        parts.append((0, posts.select(complete), rows))
    for place, modality, values, alone in (
        (1, "text", posts.text, replace(posts, image=nothing)),
        (2, "image", posts.image, replace(posts, text=nothing, more_images=None)),
    ):
        if modality in modalities:
            has = np.flatnonzero(values >= 0)
            _, first, index = np.unique(values[has], return_index=True, return_inverse=True)
            rows = nothing.copy()
            rows[has] = index
            parts.append((place, alone.select(has[first]), rows))
    return [part for part in parts if len(part[1])]


def _make_batcher(run: Run, model: SentimentModel, posts: LabelledPosts, device: torch.device) -> Batcher:
    tokenizer = None if model.text is None else TextTokenizer(run.tokenizer, model.text.config.max_tokens)
    pictures = Pictures(posts, 0 if model.image is None else model.image.config.size)
    pad_id = 0 if tokenizer is None else tokenizer.pad_id
    return Batcher(posts, tokenize_posts(posts, tokenizer), None, None, pictures, pad_id, device)
