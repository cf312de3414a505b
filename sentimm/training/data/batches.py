"""Batches of posts as tensors."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sentimm.text import TextTokenizer, pad_tokens
from sentimm.training.data.frozen_features import FrozenOutputs
from sentimm.training.data.pictures import Pictures
from sentimm.training.data.posts import LabelledPosts

# Batches are cut from the sorted texts of so many batches' posts: little padding, and still random.
_BUCKET_BATCHES = 40
_AHEAD = 3  # batches that are made while one is trained on


@dataclass(frozen=True)
class Batch:
    """One batch on a device; index tensors as in `SentimentModel.fuse`, labels int64 (posts,) with -1 for "none".

    `ids` or `text_raw`, and `pixels` or `image_raw`: the inputs of a backbone, or a frozen one's outputs; `mask` is
    that of the texts' tokens, where there are tokens. All are None where the model or the batch has nothing of that
    modality. `table`: which input a post is from, int64 (posts,). `taught`: what `ask_teacher` gave, float32 (posts, 3,
    labels).
    """

    ids: Tensor | None
    mask: Tensor | None
    text_raw: Tensor | None
    pixels: Tensor | None
    image_raw: Tensor | None
    text_index: Tensor
    image_index: Tensor
    label: Tensor
    text_label: Tensor
    image_label: Tensor
    table: Tensor
    taught: Tensor | None


class Batcher:
    """Makes batches of posts; images are decoded in threads, some batches ahead.

    Args:
        posts: the posts that row numbers mean.
        tokens: token ids of each distinct text.
        text_raw, image_raw: outputs of frozen backbones for each distinct text or image, None where not frozen.
        pictures: the posts' images.
        pad_id: the padding token.
        device: where the tensors go.

    Attributes:
        taught: what `ask_teacher` gave for the posts, float32 (posts, 3, labels); None where nobody teaches.
    """

    def __init__(
        self,
        posts: LabelledPosts,
        tokens: list[npt.NDArray[np.int64]],
        text_raw: FrozenOutputs | None,
        image_raw: FrozenOutputs | None,
        pictures: Pictures,
        pad_id: int,
        device: torch.device,
    ) -> None:
        self.posts = posts
        self.tokens = tokens
        self.text_raw = text_raw
        self.image_raw = image_raw
        self.pictures = pictures
        self.pad_id = pad_id
        self.device = device
        self.taught: npt.NDArray[np.float32] | None = None
        self._ahead = ThreadPoolExecutor(1)

    def over(self, posts: LabelledPosts, pictures: Pictures) -> Batcher:
        """Make a batcher of other posts with the same distinct texts and images."""
        return Batcher(posts, self.tokens, self.text_raw, self.image_raw, pictures, self.pad_id, self.device)

    def iterate(self, batches: list[npt.NDArray[np.int64]], epoch: int = 0) -> Iterator[Batch]:
        """Make a batch of each array of post rows, int64; `epoch` decides how images are augmented."""
        waiting: deque[Future[Batch]] = deque()
        for rows in batches:
            waiting.append(self._ahead.submit(self._make, rows, epoch))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def plan_epoch(
        self, weights: tuple[float, ...], batch_size: int, rng: np.random.Generator
    ) -> list[npt.NDArray[np.int64]]:
        """Cut an epoch into batches of post rows: each table as often as its weight says, like lengths together."""
        chosen = []
        for table, weight in enumerate(weights):
            rows = np.flatnonzero(self.posts.table == table)
            count = count_seen(len(rows), weight)
            repeats = [rng.permutation(rows) for _ in range(-(-count // max(len(rows), 1)))]
            chosen.append(np.concatenate([*repeats, rows[:0]])[:count])
        order = rng.permutation(np.concatenate(chosen))
        batches: list[npt.NDArray[np.int64]] = []
        for start in range(0, len(order), batch_size * _BUCKET_BATCHES):
            batches += self.plan_evaluation(batch_size, order[start : start + batch_size * _BUCKET_BATCHES])
        return [batches[number] for number in rng.permutation(len(batches))]

    def plan_evaluation(
        self, batch_size: int, rows: npt.NDArray[np.int64] | None = None
    ) -> list[npt.NDArray[np.int64]]:
        """Cut `rows` (all posts by default) into batches, sorted by the length of the text."""
        rows = np.arange(len(self.posts)) if rows is None else rows
        lengths = np.asarray([len(self.tokens[text]) if text >= 0 else 0 for text in self.posts.text[rows]], dtype=int)
        rows = rows[np.argsort(lengths, kind="stable")]
        return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]

    def _make(self, rows: npt.NDArray[np.int64], epoch: int) -> Batch:
        posts = self.posts
        texts, text_index = _index_present(posts.text[rows])
        images, image_index = _index_present(posts.image[rows])
        ids = mask = text_raw = pixels = image_raw = None
        if self.text_raw is not None:
            text_raw, mask = self.text_raw.select(texts)
        elif len(texts):
            ids, mask = map(torch.from_numpy, pad_tokens([self.tokens[text] for text in texts], self.pad_id))
        if self.image_raw is not None:
            image_raw, _ = self.image_raw.select(images)
        elif len(images):
            pixels = torch.from_numpy(self.pictures.load(images, epoch))
        columns = (posts.label, posts.text_label, posts.image_label, posts.table)
        labels = (torch.from_numpy(column[rows]) for column in columns)
        taught = None if self.taught is None else torch.from_numpy(self.taught[rows])
        tensors = (ids, mask, text_raw, pixels, image_raw, torch.from_numpy(text_index), torch.from_numpy(image_index))
        return Batch(*(None if tensor is None else tensor.to(self.device) for tensor in (*tensors, *labels, taught)))  # type: ignore[arg-type]


def count_seen(posts: int, weight: float) -> int:
    """Tell how many posts of a table an epoch sees."""
    return round(posts * weight)


def tokenize_posts(posts: LabelledPosts, tokenizer: TextTokenizer | None) -> list[npt.NDArray[np.int64]]:
    """Tokenise each distinct text, int64 (tokens,) each; nothing where the model has no text encoder."""
    return [] if tokenizer is None else tokenizer.encode(posts.texts)


def _index_present(values: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split numbers (-1: none) into those that occur, and each post's index into them (their count: none)."""
    present, inverse = np.unique(values[values >= 0], return_inverse=True)
    index = np.full(len(values), len(present), dtype=np.int64)
    index[values >= 0] = inverse
    return present, index
