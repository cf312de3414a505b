"""Finding by trial the batch sizes at which a model is fastest on this device, of those that fit its memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sentimm.bundle.bundle import Bundle
from sentimm.errors import BundleError, DeviceError, OutOfMemoryError
from sentimm.options import BatchSize
from sentimm.runtime.engine import Engine

SIZES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "cpu": {"text": (4, 8, 16, 32), "image": (1, 2, 4, 8, 16)},
    "cuda": {"text": (32, 64, 128, 256, 512, 1024), "image": (8, 16, 32, 64, 128, 256)},
}
TRIAL_SECONDS = 0.2
TOKENS = 24  # of a post, as MVSA has them
_WORTH = 1.03  # a larger batch takes more memory: it has to be faster by this
_HOPELESS = 0.8  # of the best rate: larger batches are not tried any more
_TOO_LARGE = (BundleError, DeviceError, OutOfMemoryError)


def open_engine(
    bundle: Bundle, device: str, precision: str, threads: int | None, batch_size: BatchSize | None
) -> Engine:
    """Open a model, with the batch sizes of a trial where they are `auto`; the options are those of `ScoreOptions`.

    Raises:
        BundleError, DeviceError: see `Engine` and `find_batch_sizes`.
    """
    size = None if batch_size == "auto" else batch_size
    engine = Engine(bundle, device=device, precision=precision, threads=threads, batch_size=size)
    if batch_size == "auto":
        find_batch_sizes(engine)
    return engine


def find_batch_sizes(engine: Engine) -> dict[str, int]:
    """Find the best sizes for `text` and `image`, those that the model reads; the engine uses them from now on.

    Takes about two seconds. Texts of the greatest length fit too.

    Raises:
        BundleError, DeviceError: as the engine's methods, where not even the smallest batch works.
    """
    kind = "cpu" if engine.device == "cpu" else "cuda"
    found: dict[str, int] = {}
    for modality in engine.bundle.modalities:
        encode = _prepare(engine, modality)
        found[modality] = _find_best(engine, modality, encode, SIZES[kind][modality])
        while True:
            engine.use_batch_sizes(found)
            try:
                encode(found[modality], True)
                found[modality] = engine.batch_sizes[modality]  # less, where the engine had to use smaller ones
                break
            except _TOO_LARGE:
                if found[modality] == 1:
                    raise
                found[modality] //= 2
    return found


def _prepare(engine: Engine, modality: str) -> Callable[[int, bool], object]:
    """Return a function that encodes a number of texts or images: usual ones, or the longest."""
    text, image = engine.bundle.text, engine.bundle.image
    if modality == "text":
        assert text is not None
        lengths = {False: min(TOKENS, text.max_tokens), True: text.max_tokens}
        rows = {longest: np.ones(length, np.int64) for longest, length in lengths.items()}
        return lambda size, longest: engine.encode_texts([rows[longest]] * size)
    assert image is not None
    shape = (3, image.size, image.size)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return lambda size, _longest: engine.encode_images(np.broadcast_to(pixels, (size, *shape)))


def _find_best(engine: Engine, modality: str, encode: Callable[[int, bool], object], sizes: tuple[int, ...]) -> int:
    best, best_rate = sizes[0], 0.0
    for size in sizes:
        engine.use_batch_sizes({modality: size})
        try:
            rate = measure_rate(lambda size=size: encode(size, False), size, engine.workers)  # type: ignore[misc]
        except _TOO_LARGE:
            if size == sizes[0]:
                raise
            break
        if engine.batch_sizes[modality] < size:
            break
        if rate > _WORTH * best_rate:
            best, best_rate = size, rate
        elif rate < _HOPELESS * best_rate:
            break
    return best


def measure_rate(encode: Callable[[], object], size: int, workers: int) -> float:
    """Measure how many rows per second so many workers encode together."""
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda _: encode(), range(workers)))  # the first calls prepare memory and kernels
        began = time.perf_counter()

        def work(_: int) -> int:
            calls = 0
            while time.perf_counter() - began < TRIAL_SECONDS:
                encode()
                calls += 1
            return calls

        calls = sum(pool.map(work, range(workers)))
        return size * calls / (time.perf_counter() - began)
