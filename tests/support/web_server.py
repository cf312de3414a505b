"""A web server that serves a folder, and fails now and then.

def test_fetches_images(web: WebServer) -> None:
    (web.folder / "a.jpg").write_bytes(...)  # at f"{web.url}/a.jpg", and redirected from /moved/a.jpg
    web.has_ranges = False
    with web.failing(Faults(cut=0.3, seed=2)):
        ...
"""

from __future__ import annotations

import gzip
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tests.support.faults import DELAY, HOST, Faults, Trouble, hang_up, send_answer, send_half


class WebServer:
    """A web server that serves a folder, in threads of this process. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.has_ranges = True
        self.has_sizes = True  # else chunked answers
        self.has_ends = True  # else a file without a size goes on and on
        self.has_heads = True  # else it answers 405 to HEAD
        self.compresses = False  # sends Content-Encoding: gzip to those who take it
        self.compresses_always = False  # and to others
        self._trouble = Trouble()

    def __enter__(self) -> WebServer:
        self._server = ThreadingHTTPServer((HOST, 0), partial(_WebHandler, self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://{HOST}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @contextmanager
    def failing(self, faults: Faults) -> Iterator[None]:
        """Fail requests for a while; the counts start anew and are kept afterwards."""
        self._trouble.set(faults)
        try:
            yield
        finally:
            self._trouble.stop()

    @property
    def faults(self) -> Counter[str]:
        return self._trouble.faults

    @property
    def requests(self) -> Counter[str]:
        return self._trouble.requests


class _WebHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True

    def __init__(self, web: WebServer, *arguments: Any) -> None:
        self.web = web
        super().__init__(*arguments)

    def handle(self) -> None:
        with suppress(ConnectionResetError):  # the client has read enough
            super().handle()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        kind, _ = self.web._trouble.meet(self.command)
        if kind == "refused":
            return send_answer(self, 503, [], b"too much to do")
        if kind == "closed":
            return hang_up(self)
        if kind == "slow":
            time.sleep(DELAY)
        status, headers, content = self._find()
        if kind == "cut":
            return send_half(self, status, headers, content)
        if status == 200 and not self.web.has_sizes:
            return self._answer_in_chunks(headers, content)
        return send_answer(self, status, headers, content)

    def log_message(self, *_: Any) -> None:
        pass

    def _find(self) -> tuple[int, list[tuple[str, str]], bytes]:
        name = unquote(urlsplit(self.path).path).lstrip("/")
        if name.startswith("moved/"):
            return 302, [("Location", "/" + quote(name.removeprefix("moved/")))], b""
        file = self.web.folder / name
        if self.command == "HEAD" and not self.web.has_heads:
            return 405, [("Content-Length", "0")], b""
        if not name or not file.is_file():
            return 404, [], b"there is no such file"
        content = file.read_bytes()
        headers = [("Last-Modified", self.date_time_string(file.stat().st_mtime)), ("Content-Type", "text/plain")]
        takes_gzip = "gzip" in self.headers.get("Accept-Encoding", "")
        if self.web.compresses_always or (self.web.compresses and takes_gzip):
            content = gzip.compress(content)
            headers.append(("Content-Encoding", "gzip"))
        size = len(content)
        if self.web.has_ranges:
            headers.append(("Accept-Ranges", "bytes"))
        wanted = self.headers.get("Range")
        if not wanted or not self.web.has_ranges:
            return 200, [*headers, *self._measure(size)], content
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, end = (int(first), int(last) + 1 if last else size) if first else (max(0, size - int(last)), size)
        if start >= size:
            return 416, [("Content-Range", f"bytes */{size}")], b""
        content = content[start:end]
        headers.append(("Content-Range", f"bytes {start}-{start + len(content) - 1}/{size}"))
        return 206, [*headers, ("Content-Length", str(len(content)))], content

    def _measure(self, size: int) -> list[tuple[str, str]]:
        return [("Content-Length", str(size))] if self.web.has_sizes else []

    def _answer_in_chunks(self, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(200)
        for name, value in [*headers, ("Transfer-Encoding", "chunked")]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            with suppress(OSError):  # the client has read enough
                for start in itertools.count(step=65536):
                    if start >= len(content) and self.web.has_ends:
                        break
                    chunk = content[start : start + 65536] or bytes(65536)
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                self.wfile.write(b"0\r\n\r\n")
