"""Arrays that are kept in files for other runs: made once, under a temporary name, and then loaded or mapped."""

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
    """Load or map the array in `path`; None where it is not there, or cut off and to be made again."""
    try:
        array: Array | None = None
        if path.is_file():
            array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (ValueError, EOFError):
        return None
    return array


def keep_array(path: Path, make: Callable[[], Array]) -> Array:
    """Load the array in `path`; where it is not there, `make` it and save it first.

    Raises:
        OutputError: it can't be saved.
    """
    if (kept := load_array(path)) is not None:
        return kept
    values = make()
    with _writing(path) as temporary:
        np.save(temporary, values)
    return values


def map_array(path: Path, dtype: type[np.generic], shape: tuple[int, ...], fill: Callable[[Array], None]) -> Array:
    """Map the array in `path`; where it is not there, `fill` makes it first.

    Raises:
        OutputError: it can't be saved.
    """
    if not np.prod(shape):
        return np.zeros(shape, dtype=dtype)  # which can't be mapped
    if (kept := load_array(path, mapped=True)) is not None:
        return kept
    with _writing(path) as temporary:
        values = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
        fill(values)
        values.flush()
    mapped: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """Give the temporary name, of this process alone, of a file that appears whole as `path`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{uuid4().hex[:8]}.tmp.npy")
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path.parent} can't be written to: {error.strerror or error}.") from error
