"""A teacher: a run whose answers to the posts are learnt beside their labels.

Knowledge distillation at temperature 1: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator

from sentimm.errors import InputError, UsageError
from sentimm.models.fusion import FUSIONS
from sentimm.text import TextTokenizer
from sentimm.training.batches import Batcher, tokenize_posts
from sentimm.training.dataset import LabelledPosts
from sentimm.training.events import TeacherAsked, TrainingListener
from sentimm.training.frozen import digest_weights
from sentimm.training.kept import keep_array, load_array
from sentimm.training.options import TrainOptions
from sentimm.training.pictures import Pictures
from sentimm.training.processes import agree_on
from sentimm.training.run import Run, open_run
from sentimm.training.validation import score_posts

_BATCH = 64


def open_teacher(options: TrainOptions) -> Run | None:
    """Open the run that teaches, where there is one.

    Raises:
        RunNotFoundError, RunError: it is no run, or damaged.
        UsageError: it has other labels, or reads nothing that the model reads.
    """
    if options.teacher is None:
        return None
    run = open_run(options.teacher)
    if run.labels != options.labels:
        raise UsageError(
            f"The teacher {options.teacher} knows the labels {', '.join(run.labels)}, not {', '.join(options.labels)}: "
            "name a run with the same labels in the same order."
        )
    if not set(FUSIONS[run.fusion.name].modalities) & set(FUSIONS[options.fusion].modalities):
        raise UsageError(
            f"The teacher {options.teacher} ({run.fusion.name}) reads nothing that {options.fusion} reads: name a run "
            "of another model."
        )
    return run


def ask_teacher(
    run: Run, posts: LabelledPosts, cache: Path, accelerator: Accelerator, tell: TrainingListener
) -> npt.NDArray[np.float32]:
    """Give a run's probabilities for posts, float32 (posts, labels); NaN for posts that it can't read as a whole.

    They are computed in the precision of `accelerator`, whose processes share the work (all must call this together),
    and kept in the folder `cache`.

    Raises:
        RunError: the run's weights are not there.
        OutputError: the cache can't be written to.
    """
    model = run.build_model("best")
    digest = digest_weights(model, f"{run.fusion} {accelerator.mixed_precision}")
    digest.update(posts.digest().encode())
    file = cache / f"{digest.hexdigest()[:32]}-answers.npy"
    kept = agree_on(accelerator, lambda: load_array(file))
    if kept is not None:
        return np.asarray(kept, dtype=np.float32)
    device = accelerator.device
    model.to(device)
    rows = find_readable(run, posts)
    asked = posts.select(rows)
    tokenizer = None if model.text is None else TextTokenizer(run.tokenizer, model.text.config.max_tokens)
    pictures = Pictures(asked, 224 if model.image is None else model.image.config.size)
    pad_id = 0 if tokenizer is None else tokenizer.pad_id
    batcher = Batcher(asked, tokenize_posts(asked, tokenizer), None, None, pictures, pad_id, device)
    scores = score_posts(model, batcher, _BATCH, accelerator, lambda done, total: tell(TeacherAsked(done, total)))
    answers = np.full((len(posts), scores.shape[1]), np.nan, dtype=np.float32)
    answers[rows] = torch.from_numpy(scores).softmax(dim=1).numpy()
    agree_on(accelerator, lambda: keep_array(file, lambda: answers))
    return answers


def find_readable(run: Run, posts: LabelledPosts) -> npt.NDArray[np.int64]:
    """Give the rows of the posts of which a run reads all that they have, int64.

    Raises:
        InputError: there are none.
    """
    modalities = FUSIONS[run.fusion.name].modalities
    unread = np.zeros(len(posts), dtype=bool)
    for modality, rows in (("text", posts.text), ("image", posts.image)):
        if modality not in modalities:
            unread |= rows >= 0
    if unread.all():
        raise InputError(
            f"The teacher {run.path} ({run.fusion.name}) reads {modalities[0]}s alone, and none of the {len(posts):,} "
            f"posts to train on is one: name a teacher that reads both, or add posts of {modalities[0]}s alone."
        )
    return np.flatnonzero(~unread)
