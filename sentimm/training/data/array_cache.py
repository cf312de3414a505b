"""A cache of arrays in files, for later runs: computed once, then loaded or mapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from sentimm.errors import OutputError

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
    with _replacing(path) as temporary, _writing(path):
        np.save(temporary, values)
    return values


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
        with _writing(path):
            values = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
        fill(values)
        with _writing(path):
            values.flush()
    return np.lib.format.open_memmap(path, mode="r")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name of this process, whose file then replaces `path` whole."""
    temporary = path.with_suffix(f".{uuid4().hex[:8]}.tmp.npy")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        with _writing(path):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path.parent} can't be written to: {error.strerror or error}.") from error
