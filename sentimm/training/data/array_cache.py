"""A cache of arrays in files, for later runs: computed once, then loaded or mapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from sentimm.storage.atomic import publish_file, writing

Array = npt.NDArray[Any]


def load_array(path: Path, *, mapped: bool = False) -> Array | None:
    """Load or map the array in `path`; None where there is none, or it is truncated."""
    if not path.is_file():
        return None
    try:
        if mapped:
            return np.lib.format.open_memmap(path, mode="r")
        with path.open("rb") as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except (ValueError, EOFError):
        return None


def load_or_compute(path: Path, compute: Callable[[], Array]) -> Array:
    """Load the array in `path`, or compute and save it.

    Raises:
        OutputError: it can't be saved.
    """
    if (values := load_array(path)) is not None:
        return values
    values = compute()
    save_array(path, values)
    return values


def save_array(path: Path, values: Array) -> None:
    """Save an array in `path`, in place of what is there.

    Raises:
        OutputError: it can't be saved.
    """
    with _replacing(path) as temporary, writing(path):
        np.save(temporary, values)


def map_or_compute(path: Path, dtype: type[np.generic], shape: tuple[int, ...], fill: Callable[[Array], None]) -> Array:
    """Map the array in `path` into memory; where there is none, create it and `fill` it.

    Raises:
        OutputError: it can't be saved.
    """
    if not np.prod(shape):
        return np.zeros(shape, dtype=dtype)  # an empty file can't be mapped
    if (cached := load_array(path, mapped=True)) is not None:
        return cached
    with _replacing(path) as temporary:
        with writing(path):
            values = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
        fill(values)
        with writing(path):
            values.flush()
    return np.lib.format.open_memmap(path, mode="r")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file of this process alone, which becomes `path` durably when the block ends well."""
    temporary = path.with_suffix(f".{uuid4().hex[:8]}.tmp.npy")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        publish_file(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
