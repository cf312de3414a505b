"""The teacher: a run whose answers to the posts are learned beside their labels.

Knowledge distillation at temperature 1: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator

from sentimm.errors import InputError, UsageError
from sentimm.models.sentiment_model import FUSIONS, SentimentModel
from sentimm.text import TextTokenizer
from sentimm.training.data.array_cache import load_array, load_or_compute
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
    cached in the folder `cache` by what was asked: the same texts of other tables are not asked again.

    Raises:
        RunError: the run's weights are missing.
        OutputError: the cache can't be written to.
    """
    posts = posts.normalize_again(run.normalization)
    model = run.build_model(weights)
    digest = digest_weights(model, f"{run.fusion} {accelerator.mixed_precision}")
    questions = []
    for place, part, rows in _list_questions(posts, FUSIONS[run.fusion.name].modalities):
        order, content = _sort_contents(part)
        own = digest.copy()
        own.update(content.encode())
        sorted_rows = np.where(rows >= 0, np.argsort(order)[rows], -1)
        questions.append((place, part.select(order), sorted_rows, cache / f"{own.hexdigest()[:32]}-answers.npy"))
    found = share_result(accelerator, lambda: [load_array(file) for *_, file in questions])
    total = sum(len(part) for (_, part, _, _), scores in zip(questions, found, strict=True) if scores is None)
    done = 0

    def count(scored: int) -> None:
        nonlocal done
        done = min(done + scored * accelerator.num_processes, total)
        tell(TeacherScored(done, total))

    model.to(accelerator.device)
    speed_up_convolutions(model, accelerator.mixed_precision, accelerator.device)
    answers = np.full((len(posts), 3, model.labels), np.nan, dtype=np.float32)
    for (place, part, rows, file), scores in zip(questions, found, strict=True):
        if scores is None:
            scores = score_posts(model, _make_batcher(run, model, part, accelerator.device), _BATCH, accelerator, count)
            share_result(accelerator, partial(load_or_compute, file, partial(np.asarray, scores)))
        answers[rows >= 0, place] = torch.from_numpy(scores).softmax(dim=1).numpy()[rows[rows >= 0]]
    for place, other in ((1, posts.image), (2, posts.text)):
        answers[other < 0, 0] = answers[other < 0, place]
    return answers


def _sort_contents(posts: LabelledPosts) -> tuple[Int64Array, str]:
    """Return the posts in the order of their texts and images, int64 (posts,), and these in one string."""
    texts = [posts.texts[text] if text >= 0 else "" for text in posts.text]
    images = [[posts.image_digests[image] for image in row if image >= 0] for row in posts.all_images]
    contents = [json.dumps(content) for content in zip(texts, images, strict=True)]
    order = sorted(range(len(contents)), key=contents.__getitem__)
    return np.asarray(order, dtype=np.int64), "\n".join(contents[row] for row in order)


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
