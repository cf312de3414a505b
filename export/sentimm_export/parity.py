"""The check of an export: a bundle answers like the trained model, and each post regardless of its neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sentimm.bundle.bundle import Bundle, Precision
from sentimm.errors import ParityError
from sentimm.metrics.metrics import measure_labels
from sentimm.models.sentiment_model import SentimentModel
from sentimm.runtime.encoded import Encoded
from sentimm.runtime.engine import Engine
from sentimm.text import pad_tokens
from sentimm.training.data.stored_posts import StoredPosts

# How far a post's probabilities may move with its neighbours (the first promise, docs/contributing/architecture.md).
NEIGHBOUR_TOLERANCE: dict[Precision, float] = {"int8": 1e-3, "fp32": 1e-4, "fp16": 5e-3}
_FP32_TOLERANCE = 1e-4
_BATCH = 32

Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]
TokenRows = list[Int64Array]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Parity:
    """How one precision of a bundle compares with PyTorch over `posts` held-out posts.

    `agreement` is the share of equal labels, `largest_difference` the largest difference of a probability;
    `neighbour_difference` is how far a post's probabilities move between scoring it alone and in a batch with longer
    ones. The accuracies are over the labelled posts, NaN where there are none.
    """

    posts: int
    agreement: float
    largest_difference: float
    neighbour_difference: float
    accuracy: float
    accuracy_pytorch: float


def check_precisions(
    model: SentimentModel,
    bundle: Bundle,
    precisions: Sequence[Precision],
    posts: StoredPosts,
    min_agreement: float,
    tell: Callable[[str], None],
) -> dict[Precision, Parity]:
    """Score `posts` with the PyTorch model and with each of the bundle's `precisions`, on the CPU, and compare.

    Raises:
        ParityError: see `check_parity`.
    """
    prepared = _PreparedPosts(bundle, posts)
    tell("scoring with PyTorch")
    expected = prepared.score_in_pytorch(model)
    parity: dict[Precision, Parity] = {}
    for precision in precisions:
        tell(f"comparing {precision} with PyTorch")
        engine = Engine(bundle, device="cpu", precision=precision, batch_size=_BATCH)
        actual = prepared.score(engine)
        parity[precision] = Parity(
            posts=len(posts.texts),
            agreement=float((expected.argmax(axis=1) == actual.argmax(axis=1)).mean()),
            largest_difference=float(np.abs(expected - actual).max()),
            neighbour_difference=_measure_neighbours(prepared, engine),
            accuracy=_measure_accuracy(posts, actual),
            accuracy_pytorch=_measure_accuracy(posts, expected),
        )
        check_parity(parity[precision], precision, min_agreement)
    return parity


def score_posts(engine: Engine, posts: StoredPosts) -> npt.NDArray[np.float32]:
    """Score `posts` with a bundle: probabilities, float32 (posts, labels), NaN where it reads nothing of a post."""
    return _PreparedPosts(engine.bundle, posts).score(engine)


def check_parity(parity: Parity, precision: Precision, min_agreement: float) -> None:
    """Check that a precision answers like the model.

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
            f"The {precision} graphs predict the trained model's label on {parity.agreement:.1%} of {parity.posts} "
            f"held-out posts, fewer than {min_agreement:.0%}: nothing was written. Leave {precision} out with "
            f"{_name_others(precision)}, name more posts with --calibration, or lower --min-agreement."
        )
    if parity.neighbour_difference > NEIGHBOUR_TOLERANCE[precision]:
        raise ParityError(
            f"A post's probabilities move by {parity.neighbour_difference:.1e} with its neighbours in the {precision} "
            f"graphs, more than {NEIGHBOUR_TOLERANCE[precision]:.0e}: nothing was written. Leave {precision} out with "
            f"{_name_others(precision)}."
        )


def _name_others(precision: Precision) -> str:
    return f"--precision {','.join(each for each in ('fp32', 'fp16', 'int8') if each != precision)}"


def describe_parity(parity: Parity) -> dict[str, Any]:
    """Return the fields of bundle.json."""
    return {key: round(value, 6) for key, value in asdict(parity).items() if not math.isnan(value)}


class _PreparedPosts:
    """Posts as inputs of the graphs: tokens, pixels, and the fusion graph's `text_index` and `image_index`."""

    def __init__(self, bundle: Bundle, posts: StoredPosts) -> None:
        self.posts = len(posts.texts)
        self.tokens: TokenRows = []
        self.pad_id = 0
        texts = [row for row, text in enumerate(posts.texts) if text] if bundle.text is not None else []
        images = (
            [row for row, image in enumerate(posts.images) if image is not None] if bundle.image is not None else []
        )
        if bundle.text is not None:
            tokenizer = bundle.text.load_tokenizer()
            self.pad_id = bundle.text.pad_id
            self.tokens = tokenizer.encode([posts.texts[row] for row in texts])
        size = 1 if bundle.image is None else bundle.image.size
        pixels = [image for image in posts.images if image is not None] if images else []
        self.pixels = np.stack(pixels) if pixels else np.zeros((0, 3, size, size), dtype=np.uint8)
        self.text_index = _index(len(posts.texts), texts) if bundle.text is not None else None
        self.image_index = _index(len(posts.texts), images) if bundle.image is not None else None
        self.temperatures = _list_temperatures(bundle, posts)

    def score(self, engine: Engine) -> npt.NDArray[np.float32]:
        """Score all posts with the bundle: probabilities, float32 (posts, labels)."""
        return self._in_batches(
            lambda texts, images, text_index, image_index: engine.fuse(
                None if texts is None else engine.encode_texts(texts),
                None if images is None else engine.encode_images(images),
                text_index,
                image_index,
            )
        )

    def score_in_pytorch(self, model: SentimentModel) -> npt.NDArray[np.float32]:
        """Score all posts with the model: probabilities, float32 (posts, labels)."""

        def score(
            texts: TokenRows | None,
            images: Pixels | None,
            text_index: Int64Array | None,
            image_index: Int64Array | None,
        ) -> Float32Array:
            text = image = None
            if model.text is not None and texts is not None:
                ids = map(torch.from_numpy, pad_tokens(texts, self.pad_id))
                text = model.text(*ids) if texts else model.text.encode_nothing()
            if model.image is not None and images is not None:
                image = model.image(torch.from_numpy(images)) if len(images) else model.image.encode_nothing()
            indices = (None if index is None else torch.from_numpy(index) for index in (text_index, image_index))
            return np.asarray(model.fuse(text, image, *indices).scores.numpy(), dtype=np.float32)

        with torch.inference_mode():
            scores = torch.from_numpy(self._in_batches(score)) / torch.from_numpy(self.temperatures)[:, None]
            return scores.softmax(dim=1).numpy()

    def _in_batches(
        self, score: Callable[[TokenRows | None, Pixels | None, Int64Array | None, Int64Array | None], Float32Array]
    ) -> npt.NDArray[np.float32]:
        """Call `score` with the texts, images and indices of each batch of posts, and join the results."""
        lengths = np.array([*map(len, self.tokens), 0])
        # Texts of like length together: little padding.
        order = (
            np.arange(self.posts) if self.text_index is None else np.argsort(lengths[self.text_index], kind="stable")
        )
        parts = []
        for start in range(0, self.posts, _BATCH):
            rows = order[start : start + _BATCH]
            texts = images = text_index = image_index = None
            if self.text_index is not None:
                chosen, text_index = _renumber(self.text_index[rows], len(self.tokens))
                texts = [self.tokens[row] for row in chosen]
            if self.image_index is not None:
                chosen, image_index = _renumber(self.image_index[rows], len(self.pixels))
                images = self.pixels[chosen]
            parts.append(score(texts, images, text_index, image_index))
        return np.concatenate(parts)[np.argsort(order)]


def _measure_neighbours(prepared: _PreparedPosts, engine: Engine) -> float:
    """Return how far probabilities move between texts or images scored alone and in one full batch.

    The batch holds the shortest texts with the longest, or some images; each is scored without the other modality, and
    with one text or image that all share.
    """
    worst = 0.0
    rows = sorted(prepared.tokens, key=len)
    texts = [*rows[: _BATCH // 2], *rows[_BATCH // 2 :][-(_BATCH // 2) :]]
    images = prepared.pixels[:_BATCH]
    nothing = (
        (None if prepared.text_index is None else engine.encode_texts([])),
        (None if prepared.image_index is None else engine.encode_images(prepared.pixels[:0])),
    )
    if len(texts) > 1:
        together = engine.encode_texts(texts)
        alone = [engine.encode_texts([row]) for row in texts]
        for image in [nothing[1]] + ([engine.encode_images(images[:1])] if len(images) else []):
            parts = [_fuse_all(engine, text, image, len(text)) for text in [together, *alone]]
            worst = max(worst, float(np.abs(parts[0] - np.concatenate(parts[1:])).max()))
    if len(images) > 1:
        together = engine.encode_images(images)
        alone = [engine.encode_images(images[row : row + 1]) for row in range(len(images))]
        for text in [nothing[0]] + ([engine.encode_texts(texts[-1:])] if texts else []):
            parts = [_fuse_all(engine, text, image, len(image)) for image in [together, *alone]]
            worst = max(worst, float(np.abs(parts[0] - np.concatenate(parts[1:])).max()))
    return worst


def _fuse_all(engine: Engine, text: Encoded | None, image: Encoded | None, posts: int) -> npt.NDArray[np.float32]:
    """Score posts with a row each of the modality that has as many rows, and the one row, or none, of the other."""
    index = [
        None
        if encoded is None
        else np.arange(posts, dtype=np.int64)
        if len(encoded) == posts
        else np.zeros(posts, dtype=np.int64)
        for encoded in (text, image)
    ]
    return engine.fuse(text, image, *index)


def _list_temperatures(bundle: Bundle, posts: StoredPosts) -> npt.NDArray[np.float32]:
    """Return each post's temperature, by the modalities that the model reads of it: float32 (posts,)."""
    names = [
        "+".join(
            name
            for name, present in (("text", bool(text)), ("image", image is not None))
            if present and name in bundle.modalities
        )
        for text, image in zip(posts.texts, posts.images, strict=True)
    ]
    return np.array([bundle.temperatures.get(name, 1.0) for name in names], dtype=np.float32)


def _renumber(index: Int64Array, rows: int) -> tuple[Int64Array, Int64Array]:
    """Return the rows that occur in `index`, and the index into these; the number of rows stands for none."""
    chosen, renumbered = np.unique(np.append(index, rows), return_inverse=True)
    return chosen[:-1], renumbered[:-1].astype(np.int64)


def _index(posts: int, present: list[int]) -> npt.NDArray[np.int64]:
    index = np.full(posts, len(present), dtype=np.int64)
    index[present] = np.arange(len(present))
    return index


def _measure_accuracy(posts: StoredPosts, probabilities: npt.NDArray[np.float32]) -> float:
    labelled = posts.labels >= 0
    if not labelled.any():
        return math.nan
    return measure_labels(posts.labels[labelled], probabilities[labelled].argmax(axis=1)).accuracy
