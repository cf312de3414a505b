"""A model's answers to posts, and how good they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator

from sentimm.metrics.metrics import Metrics, measure_labels
from sentimm.models.sentiment_model import SentimentModel
from sentimm.training.data.batches import Batcher
from sentimm.training.data.head_labels import choose_targets
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.learning.objective import encode_batch


def score_posts(
    model: SentimentModel,
    batcher: Batcher,
    batch_size: int,
    accelerator: Accelerator,
    tell: Callable[[int], None] = lambda scored: None,
) -> npt.NDArray[np.float32]:
    """Score the batcher's posts as `score` would: float32 (posts, labels), before the softmax.

    It is done in the precision of `accelerator`, whose processes share the work: all must call this together. `tell`
    hears of each batch how many posts it had.
    """
    model.eval()
    plan = batcher.plan_evaluation(batch_size)[accelerator.process_index :: accelerator.num_processes]
    scores = np.zeros((len(batcher.posts), model.labels), dtype=np.float32)
    with torch.inference_mode(), accelerator.autocast():
        for rows, batch in zip(plan, batcher.iterate(plan), strict=True):
            answered = model.fuse(*encode_batch(model, batch), batch.text_index, batch.image_index).scores
            scores[rows] = answered.float().cpu().numpy()
            tell(len(rows))
    gathered = accelerator.reduce(torch.from_numpy(scores).to(batcher.device), "sum")
    return np.asarray(gathered.cpu(), dtype=np.float32)


def count_confusion(
    scores: npt.NDArray[np.float32], posts: LabelledPosts, heads: tuple[str, ...]
) -> npt.NDArray[np.int64]:
    """Count the answers of `score_posts` for each true label: int64 (true labels, answers)."""
    target = choose_targets(posts, heads)
    counts = np.zeros((scores.shape[1], scores.shape[1]), dtype=np.int64)
    known = target >= 0
    np.add.at(counts, (target[known], scores[known].argmax(axis=1)), 1)
    return counts


def measure_tables(scores: npt.NDArray[np.float32], posts: LabelledPosts, heads: tuple[str, ...]) -> dict[str, Metrics]:
    """Measure what `score_posts` gave, for each table that has labels of the posts; `heads` are the model's."""
    predicted = scores.argmax(axis=1)
    target = choose_targets(posts, heads)
    found = {}
    for number, name in enumerate(posts.tables):
        rows = np.flatnonzero((posts.table == number) & (target >= 0))
        if len(rows):
            found[name] = measure_labels(target[rows], predicted[rows])
    return found
