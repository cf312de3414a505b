"""Decoders for several threads: each that decodes borrows one.

On Windows, which has neither alarms nor limits of memory, images are decoded in the calling threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sentimm.scoring.pipeline.decoder import Decoder, DecoderLimits, make_closed_error

ISOLATED = os.name != "nt"
LIMITS = DecoderLimits()


class DecoderPool:
    """Decoders, as many as threads decode at once; made when they are needed. A context, which closes them.

    Args:
        size: of the square that images are resized to.
        rows: images that a thread decodes before it returns its decoder.
        isolated: decode in processes of their own, or in the calling threads; None: ISOLATED.
        limits: of the processes; None: LIMITS.
    """

    def __init__(
        self, size: int, rows: int, *, isolated: bool | None = None, limits: DecoderLimits | None = None
    ) -> None:
        self._size = size
        self._rows = rows
        self._isolated = ISOLATED if isolated is None else isolated
        self._limits = LIMITS if limits is None else limits
        self._lock = threading.Lock()
        self._idle: list[Decoder] = []
        self._busy: set[Decoder] = set()
        self._is_closed = False

    def __enter__(self) -> DecoderPool:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all decoders; a thread at work with one gets a DecoderError."""
        with self._lock:
            self._is_closed = True
            for decoder in self._idle:
                decoder.close()
            for decoder in self._busy:
                decoder.stop()

    @contextmanager
    def borrow(self) -> Iterator[Decoder]:
        """Lend a decoder; the images that it decodes are there until the block ends.

        Raises:
            DecoderError: there is none (any more).
        """
        with self._lock:
            if self._is_closed:
                raise make_closed_error()
            decoder = self._idle.pop() if self._idle else self._make_decoder()
            self._busy.add(decoder)
        decoder.decoded = 0
        try:
            yield decoder
        finally:
            with self._lock:
                self._busy.remove(decoder)
                if self._is_closed or decoder.largest > self._limits.kept_bytes:
                    decoder.close()
                else:
                    self._idle.append(decoder)

    @property
    def busy(self) -> Sequence[Decoder]:
        """The decoders that are lent."""
        with self._lock:
            return tuple(self._busy)

    def _make_decoder(self) -> Decoder:
        return Decoder(self._size, self._rows, self._limits if self._isolated else None)
