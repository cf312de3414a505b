"""The feature vectors of texts and images that were seen before, so that none is encoded twice; bounded in memory."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sentimm.errors import ImageError
from sentimm.storage import RemoteFile

CACHE_BYTES = 128 << 20  # for the texts, and again for the images
ENTRY_BYTES = 500  # of an entry besides its features: key, Slot and array objects
_DIGEST_BYTES = 16


@dataclass(slots=True, eq=False)
class Slot:
    """A text or an image that is encoded once.

    Attributes:
        unit: the number of the unit that encodes it.
        row: its row there.
        features: float32 (width,), once it is encoded and kept for later units.
        error: what is wrong with the image, once that is known.
    """

    unit: int
    row: int
    features: npt.NDArray[np.float32] | None = None
    error: ImageError | None = None

    def serves(self, unit: int) -> bool:
        """Return whether its encoding will be there when `unit` is complete; units are completed in order."""
        return self.unit <= unit or self.features is not None or self.error is not None


class FeatureCache:
    """Slots by key, of which the least recently used go first; safe to use from several threads.

    Args:
        width: floats of a feature vector, 0 where none are kept.
        most_bytes: of all entries.
    """

    def __init__(self, width: int, most_bytes: int = CACHE_BYTES) -> None:
        self._capacity = most_bytes // (ENTRY_BYTES + np.dtype(np.float32).itemsize * width)
        self._slots: OrderedDict[Hashable, Slot] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._slots)

    def find(self, key: Hashable) -> Slot | None:
        """Return the slot of `key`, None where there is none."""
        with self._lock:
            slot = self._slots.get(key)
            if slot is not None:
                self._slots.move_to_end(key)
            return slot

    def claim(self, key: Hashable, slot: Slot) -> Slot:
        """Return the slot of `key`: the one that is there, else `slot`, which is from now on."""
        with self._lock:
            found = self._slots.setdefault(key, slot)
            self._slots.move_to_end(key)
            if len(self._slots) > self._capacity:
                self._slots.popitem(last=False)
            return found


def digest_content(content: bytes) -> bytes:
    """Return a key for the content of a text or an image: two contents do not share one."""
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def identify_file(path: Path | RemoteFile) -> Hashable | None:
    """Return a key for a file as it is now, without reading it (its URL, if remote); None where there is no file."""
    if isinstance(path, RemoteFile):
        return path
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_ino, found.st_size, found.st_mtime_ns
