"""Servers that fail now and then: object storage (moto's S3) and a web server that serves a folder.

The fixtures `s3` and `web` of conftest.py start them. `s3` sets what leads to its server (AWS_ENDPOINT_URL, keys)
in the environment, for this process and for commands that a test runs; its storage is empty but for the bucket
`s3.url` = "s3://posts". Only what goes through the endpoint fails; `put`, `read` and the like go another way.

    def test_scores_what_lies_in_object_storage(s3: S3Server, tmp_path: Path) -> None:
        s3.put_folder(tmp_path / "corpus", "s3://posts/corpus")
        with s3.failing(Faults.evenly(0.2, seed=1)):
            subprocess.run([sys.executable, "-m", "sentimm", "score", "s3://posts/corpus/posts.csv", ...], check=True)
        assert s3.faults.total() > 0  # Counter({"refused": 3, "cut": 2, ...}) since `failing` began
        assert s3.requests["PUT"] >= 1
        assert s3.list_keys("s3://posts/out/") == ["s3://posts/out/scores.parquet"]
        scores = polars.read_parquet(s3.read("s3://posts/out/scores.parquet"))

    def test_fetches_images(web: WebServer) -> None:
        (web.folder / "a.jpg").write_bytes(...)  # at f"{web.url}/a.jpg", and redirected from /moved/a.jpg
        web.has_ranges = False
        with web.failing(Faults(cut=0.3, seed=2)):
            ...

A server that is down: `with s3.failing(Faults(closed=1))`, or `find_free_port()` for one that nobody listens at.
"""

from __future__ import annotations

import gzip
import http.client
import io
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

BUCKET = "posts"
HOST = "127.0.0.1"

_KINDS = ("refused", "slow", "cut", "closed")
_DELAY = 0.1  # seconds
_CHANGING = ("PUT", "POST", "DELETE")
_ROOT = Path(__file__).parents[2]
_SIGNED = "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
_SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message><RequestId>1</RequestId></Error>"
)


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


class _Trouble:
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
        """Let nothing fail any more, and keep the counts."""
        with self._lock:
            self._faults = Faults()

    def meet(self, method: str) -> tuple[str | None, bool]:
        """Count a request and give the fault that it meets, and whether it is carried out all the same."""
        with self._lock:
            self.requests[method] += 1
            draw, is_done = self._random.random(), self._random.random() < 0.5
            if self._faults.methods and method not in self._faults.methods:
                return None, True
            for kind in _KINDS:
                draw -= getattr(self._faults, kind)
                if draw < 0:
                    self.faults[kind] += 1
                    return kind, is_done and method in _CHANGING
            return None, True


def forget_file_systems() -> None:
    """Let fsspec make its file systems anew: it keeps them, with the servers and keys that they found."""
    if "s3fs" in sys.modules:
        sys.modules["s3fs"].S3FileSystem.clear_instance_cache()
    if "fsspec.implementations.http" in sys.modules:
        sys.modules["fsspec.implementations.http"].HTTPFileSystem.clear_instance_cache()


def find_free_port() -> int:
    """Find a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    with suppress(OSError):
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)


def _answer(handler: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
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


def _cut(handler: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
    """Send half of an answer."""
    headers = [each for each in headers if each[0].lower() != "content-length"]
    if handler.command != "HEAD" and len(content) > 1:
        _answer(handler, status, [*headers, ("Content-Length", str(len(content)))], content[: len(content) // 2])
    _hang_up(handler)


class S3Server:
    """Object storage, in a process of its own. Use it as a context manager."""

    url = f"s3://{BUCKET}"

    def __enter__(self) -> S3Server:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.servers"],
            cwd=_ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        ports = self._hear()
        self.endpoint = f"http://{HOST}:{ports['failing']}"
        self._calm_port: int = ports["calm"]
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to reach the server, and nothing but it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": HOST,
        }

    def reset(self) -> None:
        """Forget everything but an empty bucket; let nothing fail."""
        self._say({"do": "reset"})
        self.make_bucket(BUCKET)

    @contextmanager
    def failing(self, faults: Faults) -> Iterator[None]:
        """Let requests fail for a while; the counts start anew and are kept afterwards."""
        self._say({"do": "fail", "faults": asdict(faults)})
        try:
            yield
        finally:
            self._say({"do": "stop"})

    @property
    def faults(self) -> Counter[str]:
        """The faults that were met since `failing` began, by their kind."""
        return Counter(self._say({"do": "count"})["faults"])

    @property
    def requests(self) -> Counter[str]:
        """The requests since `failing` began (or the reset), by their method."""
        return Counter(self._say({"do": "count"})["requests"])

    def make_bucket(self, name: str) -> None:
        self._ask("PUT", f"/{name}")

    def put(self, url: str, content: bytes) -> None:
        self._ask("PUT", self._locate(url), content)

    def put_folder(self, folder: Path, url: str) -> None:
        """Put each file of a local folder, and of the folders in it, under `url`."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(f"{url.rstrip('/')}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def read(self, url: str) -> bytes:
        return self._ask("GET", self._locate(url))

    def remove(self, url: str) -> None:
        self._ask("DELETE", self._locate(url))

    def list_keys(self, url: str = f"s3://{BUCKET}") -> list[str]:
        """List what begins with `url`, as URLs, in their order."""
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        keys: list[str] = self._say({"do": "list", "bucket": bucket, "prefix": prefix})["keys"]
        return [f"s3://{bucket}/{key}" for key in keys]

    def count_unfinished(self) -> int:
        """Count the multipart uploads that were begun and neither finished nor given up."""
        return int(self._say({"do": "list", "bucket": BUCKET, "prefix": ""})["unfinished"])

    def copy(self) -> dict[str, bytes]:
        """Return the content of each key of the bucket."""
        return {key: self.read(key) for key in self.list_keys()}

    def restore(self, content: dict[str, bytes]) -> None:
        """Make the bucket what `copy` returned."""
        for key in self.list_keys():
            self.remove(key)
        for key, value in content.items():
            self.put(key, value)

    def _locate(self, url: str) -> str:
        return "/" + quote(url.removeprefix("s3://"))

    def _ask(self, method: str, path: str, content: bytes | None = None) -> bytes:
        connection = http.client.HTTPConnection(HOST, self._calm_port, timeout=30)
        try:
            connection.request(method, path, content, {"Authorization": _SIGNED})
            answer = connection.getresponse()
            found = answer.read()
        finally:
            connection.close()
        if answer.status == 404:
            raise FileNotFoundError(path)
        assert answer.status < 300, (answer.status, found)
        return found

    def _say(self, words: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the S3 server has ended"
        found: dict[str, Any] = json.loads(line)
        return found


class MemoryStore:
    """Object storage in the memory of this process: for tests of many jobs, of which S3 takes ten times as long."""

    url = f"memory://{BUCKET}"

    def __init__(self) -> None:
        from fsspec.implementations.memory import MemoryFileSystem

        self._files = MemoryFileSystem()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._files.store.clear()
        self._files.pseudo_dirs[:] = [""]

    def read(self, url: str) -> bytes:
        return bytes(self._files.cat_file(url))

    def remove(self, url: str) -> None:
        self._files.rm_file(url)

    def copy(self) -> dict[str, bytes]:
        """Return the content of each key."""
        return {key: self.read(key) for key in self.list_keys()}

    def restore(self, content: dict[str, bytes]) -> None:
        """Make the store what `copy` returned."""
        self.reset()
        for key, value in content.items():
            self._files.pipe_file(key, value)

    def list_keys(self, url: str = f"memory://{BUCKET}") -> list[str]:
        """List what begins with `url`, as URLs, in their order."""
        urls = (f"memory:/{path}" for path in sorted(self._files.store))
        return [each for each in urls if each.startswith(url)]


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
        self._trouble = _Trouble()

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
        """Let requests fail for a while; the counts start anew and are kept afterwards."""
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
            return _answer(self, 503, [], b"too much to do")
        if kind == "closed":
            return _hang_up(self)
        if kind == "slow":
            time.sleep(_DELAY)
        status, headers, content = self._find()
        if kind == "cut":
            return _cut(self, status, headers, content)
        if status == 200 and not self.web.has_sizes:
            return self._answer_in_chunks(headers, content)
        return _answer(self, status, headers, content)

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


def _serve_s3() -> None:
    """Be the process of an `S3Server`: commands come in by standard input, until it ends."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from moto.s3.models import s3_backends
    from werkzeug.serving import make_server

    trouble, lock = _Trouble(), threading.Lock()
    app = DomainDispatcherApplication(create_backend_app)

    class Handler(MotoRequestHandler):  # type: ignore[misc]
        protocol_version = "HTTP/1.1"
        timeout = 30
        disable_nagle_algorithm = True
        can_fail = True

        def run_wsgi(self) -> None:
            """Answer one request; werkzeug's own would end the connection after each."""
            if self.headers.get("Expect", "").lower() == "100-continue":
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            environ = self.make_environ()
            is_chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
            size = -1 if is_chunked else int(self.headers.get("Content-Length") or 0)
            content = environ["wsgi.input"].read(size)
            if not is_chunked and len(content) < size:
                return _hang_up(self)
            environ["wsgi.input"] = io.BytesIO(content)
            kind, is_done = trouble.meet(self.command) if self.can_fail else (None, True)
            if kind == "slow":
                time.sleep(_DELAY)
            if kind in ("refused", "closed") and not is_done:
                return self._fail(kind)
            if kind == "cut" and not is_done and self.command in _CHANGING:
                return self._fail("closed")
            answer = self._ask(environ)
            if kind in ("refused", "closed"):
                return self._fail(kind)
            return _cut(self, *answer) if kind == "cut" else _answer(self, *answer)

        def log_request(self, *_: Any) -> None:
            pass

        def log(self, *_: Any) -> None:
            pass

        def _ask(self, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
            started: list[Any] = []
            with lock:
                answer = app(environ, lambda status, headers, _=None: started.extend((status, headers)))
                content = b"".join(answer)
                if hasattr(answer, "close"):
                    answer.close()
            status, headers = started[:2]
            return int(status.split()[0]), [each for each in headers if each[0].lower() != "connection"], content

        def _fail(self, kind: str) -> None:
            if kind == "closed":
                _hang_up(self)
            else:
                _answer(self, 503, [("Content-Type", "application/xml")], _SLOW_DOWN)

    class CalmHandler(Handler):
        can_fail = False

    ports = {}
    for name, handler in ("failing", Handler), ("calm", CalmHandler):
        server = make_server(HOST, 0, app, threaded=True, request_handler=handler)
        server.daemon_threads = True
        server.request_queue_size = 256
        server.socket.listen(256)
        ports[name] = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps(ports), flush=True)
    for line in sys.stdin:
        words, answer = json.loads(line), {}
        if words["do"] == "reset":
            trouble.set(Faults())
            with lock:
                for backends in s3_backends.values():
                    for backend in backends.values():
                        backend.reset()
        elif words["do"] == "fail":
            faults = {**words["faults"], "methods": tuple(words["faults"]["methods"])}
            trouble.set(Faults(**faults))
        elif words["do"] == "stop":
            trouble.stop()
        elif words["do"] == "count":
            answer = {"faults": trouble.faults, "requests": trouble.requests}
        elif words["do"] == "list":
            with lock:
                bucket = s3_backends["123456789012"]["aws"].buckets[words["bucket"]]
                keys = sorted(key for key in bucket.keys if key.startswith(words["prefix"]))
                answer = {"keys": keys, "unfinished": len(bucket.multiparts)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve_s3()
