"""A teacher's answers to posts, cached by content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
from accelerate import Accelerator

from sentimm.training.data.array_cache import load_array, save_array
from sentimm.training.data.posts import Int64Array, LabelledPosts
from sentimm.training.events import TeacherScored, TrainingListener
from sentimm.training.learning.processes import share_result
from sentimm.training.learning.teacher import Teacher
from sentimm.training.options import TrainOptions


def ask_teachers(
    teachers: Mapping[str, Teacher],
    posts: LabelledPosts,
    options: TrainOptions,
    cache: Path,
    accelerator: Accelerator,
    tell: TrainingListener,
) -> npt.NDArray[np.float32]:
    """Return what `compute_answers` does, of each table's own teacher; NaN where `--teacher-weight` is 0.

    Raises:
        RunError, BundleError, OutputError: see `compute_answers`.
    """
    answers = np.full((len(posts), 3, len(options.labels)), np.nan, dtype=np.float32)
    for name, teacher in teachers.items():
        taught = np.flatnonzero(np.isin(posts.table, options.list_taught(name)))
        if len(taught):
            answers[taught] = compute_answers(teacher, posts.select(taught), cache, accelerator, tell)
    return answers


def compute_answers(
    teacher: Teacher, posts: LabelledPosts, cache: Path, accelerator: Accelerator, tell: TrainingListener
) -> npt.NDArray[np.float32]:
    """Return a teacher's probabilities for posts, float32 (posts, 3, labels): for the whole post, its text, its image.

    They are NaN where the post lacks that or the teacher can't read it. It reads texts by its own normalisation. The
    processes of `accelerator` must call this together. Answers are cached in the folder `cache` by content: the same
    text, image or post is asked once, whatever table it is in.

    Raises:
        RunError, BundleError: the teacher's weights are missing, or fail.
        OutputError: the cache can't be written to.
    """
    posts = posts.normalize_again(teacher.normalization)
    file = cache / f"{teacher.identify(accelerator)[:32]}-answers.npy"
    dtype = np.dtype([("content", "S32"), ("answer", np.float32, (len(teacher.labels),))])
    cached = share_result(accelerator, lambda: load_array(file))
    cached = np.empty(0, dtype) if cached is None or cached.dtype != dtype else cached
    questions = _list_questions(posts, teacher.modalities)
    contents = [_digest_contents(part) for _, part, _ in questions]
    missing = [np.flatnonzero(~np.isin(content, cached["content"])) for content in contents]
    total = sum(len(rows) for rows in missing)
    done = 0

    def count(scored: int) -> None:
        nonlocal done
        done = min(done + scored, total)
        tell(TeacherScored(done, total))

    answers = np.full((len(posts), 3, len(teacher.labels)), np.nan, dtype=np.float32)
    for (place, part, rows), content, asked in zip(questions, contents, missing, strict=True):
        if len(asked):
            found = np.empty(len(asked), dtype)
            found["content"] = content[asked]
            found["answer"] = teacher.answer(part.select(asked), accelerator, count)
            cached = np.concatenate([cached, found])
            share_result(accelerator, partial(save_array, file, cached))
        order = np.argsort(cached["content"], kind="stable")
        values = cached["answer"][order[np.searchsorted(cached["content"], content, sorter=order)]]
        answers[rows >= 0, place] = values[rows[rows >= 0]]
    teacher.close()
    for place, other in ((1, posts.image), (2, posts.text)):
        answers[other < 0, 0] = answers[other < 0, place]
    return answers


def _digest_contents(posts: LabelledPosts) -> npt.NDArray[np.bytes_]:
    """Return a digest of each post's text and images: S32 (posts,)."""
    texts = [posts.texts[text] if text >= 0 else None for text in posts.text]
    images = [[posts.image_digests[image] for image in row if image >= 0] for row in posts.all_images]
    contents = (json.dumps(content).encode() for content in zip(texts, images, strict=True))
    return np.array([blake2b(content, digest_size=16).hexdigest() for content in contents], dtype="S32")


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
        (1, "text", posts.text[:, None], replace(posts, image=nothing, more_images=None)),
        (2, "image", posts.all_images, replace(posts, text=nothing)),
    ):
        if modality in modalities:
            has = np.flatnonzero(values[:, 0] >= 0)
            _, first, index = np.unique(values[has], axis=0, return_index=True, return_inverse=True)
            rows = nothing.copy()
            rows[has] = index.ravel()
            parts.append((place, alone.select(has[first]), rows))
    return [part for part in parts if len(part[1])]
