"""Batches of posts as tensors."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sentimm.text import TextTokenizer, pad_tokens
from sentimm.training.data.epochs import EpochDraw
from sentimm.training.data.frozen_features import FrozenFeatures
from sentimm.training.data.pictures import Pictures
from sentimm.training.data.posts import LabelledPosts

# Posts of so many batches are sorted by text length together: little padding, and still random.
_BUCKET_BATCHES = 40
_AHEAD = 3  # batches that are prepared while one is trained on


@dataclass(frozen=True)
class Batch:
    """One batch; index tensors as in `SentimentModel.fuse`, labels int64 (posts,) with -1 for "none".

    `ids` or `frozen_text`, and `pixels` or `frozen_image`: the inputs of a backbone, or the outputs of a frozen one;
    `mask` is that of the texts' tokens, where there are tokens. All are None where the model or the batch lacks the
    modality. `table`, `label_set`: which input and which set of labels a post is from, int64 (posts,).
    `teacher_answers`: the output of `compute_answers`, float32 (posts, 3, labels). `auxiliary`: as in `LabelledPosts`,
    float32 (posts, columns).
    """

    ids: Tensor | None
    mask: Tensor | None
    frozen_text: Tensor | None
    pixels: Tensor | None
    frozen_image: Tensor | None
    text_index: Tensor
    image_index: Tensor
    label: Tensor
    text_label: Tensor
    image_label: Tensor
    table: Tensor
    label_set: Tensor
    teacher_answers: Tensor | None
    auxiliary: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Return the batch on another device."""
        tensors: dict[str, Tensor | None] = vars(self)
        return replace(self, **{name: tensor.to(device) for name, tensor in tensors.items() if tensor is not None})


class Batcher:
    """Makes batches of posts; images are decoded in threads, some batches ahead.

    Args:
        posts: the posts; rows are numbers of them.
        tokens: token ids of each distinct text.
        frozen_text, frozen_image: outputs of frozen backbones for each distinct text or image, None where not frozen.
        pictures: the posts' images.
        pad_id: the padding token.
        device: where the tensors go.

    Attributes:
        teacher_answers: the output of `compute_answers`, float32 (posts, 3, labels); None without a teacher.
    """

    def __init__(
        self,
        posts: LabelledPosts,
        tokens: list[npt.NDArray[np.int64]],
        frozen_text: FrozenFeatures | None,
        frozen_image: FrozenFeatures | None,
        pictures: Pictures,
        pad_id: int,
        device: torch.device,
    ) -> None:
        self.posts = posts
        self.tokens = tokens
        self.frozen_text = frozen_text
        self.frozen_image = frozen_image
        self.pictures = pictures
        self.pad_id = pad_id
        self.device = device
        self.teacher_answers: npt.NDArray[np.float32] | None = None
        self._ahead = ThreadPoolExecutor(1)

    def share_with(self, posts: LabelledPosts, pictures: Pictures) -> Batcher:
        """Return a batcher of other posts over the same distinct texts and images."""
        return Batcher(posts, self.tokens, self.frozen_text, self.frozen_image, pictures, self.pad_id, self.device)

    def iterate(self, batches: list[npt.NDArray[np.int64]], epoch: int = 0) -> Iterator[Batch]:
        """Yield a batch of each array of post rows, int64; `epoch` seeds the augmentation and the choice of images."""
        waiting: deque[Future[Batch]] = deque()
        for rows in batches:
            waiting.append(self._ahead.submit(self._make, rows, epoch))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def plan_epoch(self, draw: EpochDraw, batch_size: int, rng: np.random.Generator) -> list[npt.NDArray[np.int64]]:
        """Cut an epoch into batches of post rows: those that `draw` asks for, texts of similar lengths together."""
        chosen = []
        for cell, count in enumerate(draw.counts.tolist()):
            rows = np.flatnonzero(draw.cell == cell)
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
        texts, text_index = index_present(posts.text[rows])
        images, image_index = index_present(posts.choose_images(rows, epoch))
        ids = mask = frozen_text = pixels = frozen_image = None
        if self.frozen_text is not None:
            frozen_text, mask = self.frozen_text.select(texts)
        elif len(texts):
            ids, mask = map(torch.from_numpy, pad_tokens([self.tokens[text] for text in texts], self.pad_id))
        if self.frozen_image is not None:
            frozen_image, _ = self.frozen_image.select(images)
        elif len(images):
            pixels = torch.from_numpy(self.pictures.load(images, epoch))
        batch = Batch(
            ids=ids,
            mask=mask,
            frozen_text=frozen_text,
            pixels=pixels,
            frozen_image=frozen_image,
            text_index=torch.from_numpy(text_index),
            image_index=torch.from_numpy(image_index),
            label=torch.from_numpy(posts.label[rows]),
            text_label=torch.from_numpy(posts.text_label[rows]),
            image_label=torch.from_numpy(posts.image_label[rows]),
            table=torch.from_numpy(posts.table[rows]),
            label_set=torch.from_numpy(posts.label_set[rows]),
            teacher_answers=None if self.teacher_answers is None else torch.from_numpy(self.teacher_answers[rows]),
            auxiliary=None if posts.auxiliary is None else torch.from_numpy(posts.auxiliary[rows].astype(np.float32)),
        )
        return batch.to(self.device)


def tokenize_posts(posts: LabelledPosts, tokenizer: TextTokenizer | None) -> list[npt.NDArray[np.int64]]:
    """Tokenise each distinct text, int64 (tokens,) each; none where the model has no text encoder."""
    return [] if tokenizer is None else tokenizer.encode(posts.texts)


def index_present(values: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the numbers that occur (-1: none), and each post's index into them (their count: none)."""
    present, inverse = np.unique(values[values >= 0], return_inverse=True)
    index = np.full(len(values), len(present), dtype=np.int64)
    index[values >= 0] = inverse
    return present, index
