"""The limit of scoring on this machine: each stage alone on all cores, and the rate that they allow together.

Nothing of the pipeline is used here: its speed is compared with this limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.bundle.bundle import Bundle
from sentimm.corpus import Chunk, ImageFile
from sentimm.errors import ImageError
from sentimm.images import decode_image
from sentimm.runtime.batch_sizes import find_batch_sizes
from sentimm.runtime.encoded import Encoded
from sentimm.runtime.engine import Engine
from sentimm.text import normalize_texts

_ROUNDS = 2
_MOST_IMAGES = 512  # whose pixels are in memory: 75 MB at 224 px
_MOST_TEXTS = 4096

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stage:
    """A stage of scoring, measured alone on all cores.

    Attributes:
        name: what it does.
        batch: items in a batch; None: it has no batches.
        items: how many were measured.
        seconds: how long they took, in the fastest round.
        per_post: distinct items in a post of the corpus: 0.5 where half of the posts repeat others, or have none.
        on_gpu: whether a GPU does it.
    """

    name: str
    batch: int | None
    items: int
    seconds: float
    per_post: float
    on_gpu: bool = False

    @property
    def items_per_second(self) -> float:
        """Items in a second."""
        return self.items / self.seconds

    @property
    def seconds_per_post(self) -> float:
        """Seconds that all cores (or the GPU) need for a post."""
        return self.per_post * self.seconds / self.items

    def to_json(self) -> dict[str, Any]:
        """Return all figures as `sentimm bench --json` prints them."""
        derived = {"items_per_second": self.items_per_second, "ms_per_post": 1000 * self.seconds_per_post}
        return asdict(self) | derived


def find_limit(stages: Sequence[Stage]) -> float:
    """Return the posts per second that no arrangement of these stages exceeds.

    On CPUs that is the number of cores divided by the CPU-seconds that a post needs. A GPU works beside the CPU: there
    the slower of the two counts.
    """
    on_cpu = sum(stage.seconds_per_post for stage in stages if not stage.on_gpu)
    on_gpu = sum(stage.seconds_per_post for stage in stages if stage.on_gpu)
    return 1 / max(on_cpu, on_gpu)


def measure_stages(bundle: Bundle, engine: Engine, posts: Chunk) -> list[Stage]:
    """Measure what scoring `posts` needs: preparing texts, decoding images, each graph, at the best batch sizes.

    Raises:
        BundleError, DeviceError: as the engine's methods.
    """
    find_batch_sizes(engine)
    with ThreadPoolExecutor(engine.workers) as pool:
        text_stages, text = _measure_texts(bundle, engine, posts, pool)
        image_stages, image = _measure_images(bundle, engine, posts, pool)
        return [*text_stages, *image_stages, *_measure_fusion(engine, text, image, pool)]


def _measure_texts(
    bundle: Bundle, engine: Engine, posts: Chunk, pool: ThreadPoolExecutor
) -> tuple[list[Stage], Encoded | None]:
    """Measure the stages of texts, and return a batch of encoded ones; nothing where no post has a text."""
    if bundle.text is None:
        return [], None
    normalization = bundle.text.normalization
    texts = posts.texts.filter(pl.Series(~posts.unreadable)).drop_nulls()
    distinct = normalize_texts(texts, normalization).unique(maintain_order=True)
    distinct = distinct.filter(distinct != "")
    if not len(distinct):
        return [], None
    sample = texts.unique(maintain_order=True).head(_MOST_TEXTS)
    tokenizer = bundle.text.load_tokenizer()
    preparing_s = _time(lambda: tokenizer.encode(normalize_texts(sample, normalization).to_list()))
    rows = sorted(tokenizer.encode(distinct.head(_MOST_TEXTS).to_list()), key=len)
    batch = engine.batch_sizes["text"]
    encoding_s = _time_batches(pool, lambda own: engine.encode_texts([rows[row] for row in own]), len(rows), batch)
    per_post = len(distinct) / posts.rows
    stages = [
        Stage("preparing texts", None, len(sample), preparing_s, per_post),
        Stage("text graph", batch, len(rows), encoding_s, per_post, _is_gpu(engine)),
    ]
    return stages, engine.encode_texts(rows[:batch])


def _measure_images(
    bundle: Bundle, engine: Engine, posts: Chunk, pool: ThreadPoolExecutor
) -> tuple[list[Stage], Encoded | None]:
    """Measure the stages of images, and return a batch of encoded ones; nothing where no post has an image."""
    images = [
        image
        for image, unreadable in zip(posts.images, posts.unreadable, strict=True)
        if isinstance(image, ImageFile) and not unreadable
    ]
    if bundle.image is None or not images:
        return [], None
    size = bundle.image.size
    distinct = list(dict.fromkeys(images))
    sample = distinct[:_MOST_IMAGES]
    per_post = len(distinct) / posts.rows
    decoded = [pixels for pixels in pool.map(lambda file: _decode(file, size), sample) if pixels is not None]
    decoding_s = _time_batches(pool, lambda own: [_decode(sample[row], size) for row in own], len(sample), 1)
    stages = [Stage("decoding images", None, len(sample), decoding_s, per_post)]
    if not decoded:
        return stages, None
    pixels, batch = np.stack(decoded), engine.batch_sizes["image"]
    encoding_s = _time_batches(pool, lambda own: engine.encode_images(pixels[own]), len(pixels), batch)
    stages.append(Stage("image graph", batch, len(pixels), encoding_s, per_post, _is_gpu(engine)))
    return stages, engine.encode_images(pixels[:batch])


def _measure_fusion(
    engine: Engine, text: Encoded | None, image: Encoded | None, pool: ThreadPoolExecutor
) -> list[Stage]:
    """Measure the fusion of encoded texts and images; no stage where there are neither."""
    if text is None and image is None:
        return []
    batch = engine.batch_sizes["fusion"]
    items = batch * engine.workers
    text_rows, image_rows = (None if each is None else np.arange(batch) % len(each) for each in (text, image))
    seconds = _time_batches(pool, lambda _: engine.fuse(text, image, text_rows, image_rows), items, batch)
    return [Stage("fusion graph", batch, items, seconds, 1.0, _is_gpu(engine))]


def _is_gpu(engine: Engine) -> bool:
    return engine.device != "cpu"


def _time_batches(pool: ThreadPoolExecutor, work: Callable[[Int64Array], object], items: int, batch: int) -> float:
    """Spread batches of items over the pool, and return the seconds of the fastest round."""
    batches = [np.arange(start, min(start + batch, items)) for start in range(0, items, batch)]
    return _time(lambda: list(pool.map(work, batches)))


def _time(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest round."""
    rounds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        rounds.append(time.perf_counter() - began)
    return min(rounds)


def _decode(file: ImageFile, size: int) -> npt.NDArray[np.uint8] | None:
    try:
        return decode_image(file, size)
    except ImageError:
        return None
