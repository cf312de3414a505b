"""Images on other machines, fetched before they are needed.

A server takes some ten milliseconds to answer, and many requests at once: with one for each worker that decodes, the
processor would wait.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from sentimm.errors import HOW_TO_RESUME, ImageUnreachableError, StorageError
from sentimm.images import read_image
from sentimm.storage import CONNECTIONS, RemoteFile, giving_up_on, is_reachable

_AHEAD = 2 * CONNECTIONS  # images that are there, or on their way
_AHEAD_BYTES = 256 << 20  # of all those; what is on its way is taken to be as large as the largest that came lately
_LATELY = 64  # images
_FIRST_BYTES = 32 << 20  # taken of an image before one came: a few are asked for, and soon many


class Prefetcher:
    """Fetches images in the order in which they are announced, some of them ahead; a context, which ends that."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._waiting: OrderedDict[RemoteFile, None] = OrderedDict()
        self._fetches: dict[RemoteFile, Future[bytes]] = {}
        self._sizes: dict[RemoteFile, int] = {}  # of those that are there
        self._came: deque[int] = deque(maxlen=_LATELY)  # the sizes of those that came last
        self._given_up = threading.Event()

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop what was announced; what is being fetched is not retried any more."""
        self._given_up.set()
        with self._lock:
            self._waiting.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def expect(self, images: Iterable[RemoteFile]) -> None:
        """Announce images that will be taken, or left."""
        with self._lock:
            self._waiting.update(dict.fromkeys(images))
            self._start_more()

    def take(self, image: RemoteFile) -> bytes:
        """Return the content of an image.

        Raises:
            ImageError: it can't be read; see `images.read_image`.
            StorageError: its server does not answer.
        """
        with giving_up_on(self._given_up):
            future = self._pick(image)
            try:
                return read_image(image) if future is None else future.result()
            except ImageUnreachableError as error:
                if self._given_up.is_set() or is_reachable(image):
                    raise
                raise StorageError(f"{image} {error}, and its server does not answer. {HOW_TO_RESUME}") from error

    def leave(self, image: RemoteFile) -> None:
        """Drop an image that is not needed after all."""
        if (future := self._pick(image)) is not None:
            future.cancel()

    def count_under_way(self) -> int:
        """Count the images that are being fetched, or wait for a connection."""
        with self._lock:
            return sum(not future.done() for future in self._fetches.values())

    def _pick(self, image: RemoteFile) -> Future[bytes] | None:
        """Return the fetch of an image, None where it has not started, and start others in its place."""
        with self._lock:
            self._waiting.pop(image, None)
            future = self._fetches.pop(image, None)
            self._sizes.pop(image, None)
            self._start_more()
        return future

    def _start_more(self) -> None:
        while self._waiting and len(self._fetches) < _AHEAD and self._expect_bytes() < _AHEAD_BYTES:
            image, _ = self._waiting.popitem(last=False)
            if image not in self._fetches:
                self._pool = self._pool or ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="fetch")
                self._fetches[image] = self._pool.submit(self._fetch, image)

    def _expect_bytes(self) -> int:
        """Estimate how many bytes are there and on their way."""
        under_way = len(self._fetches) - len(self._sizes)
        return sum(self._sizes.values()) + under_way * max(self._came, default=_FIRST_BYTES)

    def _fetch(self, image: RemoteFile) -> bytes:
        content: bytes | None = None
        try:
            with giving_up_on(self._given_up):
                content = read_image(image)
        finally:
            with self._lock:
                if content is not None:
                    self._came.append(len(content))
                if image in self._fetches:
                    self._sizes[image] = len(content or b"")
                self._start_more()
        return content
