"""What tests of remote files share: names, bytes, and reading in other ways."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sentimm import storage

RATE = 0.25
AWKWARD = [
    "a b.txt",
    "ü€😀.txt",
    "100%.txt",
    "%41.txt",
    "a#b.txt",
    "a?b.txt",
    "a+b.txt",
    "a&b=c.txt",
    "a;b,c@d'e!.txt",
    "a[1].txt",
]
SEEDS = [1, 2]


def make_bytes(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def read_in_steps(path: Path, step: int) -> bytes:
    content = b""
    with storage.open_file(path) as file:
        while data := file.read(step):
            content += data
    return content


def measure_fault(question: Callable[[], object]) -> tuple[OSError, float]:
    start = time.monotonic()
    with pytest.raises(OSError) as caught:
        question()
    return caught.value, time.monotonic() - start


def ask_in_a_process(url: str, *, is_forked: bool = False) -> bytes:
    """Read a file many times in a process of its own, which must end quickly and in silence."""
    script = f"""
import multiprocessing, sys
from sentimm import storage
from sentimm.storage import retrying
images = [storage.RemoteFile({url!r})] * 64
assert len(set(storage.map_remote(storage.read_bytes, images))) == 1
path = storage.to_path({url!r})
storage.open_file(path).read()
if {is_forked}:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.apply(storage.read_bytes, (images[0],)).decode(), end="")
        assert pool.apply(storage.exists, (path,))
        pool.close()
        pool.join()
else:
    print(storage.read_bytes(path).decode(), end="")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:::multiprocessing", "-c", script],
        capture_output=True,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout
