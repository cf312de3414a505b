"""Fetching images ahead: how many at once, and what happens to those that nobody takes."""

from __future__ import annotations

import threading
import time

import pytest

from sentimm.errors import ImageError
from sentimm.scoring.pipeline import prefetch as fetching
from sentimm.scoring.pipeline.prefetch import Prefetcher
from sentimm.storage import CONNECTIONS, RemoteFile, retrying
from tests.support.faults import Faults

IMAGES = [RemoteFile(f"https://example.org/{number}.png") for number in range(200)]


class Server:
    """Stands for a server: gives an image when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[RemoteFile] = []
        self.answers: dict[RemoteFile, bytes | ImageError] = {}
        self._has_ended = False
        self._changed = threading.Condition()
        monkeypatch.setattr(fetching, "read_image", self._read)

    def give(self, answer: bytes | ImageError) -> None:
        """Answer what was asked for so far with this."""
        with self._changed:
            self.answers.update(dict.fromkeys(self.asked, answer))
            self._changed.notify_all()

    def end(self) -> None:
        """Answer all that is asked for from now on with nothing."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def settle(self, prefetcher: Prefetcher) -> int:
        """Wait until all that is on its way was asked for, and return how many images were asked for by then."""
        deadline = time.monotonic() + 20
        while self._count_unanswered() != min(prefetcher.count_under_way(), CONNECTIONS):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return len(self.asked)

    def _count_unanswered(self) -> int:
        with self._changed:
            return sum(image not in self.answers for image in self.asked)

    def _read(self, image: RemoteFile) -> bytes:
        with self._changed:
            self.asked.append(image)
            assert self._changed.wait_for(lambda: self._has_ended or image in self.answers, timeout=20)
            answer = self.answers.get(image, b"")
        if isinstance(answer, ImageError):
            raise answer
        return answer


def test_a_few_images_are_asked_for_until_it_is_known_how_large_they_are(monkeypatch):
    server, answer = Server(monkeypatch), b"small"
    with Prefetcher() as fetcher:
        fetcher.expect(IMAGES)
        assert server.settle(fetcher) == 8
        server.give(ImageError("is not there"))  # which says nothing of the size of others
        assert server.settle(fetcher) == 16
        for image in IMAGES[:8]:
            with pytest.raises(ImageError):
                fetcher.take(image)
        server.give(answer)
        assert server.settle(fetcher) == 16 + CONNECTIONS  # those that wait for a connection come behind
        server.give(answer)
        assert server.settle(fetcher) == 8 + 64  # until some are taken
    server.end()


def test_large_images_are_asked_for_a_few_at_a_time_until_small_ones_come(monkeypatch):
    server = Server(monkeypatch)
    with Prefetcher() as fetcher:
        fetcher.expect(IMAGES)
        assert server.settle(fetcher) == 8
        server.give(bytes(100 << 20))
        for image in IMAGES[:8]:
            assert len(fetcher.take(image)) == 100 << 20
        assert server.settle(fetcher) == 11  # the third makes it more than 256 MB
        for first in range(8, 72):
            server.give(b"small")
            assert fetcher.take(IMAGES[first]) == b"small"
        assert server.settle(fetcher) >= 72 + CONNECTIONS
    server.end()


def test_nothing_is_asked_for_again_when_nobody_waits_any_more(monkeypatch, web):
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 600)
    monkeypatch.setattr(retrying, "LONGEST_WAIT_S", 600)
    with web.failing(Faults(refused=1)):
        with Prefetcher() as fetcher:
            fetcher.expect([RemoteFile(f"{web.url}/{number}.png") for number in range(5)])
            deadline = time.monotonic() + 20
            while web.requests.total() < 5 and time.monotonic() < deadline:
                time.sleep(0.01)
        for thread in threading.enumerate():
            if thread.name.startswith("fetch"):
                thread.join(timeout=20)
                assert not thread.is_alive()
        assert web.requests.total() == 5
