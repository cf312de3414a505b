"""The check of an export: answers as the trained model gives them, and for each post whatever its neighbours."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sentimm.bundle import Bundle, Precision
from sentimm.errors import ParityError
from sentimm.evaluation.metrics import measure_labels
from sentimm.models.fusion import SentimentModel
from sentimm.scoring.engine import Engine
from sentimm.text import TextTokenizer, pad_tokens
from sentimm.training.run import StoredPosts

# The design's first promise: how far a post's probabilities may move with its neighbours.
NEIGHBOUR_TOLERANCE: dict[Precision, float] = {"int8": 1e-3, "fp32": 1e-4, "fp16": 5e-3}
_FP32_TOLERANCE = 1e-4
_BATCH = 32


@dataclass(frozen=True)
class Parity:
    """How one precision of a bundle compares with PyTorch over `posts` held-out posts.

    `agreement` is the share of equal labels, `largest_difference` that of a probability; `neighbour_difference` is how
    far a post's probabilities move between scoring it alone and in a batch with longer ones. The accuracies are over
    the posts that have a label.
    """

    posts: int
    agreement: float
    largest_difference: float
    neighbour_difference: float
    accuracy: float
    accuracy_pytorch: float


def compare_with_model(model: SentimentModel, bundle: Bundle, precision: Precision, posts: StoredPosts) -> Parity:
    """Score `posts` with the PyTorch model and with `precision` of the bundle, on the CPU."""
    prepared = _Prepared(bundle, posts)
    engine = Engine(bundle, device="cpu", precision=precision, batch_size=_BATCH)
    expected = prepared.score_in_pytorch(model)
    found = prepared.score(engine)
    return Parity(
        posts=len(posts.texts),
        agreement=float((expected.argmax(axis=1) == found.argmax(axis=1)).mean()),
        largest_difference=float(np.abs(expected - found).max()),
        neighbour_difference=_measure_neighbours(prepared, engine),
        accuracy=_accuracy(posts, found),
        accuracy_pytorch=_accuracy(posts, expected),
    )


def check_parity(parity: Parity, precision: Precision, min_agreement: float) -> None:
    """Refuse a precision whose answers are not the model's.

    Raises:
        ParityError: fp32 probabilities differ by more than 1e-4, another precision's labels agree less often than
            `min_agreement`, or a post's answer depends on its neighbours.
    """
    if precision == "fp32" and parity.largest_difference > _FP32_TOLERANCE:
        raise ParityError(
            f"The fp32 graphs differ from PyTorch by {parity.largest_difference:.1e} in a probability, more than the "
            f"{_FP32_TOLERANCE:.0e} that rounding explains: nothing was written. Please report this."
        )
    if parity.agreement < min_agreement:
        raise ParityError(
            f"The {precision} graphs give the trained model's label on {parity.agreement:.1%} of {parity.posts} "
            f"held-out posts, fewer than {min_agreement:.0%}: nothing was written. Export without {precision}, give "
            "more posts with --calibration, or accept it with --min-agreement."
        )
    if parity.neighbour_difference > NEIGHBOUR_TOLERANCE[precision]:
        raise ParityError(
            f"A post's probabilities move by {parity.neighbour_difference:.1e} with its neighbours in the {precision} "
            f"graphs, more than {NEIGHBOUR_TOLERANCE[precision]:.0e}: nothing was written. Export without {precision}."
        )


def to_manifest(parity: Parity) -> dict[str, Any]:
    """Turn a comparison into what bundle.json holds."""
    return {key: round(value, 6) for key, value in asdict(parity).items()}


class _Prepared:
    """Posts as the graphs take them: `text_index` and `image_index` as in the fusion graph."""

    def __init__(self, bundle: Bundle, posts: StoredPosts) -> None:
        self.rows: list[npt.NDArray[np.int64]] = []
        self.pad_id = 0
        texts = [row for row, text in enumerate(posts.texts) if text] if bundle.text is not None else []
        images = (
            [row for row, image in enumerate(posts.images) if image is not None] if bundle.image is not None else []
        )
        if bundle.text is not None:
            tokenizer = TextTokenizer(bundle.text.tokenizer, bundle.text.max_tokens)
            self.pad_id = bundle.text.pad_id
            self.rows = tokenizer.encode([posts.texts[row] for row in texts])
        self.pixels = np.stack([image for image in posts.images if image is not None]) if images else None
        self.text_index = _index(len(posts.texts), texts) if bundle.text is not None else None
        self.image_index = _index(len(posts.texts), images) if bundle.image is not None else None
        self.size = None if bundle.image is None else bundle.image.size

    def score(self, engine: Engine) -> npt.NDArray[np.float32]:
        """Score all posts with the bundle: probabilities, float32 (posts, labels)."""
        text = None if self.text_index is None else engine.encode_texts(self.rows)
        return engine.fuse(text, self._encode_images(engine), self.text_index, self.image_index)

    def score_in_pytorch(self, model: SentimentModel) -> npt.NDArray[np.float32]:
        """Score all posts with the model: probabilities, float32 (posts, labels)."""
        text = image = None
        with torch.inference_mode():
            if model.text is not None:
                text = torch.cat(
                    [model.missing_text[:0]]
                    + [
                        model.text(*map(torch.from_numpy, pad_tokens(self.rows[start : start + _BATCH], self.pad_id)))
                        for start in range(0, len(self.rows), _BATCH)
                    ]
                )
            if model.image is not None:
                pixels = self._all_pixels()
                image = torch.cat(
                    [model.missing_image[:0]]
                    + [
                        model.image(torch.from_numpy(pixels[start : start + _BATCH]))
                        for start in range(0, len(pixels), _BATCH)
                    ]
                )
            scores = model.fuse(
                text,
                image,
                None if self.text_index is None else torch.from_numpy(self.text_index),
                None if self.image_index is None else torch.from_numpy(self.image_index),
            ).scores
        return scores.softmax(dim=1).numpy()

    def _all_pixels(self) -> npt.NDArray[np.uint8]:
        if self.pixels is not None:
            return self.pixels
        return np.zeros((0, 3, self.size or 1, self.size or 1), dtype=np.uint8)

    def _encode_images(self, engine: Engine) -> npt.NDArray[np.float32] | None:
        return None if self.image_index is None else engine.encode_images(self._all_pixels())


def _measure_neighbours(prepared: _Prepared, engine: Engine) -> float:
    """Score the shortest texts and some images alone and in one full batch with others."""
    worst = 0.0
    if prepared.text_index is not None and len(prepared.rows) > 1:
        rows = sorted(prepared.rows, key=len)
        chosen = rows[: _BATCH // 2] + rows[-(_BATCH // 2) :]
        together = engine.encode_texts(chosen)
        alone = np.concatenate([engine.encode_texts([row]) for row in chosen])
        worst = max(worst, _fused_difference(engine, "text", together, alone, prepared))
    if prepared.image_index is not None and prepared.pixels is not None and len(prepared.pixels) > 1:
        pixels = prepared.pixels[:_BATCH]
        together = engine.encode_images(pixels)
        alone = np.concatenate([engine.encode_images(pixels[row : row + 1]) for row in range(len(pixels))])
        worst = max(worst, _fused_difference(engine, "image", together, alone, prepared))
    return worst


def _fused_difference(
    engine: Engine,
    modality: str,
    together: npt.NDArray[np.float32],
    alone: npt.NDArray[np.float32],
    prepared: _Prepared,
) -> float:
    """Fuse features of one modality, the other one missing, both ways: the largest difference of a probability."""
    own = np.arange(len(together), dtype=np.int64)
    other = np.zeros_like(own)
    nothing = together[:0]

    def fuse(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if modality == "text":
            missing = (None, None) if prepared.image_index is None else (nothing, other)
            return engine.fuse(features, missing[0], own, missing[1])
        missing = (None, None) if prepared.text_index is None else (nothing, other)
        return engine.fuse(missing[0], features, missing[1], own)

    return float(np.abs(fuse(together) - fuse(alone)).max())


def _index(posts: int, present: list[int]) -> npt.NDArray[np.int64]:
    index = np.full(posts, len(present), dtype=np.int64)
    index[present] = np.arange(len(present))
    return index


def _accuracy(posts: StoredPosts, probabilities: npt.NDArray[np.float32]) -> float:
    labelled = posts.labels >= 0
    return measure_labels(posts.labels[labelled], probabilities[labelled].argmax(axis=1)).accuracy
