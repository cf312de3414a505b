"""Validation: a model's scores for posts, and their metrics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from torch import Tensor

from sentimm.metrics.metrics import Metrics, measure_labels
from sentimm.models.sentiment_model import SentimentModel
from sentimm.training.data.batches import Batcher
from sentimm.training.data.head_labels import choose_allowed, choose_targets
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

    Of a post with several images it is the logarithm of the mean of the probabilities.

    It runs in the precision of `accelerator`, whose processes share the work: all must call this together. `tell` gets
    the number of posts of each batch.
    """
    model.eval()
    posts, post_of = batcher.posts.pair_images()
    if posts is not batcher.posts:
        batcher = batcher.share_with(posts, batcher.pictures)
    plan = batcher.plan_evaluation(batch_size)[accelerator.process_index :: accelerator.num_processes]
    scores = np.zeros((len(batcher.posts), model.labels), dtype=np.float32)
    with torch.inference_mode(), accelerator.autocast():
        for rows, batch in zip(plan, batcher.iterate(plan), strict=True):
            output = model.fuse(*encode_batch(model, batch), batch.text_index, batch.image_index).scores
            scores[rows] = output.float().cpu().numpy()
            tell(len(rows))
    gathered = accelerator.reduce(torch.from_numpy(scores).to(batcher.device), "sum")
    if len(post_of) and post_of[-1] + 1 < len(post_of):
        gathered = _average(gathered, torch.from_numpy(post_of).to(gathered.device))
    return np.asarray(gathered.cpu(), dtype=np.float32)


def _average(scores: Tensor, post_of: Tensor) -> Tensor:
    """Return the logarithms of the mean probabilities of each post's rows of `scores`; `post_of` is ascending."""
    sums = torch.zeros(int(post_of[-1]) + 1, scores.shape[1], dtype=torch.float64, device=scores.device)
    sums = sums.index_add(0, post_of, scores.double().softmax(dim=1))
    return (sums / torch.bincount(post_of)[:, None]).log().float()


def predict_labels(
    scores: npt.NDArray[np.float32], posts: LabelledPosts, heads: tuple[str, ...]
) -> npt.NDArray[np.int64]:
    """Return the likeliest label of each post, among those that its set has: int64 (posts,)."""
    allowed = choose_allowed(posts, heads)
    among = scores if allowed is None else np.where(allowed, scores, -np.inf)
    return np.asarray(among.argmax(axis=1), dtype=np.int64)


def count_confusion(
    scores: npt.NDArray[np.float32], posts: LabelledPosts, heads: tuple[str, ...]
) -> npt.NDArray[np.int64]:
    """Count the predicted labels for each true label: int64 (true labels, answers)."""
    target, predicted = choose_targets(posts, heads), predict_labels(scores, posts, heads)
    counts = np.zeros((scores.shape[1], scores.shape[1]), dtype=np.int64)
    labelled = target >= 0
    np.add.at(counts, (target[labelled], predicted[labelled]), 1)
    return counts


def measure_tables(scores: npt.NDArray[np.float32], posts: LabelledPosts, heads: tuple[str, ...]) -> dict[str, Metrics]:
    """Measure the output of `score_posts` for each table that has labels; `heads` are the model's."""
    predicted = predict_labels(scores, posts, heads)
    target = choose_targets(posts, heads)
    metrics = {}
    for number, name in enumerate(posts.tables):
        rows = np.flatnonzero((posts.table == number) & (target >= 0))
        if len(rows):
            metrics[name] = measure_labels(target[rows], predicted[rows])
    return metrics
