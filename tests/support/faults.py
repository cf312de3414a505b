"""How servers fail now and then, and how they answer."""

from __future__ import annotations

import random
import socket
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

HOST = "127.0.0.1"
DELAY = 0.1  # seconds, of an answer that comes late
KINDS = ("refused", "slow", "cut", "closed")
CHANGING = ("PUT", "POST", "DELETE")


@dataclass(frozen=True)
class Faults:
    """How many of the requests fail, in each way. Those that change something fail before it is done, or after."""

    refused: float = 0.0  # 503, as a server does that has too much to do
    slow: float = 0.0  # answered late
    cut: float = 0.0  # half of the answer comes, then the connection ends
    closed: float = 0.0  # the connection ends without an answer
    seed: int = 0
    methods: tuple[str, ...] = ()  # that fail; none: all

    @classmethod
    def evenly(cls, rate: float, seed: int = 0, methods: tuple[str, ...] = ()) -> Faults:
        """Faults of each kind, `rate` in all."""
        return cls(rate / 4, rate / 4, rate / 4, rate / 4, seed, methods)


class Trouble:
    """What befalls the next request, and what befell those before it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.set(Faults())

    def set(self, faults: Faults) -> None:
        with self._lock:
            self._faults = faults
            self._random = random.Random(faults.seed)
            self.faults: Counter[str] = Counter()
            self.requests: Counter[str] = Counter()

    def stop(self) -> None:
        """End all faults, and keep the counts."""
        with self._lock:
            self._faults = Faults()

    def meet(self, method: str) -> tuple[str | None, bool]:
        """Count a request, and return the fault that it meets and whether it is carried out all the same."""
        with self._lock:
            self.requests[method] += 1
            draw, is_done = self._random.random(), self._random.random() < 0.5
            if self._faults.methods and method not in self._faults.methods:
                return None, True
            for kind in KINDS:
                draw -= getattr(self._faults, kind)
                if draw < 0:
                    self.faults[kind] += 1
                    return kind, is_done and method in CHANGING
            return None, True


def find_free_port() -> int:
    """Find a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    with suppress(OSError):
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)


def send_answer(handler: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
    """Answer a request; the length of the content is that of the headers, where they have one."""
    handler.send_response_only(status)
    for name, value in headers:
        handler.send_header(name, value)
    if not any(name.lower() == "content-length" for name, _ in headers) and status not in (204, 304):
        handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    if handler.command != "HEAD":
        try:
            handler.wfile.write(content)
        except OSError:  # the client has read enough
            handler.close_connection = True


def send_half(handler: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
    """Send half of an answer."""
    headers = [each for each in headers if each[0].lower() != "content-length"]
    if handler.command != "HEAD" and len(content) > 1:
        send_answer(handler, status, [*headers, ("Content-Length", str(len(content)))], content[: len(content) // 2])
    hang_up(handler)
