"""How fast scoring could be here at best: each stage alone, on all cores, and the limit that they set together.

Nothing of the pipeline is used: the limit is what it is held against.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

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
_MOST_IMAGES = 512  # their pixels are in memory: 75 MB at 224 px
_MOST_TEXTS = 4096

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stage:
    """A stage of the work, measured alone on all cores.

    Attributes:
        name: what it does.
        batch: items at a time, None where there are no batches.
        items: how many were measured.
        seconds: how long they took, in the best of some rounds.
        per_post: how many items a post of the corpus has: 0.5 where half of the posts share theirs, or have none.
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
        """How many items are done in a second."""
        return self.items / self.seconds

    @property
    def seconds_per_post(self) -> float:
        """How long all cores (or the GPU) work for a post."""
        return self.per_post * self.seconds / self.items


def find_limit(stages: Sequence[Stage]) -> float:
    """Give the posts per second that no arrangement of these stages exceeds.

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
    on_gpu = engine.device != "cpu"
    readable = ~posts.unreadable
    stages: list[Stage] = []
    encoded: dict[str, Encoded] = {}
    with ThreadPoolExecutor(engine.workers) as pool:

        def share_out(work: Callable[[Ints], object], items: int, batch: int) -> float:
            """Let the workers do batches of items; the seconds of the fastest round."""
            batches = [np.arange(start, min(start + batch, items)) for start in range(0, items, batch)]
            return _time(lambda: list(pool.map(work, batches)))

        texts = posts.texts.filter(pl.Series(readable)).drop_nulls()
        distinct = normalize_texts(texts).unique(maintain_order=True)
        distinct = distinct.filter(distinct != "")
        if bundle.text is not None and len(distinct):
            sample = texts.unique(maintain_order=True).head(_MOST_TEXTS)
            tokenizer = bundle.text.load_tokenizer()
            seconds = _time(lambda: tokenizer.encode(normalize_texts(sample).to_list()))
            per_post = len(distinct) / posts.rows
            stages.append(Stage("preparing texts", None, len(sample), seconds, per_post))
            rows = sorted(tokenizer.encode(distinct.head(_MOST_TEXTS).to_list()), key=len)
            batch = engine.batch_sizes["text"]
            seconds = share_out(lambda chosen: engine.encode_texts([rows[row] for row in chosen]), len(rows), batch)
            stages.append(Stage("text graph", batch, len(rows), seconds, per_post, on_gpu))
            encoded["text"] = engine.encode_texts(rows[:batch])
        images = [
            image for image, ok in zip(posts.images, readable, strict=True) if ok and isinstance(image, ImageFile)
        ]
        if bundle.image is not None and images:
            size = bundle.image.size
            files = list(dict.fromkeys(images))
            chosen_files = files[:_MOST_IMAGES]
            per_post = len(files) / posts.rows
            decoded = [each for each in pool.map(lambda file: _decode(file, size), chosen_files) if each is not None]
            seconds = share_out(
                lambda chosen: [_decode(chosen_files[row], size) for row in chosen], len(chosen_files), 1
            )
            stages.append(Stage("decoding images", None, len(chosen_files), seconds, per_post))
            if decoded:
                pixels, batch = np.stack(decoded), engine.batch_sizes["image"]
                seconds = share_out(lambda chosen: engine.encode_images(pixels[chosen]), len(pixels), batch)
                stages.append(Stage("image graph", batch, len(pixels), seconds, per_post, on_gpu))
                encoded["image"] = engine.encode_images(pixels[:batch])
        if encoded:
            batch = engine.batch_sizes["fusion"]
            text, image = encoded.get("text"), encoded.get("image")
            index = {name: np.arange(batch) % len(rows) for name, rows in encoded.items()}
            items = batch * engine.workers
            seconds = share_out(lambda _: engine.fuse(text, image, index.get("text"), index.get("image")), items, batch)
            stages.append(Stage("fusion graph", batch, items, seconds, 1.0, on_gpu))
    return stages


def _time(work: Callable[[], object]) -> float:
    """Give the seconds of the fastest round."""
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
