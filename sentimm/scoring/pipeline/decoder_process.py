"""What runs in a process that decodes images: the memory that it shares with a job, the requests, its limits.

The process ends itself: by an alarm where an image takes too long, by its limit of memory, and by the end of its input
when the process that it works for is gone.
"""

from __future__ import annotations

import json
import mmap
import signal
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from sentimm.errors import ImageError
from sentimm.images import decode_image

READY = b"\n"


def serve(file: int, rows: int, size: int, seconds: int, memory: int) -> None:
    """Decode the images that standard input asks for, until it ends.

    A request is a line of JSON, `[row, [bytes of each file]]`; the answer is one too: for each file the reason why it
    can't be decoded, or "".

    Args:
        file: the descriptor of the shared memory: pixels, uint8 (rows, 3, size, size), and then the files to decode.
        rows: how many images it holds.
        size: of the square that they are resized to.
        seconds: that an image may take.
        memory: bytes of addresses that the process may take.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the job ends this one
    _limit_process(memory)
    shared = mmap.mmap(file, 0)
    pixels = np.frombuffer(shared, np.uint8, rows * 3 * size * size).reshape(rows, 3, size, size)
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    for request in sys.stdin.buffer:
        row, lengths = json.loads(request)
        start, reasons = pixels.nbytes, []
        for length in lengths:
            signal.alarm(seconds)
            try:
                pixels[row] = decode_image(shared[start : start + length], size)
                reasons.append("")
                row += 1
            except ImageError as error:
                reasons.append(str(error))
            signal.alarm(0)
            start += length
        sys.stdout.buffer.write(json.dumps(reasons).encode() + b"\n")
        sys.stdout.buffer.flush()


def _limit_process(memory: int) -> None:
    """Bound the memory of this process, write no core files, and be the first to be killed where memory runs out."""
    import resource

    for kind, limit in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        most = resource.getrlimit(kind)[1]
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
