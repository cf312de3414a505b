"""Outputs of frozen backbones for each distinct text or image: computed once, cached, and read by row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sentimm.images import RESIZER
from sentimm.models.image_encoder import ImageEncoder
from sentimm.models.text_encoder import TextEncoder
from sentimm.text import pad_tokens
from sentimm.training.data.array_cache import load_array, load_or_compute, map_or_compute
from sentimm.training.data.posts import LabelledPosts, decode_images

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float16]
Ids = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]

_BATCH = 32


@dataclass(frozen=True)
class FrozenFeatures:
    """Outputs of a frozen encoder's `extract`.

    Attributes:
        values: float32 (rows, channels), pooled; or float16 in a mapped file, (rows, cells, channels) of images and
            (tokens of all texts, channels) of texts.
        starts: int64 (rows + 1,), where each text's tokens begin in `values`; None: one row each.
    """

    values: Floats
    starts: Ids | None = None

    def select(self, rows: Ids) -> tuple[Tensor, Tensor | None]:
        """Return the input of `finish` for the rows: float32, and for texts' tokens an int64 mask (rows, tokens)."""
        if self.starts is None:
            return torch.from_numpy(np.asarray(self.values[rows], dtype=np.float32)), None
        lengths = self.starts[rows + 1] - self.starts[rows]
        longest = int(lengths.max(initial=1))
        tokens = np.zeros((len(rows), longest, self.values.shape[1]), dtype=np.float32)
        for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            tokens[place, :length] = self.values[self.starts[row] : self.starts[row] + length]
        mask = (np.arange(longest) < lengths[:, None]).astype(np.int64)
        return torch.from_numpy(tokens), torch.from_numpy(mask)


def extract_texts(
    encoder: TextEncoder, tokens: list[Ids], pad_id: int, device: torch.device, cache: Path, tell: Progress
) -> FrozenFeatures:
    """Run a frozen text backbone over all distinct texts, given as token ids, int64 (tokens,) each.

    The result is cached in the folder `cache`, under a digest of the weights and the tokens; `tell` gets the numbers of
    texts done and in all.
    """
    sequence = encoder.config.sequence
    digest = digest_weights(encoder.backbone, "hidden states" if sequence else f"{encoder.config.pooling} of them")
    for row in tokens:
        digest.update(row.tobytes() + b";")
    file = cache / f"{digest.hexdigest()[:32]}.npy"
    if not sequence:

        def pool() -> npt.NDArray[np.float32]:
            pooled = np.zeros((len(tokens), encoder.hidden_size), dtype=np.float32)
            for rows, extracted, _ in _run_texts(encoder, tokens, pad_id, device, tell):
                pooled[rows] = extracted
            return pooled

        return FrozenFeatures(load_or_compute(file, pool))
    starts = np.concatenate([[0], np.cumsum([len(row) for row in tokens], dtype=np.int64)]).astype(np.int64)

    def fill(values: npt.NDArray[np.float16]) -> None:
        for rows, extracted, lengths in _run_texts(encoder, tokens, pad_id, device, tell):
            for row, states, length in zip(rows, extracted, lengths, strict=True):
                values[starts[row] : starts[row + 1]] = states[:length]

    shape = (int(starts[-1]), encoder.hidden_size)
    return FrozenFeatures(map_or_compute(file, np.float16, shape, fill), starts)


def extract_images(
    encoder: ImageEncoder, posts: LabelledPosts, device: torch.device, cache: Path, tell: Progress
) -> FrozenFeatures:
    """Run frozen image backbones over all distinct images.

    The result is cached in the folder `cache`, under a digest of the weights and the images' content; `tell` gets the
    numbers of images done and in all.
    """
    config = encoder.config
    kind = "cells" if config.sequence else "average of each map"
    kind += ", own vectors" if any(each.has_own_vector for each in encoder.backbones) else ""
    digest = digest_weights(encoder.backbones, f"{config.backbones} {config.size} {config.levels} {RESIZER} {kind}")
    for image in posts.image_digests:
        digest.update(image.encode())
    file = cache / f"{digest.hexdigest()[:32]}{'-maps' if encoder.config.sequence else ''}.npy"
    if not encoder.config.sequence:
        return FrozenFeatures(
            load_or_compute(file, lambda: np.concatenate(list(_run_images(encoder, posts, device, tell))))
        )
    if (cached := load_array(file, mapped=True)) is not None:
        return FrozenFeatures(cached)
    batches = _run_images(encoder, posts, device, tell)
    first = next(batches)

    def fill(values: npt.NDArray[np.float16]) -> None:
        values[: len(first)] = first
        done = len(first)
        for extracted in batches:
            values[done : done + len(extracted)] = extracted
            done += len(extracted)

    shape = (len(posts.images), *first.shape[1:])
    return FrozenFeatures(map_or_compute(file, np.float16, shape, fill))


def _run_texts(
    encoder: TextEncoder, tokens: list[Ids], pad_id: int, device: torch.device, tell: Progress
) -> Iterator[tuple[Ids, npt.NDArray[np.float32], list[int]]]:
    """Yield batches of similar lengths: row numbers, outputs (rows, ...), and how many tokens each row has."""
    order = np.argsort([len(row) for row in tokens], kind="stable")
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        ids, mask = (torch.from_numpy(each).to(device) for each in pad_tokens([tokens[row] for row in rows], pad_id))
        with torch.inference_mode():
            extracted = encoder.extract(ids, mask).float().cpu().numpy()
        yield rows, extracted, [len(tokens[row]) for row in rows]
        tell(start + len(rows), len(order))


def _run_images(
    encoder: ImageEncoder, posts: LabelledPosts, device: torch.device, tell: Progress
) -> Iterator[npt.NDArray[np.float32]]:
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(posts.images), _BATCH):
            images = posts.images[start : start + _BATCH]
            pixels = torch.from_numpy(decode_images(images, encoder.config.size, pool)).to(device)
            with torch.inference_mode():
                extracted = encoder.extract(pixels).float().cpu().numpy()
            yield extracted
            tell(start + len(images), len(posts.images))


def digest_weights(module: nn.Module, settings: str) -> hashlib._Hash:
    """Return a SHA-256 object over the settings and weights of a module."""
    digest = hashlib.sha256(settings.encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
    return digest
