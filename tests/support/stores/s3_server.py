"""Object storage that fails now and then: moto's S3, in a process of its own.

The fixture `s3` of conftest.py starts it, and sets what leads to it (AWS_ENDPOINT_URL, keys) in the environment, for
this process and for commands that a test runs; its storage is empty but for the bucket `s3.url` = "s3://posts". Only
what goes through the endpoint fails; `put`, `read` and the like go another way.

    def test_scores_what_lies_in_object_storage(s3: S3Server, tmp_path: Path) -> None:
        s3.put_folder(tmp_path / "corpus", "s3://posts/corpus")
        with s3.failing(Faults.evenly(0.2, seed=1)):
            subprocess.run([sys.executable, "-m", "sentimm", "score", "s3://posts/corpus/posts.csv", ...], check=True)
        assert s3.faults.total() > 0  # Counter({"refused": 3, "cut": 2, ...}) since `failing` began
        assert s3.requests["PUT"] >= 1
        assert s3.list_keys("s3://posts/out/") == ["s3://posts/out/scores.parquet"]
        scores = polars.read_parquet(s3.read("s3://posts/out/scores.parquet"))

A server that is down: `with s3.failing(Faults(closed=1))`, or `find_free_port()` for one that nobody listens at.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.support.failures.faults import CHANGING, DELAY, HOST, Faults, Trouble, hang_up, send_answer, send_half

BUCKET = "posts"

_ROOT = Path(__file__).parents[3]
_SIGNED = "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
_SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message><RequestId>1</RequestId></Error>"
)


class S3Server:
    """Object storage, in a process of its own. Use it as a context manager."""

    url = f"s3://{BUCKET}"

    def __enter__(self) -> S3Server:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.stores.s3_server"],
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
        """Fail requests for a while; the counts start anew and are kept afterwards."""
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
        """Return the content of each key of the bucket; other threads may be removing some of them meanwhile."""
        content = {}
        for key in self.list_keys():
            with suppress(FileNotFoundError):
                content[key] = self.read(key)
        return content

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


def _serve_s3() -> None:
    """Be the process of an `S3Server`: commands come in by standard input, until it ends."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from moto.s3.models import s3_backends
    from werkzeug.serving import make_server

    trouble, lock = Trouble(), threading.Lock()
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
                return hang_up(self)
            environ["wsgi.input"] = io.BytesIO(content)
            kind, is_done = trouble.meet(self.command) if self.can_fail else (None, True)
            if kind == "slow":
                time.sleep(DELAY)
            if kind in ("refused", "closed") and not is_done:
                return self._fail(kind)
            if kind == "cut" and not is_done and self.command in CHANGING:
                return self._fail("closed")
            answer = self._ask(environ)
            if kind in ("refused", "closed"):
                return self._fail(kind)
            return send_half(self, *answer) if kind == "cut" else send_answer(self, *answer)

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
                hang_up(self)
            else:
                send_answer(self, 503, [("Content-Type", "application/xml")], _SLOW_DOWN)

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
