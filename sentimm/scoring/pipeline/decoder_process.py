"""Decoding images in processes of their own: a file that crashes, hangs or bloats a decoder takes no job with it.

A thread that decodes borrows a decoder: a process, and memory shared with it. Files go into that memory and pixels come
back in it, lengths and reasons through two pipes; so a post is scored as fast as without the process (see
docs/benchmarks.md). When a process dies over some files, another one gets them one by one, as it may have been killed
for another reason; a file over which that one dies too is unreadable.

The process ends itself: by an alarm where an image takes too long, by its limit of memory, and by the end of its input
when the process that it works for is gone. On Windows, which has none of these, images are decoded in the calling
thread.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt

from sentimm.errors import DecoderError, ImageError
from sentimm.images import MAX_FILE_BYTES, decode_image

_SECONDS = 60  # for an image; the largest that is allowed takes about 3
_MEMORY = 4 << 30  # of addresses; the largest image that is allowed takes 2 GB of them
_ATTEMPTS = 2  # at starting a process
_HAS_PROCESSES = os.name != "nt"
_AT_ONCE = 2 * MAX_FILE_BYTES if _HAS_PROCESSES else 0
_LARGE = 32 << 20  # bytes of files after which shared memory is given back

# -P: a module in the working directory, which may hold a corpus, must not be taken for one of ours.
_COMMAND = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from sentimm.scoring.pipeline.decoder_pool import serve; serve(*map(int, sys.argv[2:]))"
)
_READY = b"\n"
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # each thread takes addresses
    "OPENBLAS_NUM_THREADS": "1",
    # Memory of one image serves the next: given back to the system in between, it cost a fifth of the decoding.
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
}


class Decoders:
    """Decoders, as many as threads decode at once; made when they are needed. A context, which ends them.

    Args:
        size: of the square that images are resized to.
        rows: images that a thread decodes before it gives its decoder back.
    """

    def __init__(self, size: int, rows: int) -> None:
        self._size = size
        self._rows = rows
        self._lock = threading.Lock()
        self._idle: list[Decoder] = []
        self._busy: set[Decoder] = set()
        self._is_closed = False

    def __enter__(self) -> Decoders:
        return self

    def __exit__(self, *_error: object) -> None:
        """End all decoders; a thread at work with one gets a DecoderError."""
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
                raise _closed()
            decoder = self._idle.pop() if self._idle else Decoder(self._size, self._rows)
            self._busy.add(decoder)
        decoder.decoded = 0
        try:
            yield decoder
        finally:
            with self._lock:
                self._busy.remove(decoder)
                if self._is_closed or decoder.largest > _LARGE:
                    decoder.close()
                else:
                    self._idle.append(decoder)


class Decoder:
    """A process that decodes images, started when it is needed, and the memory that is shared with it.

    Attributes:
        decoded: how many images there are.
        largest: bytes of the files that it got at once, at most.

    Raises:
        DecoderError: there is no memory to share.
    """

    def __init__(self, size: int, rows: int) -> None:
        self.decoded = 0
        self.largest = 0
        self._size = size
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False
        pixels = rows * 3 * size * size
        try:
            self._file = _open_memory(pixels + _AT_ONCE)
            self._memory = mmap.mmap(self._file.fileno(), pixels + _AT_ONCE)
        except OSError as error:
            raise DecoderError(f"There is no memory to decode images in ({error.strerror or error}).") from error
        self._close_file = weakref.finalize(self, self._file.close)
        self._rows = np.frombuffer(self._memory, np.uint8, pixels).reshape(rows, 3, size, size)

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The images decoded so far: uint8 (decoded, 3, size, size)."""
        return self._rows[: self.decoded]

    def decode(self, files: Sequence[bytes]) -> list[ImageError | None]:
        """Decode image files as `images.decode_image` does, and put those that can be behind `pixels`.

        Args:
            files: of at most twice MAX_FILE_BYTES together.

        Returns:
            what is wrong with each: it can't be decoded, takes too long or too much memory, or crashes the process.

        Raises:
            DecoderError: no process can be started, or the decoder was stopped.
        """
        try:
            reasons = self._ask(files) if _HAS_PROCESSES else [self._decode_here(file) for file in files]
        except _ProcessDiedError:
            reasons = [self._ask_alone(file) for file in files]
        return [ImageError(reason) if reason else None for reason in reasons]

    def stop(self) -> None:
        """End the process, also from another thread than the one that waits for its answer."""
        self._is_stopped = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the process, and give the memory back."""
        self.stop()
        self._bury()
        self._close_file()

    def _decode_here(self, file: bytes) -> str:
        try:
            self._rows[self.decoded] = decode_image(file, self._size)
        except ImageError as error:
            return str(error)
        self.decoded += 1
        return ""

    def _ask_alone(self, file: bytes) -> str:
        try:
            (reason,) = self._ask([file])
        except _ProcessDiedError as death:
            return death.reason
        return reason

    def _ask(self, files: Sequence[bytes]) -> list[str]:
        """Let the process decode files; gives for each the reason why it can't be, or nothing.

        Raises:
            _ProcessDiedError: it died.
        """
        lengths = [len(file) for file in files]
        self.largest = max(self.largest, sum(lengths))
        start = self._rows.nbytes
        for file in files:
            self._memory[start : start + len(file)] = file
            start += len(file)
        process = self._find_process()
        requests, answers = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
        try:
            requests.write(json.dumps([self.decoded, lengths]).encode() + b"\n")
            requests.flush()
            answer = answers.readline()
        except OSError:
            answer = b""
        if not answer.endswith(b"\n"):
            reason = self._bury()
            raise _closed() if self._is_stopped else _ProcessDiedError(reason)
        reasons: list[str] = json.loads(answer)
        self.decoded += reasons.count("")
        return reasons

    def _find_process(self) -> subprocess.Popen[bytes]:
        for attempt in range(_ATTEMPTS):
            try:
                return self._process or self._start_process()
            except OSError as error:
                if attempt == _ATTEMPTS - 1:
                    raise DecoderError(
                        f"The process that decodes images can't be started ({error.strerror or error}): where memory "
                        "or processes ran out, give the command again with fewer --threads."
                    ) from error
        raise AssertionError

    def _start_process(self) -> subprocess.Popen[bytes]:
        file = self._file.fileno()
        numbers = (file, len(self._rows), self._size, _SECONDS, _MEMORY)
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", "-c", _COMMAND, json.dumps(sys.path), *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # decoders in C write what they think of a file
            pass_fds=[file],
            env={**os.environ, **_ENVIRONMENT},
        )
        self._end_process = weakref.finalize(self, _end_process, process)  # also where nobody closes the decoder
        if self._is_stopped:
            self._bury()
            raise _closed()
        if cast(IO[bytes], process.stdout).readline() != _READY:
            raise OSError(self._bury())
        return process

    def _bury(self) -> str:
        """Clear away the process, which died or is to; gives how, a clause for a person about an image."""
        process, self._process = self._process, None
        if process is None:
            return ""
        self._end_process()
        code = process.returncode
        if code == -signal.SIGALRM:
            return f"takes more than {_SECONDS} seconds to decode"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"
        return f"can't be decoded: its decoder died ({name})"


class _ProcessDiedError(Exception):
    """A decoder's process died; `reason` is a clause for a person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def serve(file: int, rows: int, size: int, seconds: int, memory: int) -> None:
    """Decode the images that standard input asks for until it ends: what a decoder's process does.

    Args:
        file: the descriptor of the shared memory: `rows` images, and then the files to decode.
        rows: images in it.
        size: of the square that they are resized to.
        seconds: that an image may take.
        memory: bytes of addresses that the process may take.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the job ends this one
    _limit(memory)
    shared = mmap.mmap(file, 0)
    pixels = np.frombuffer(shared, np.uint8, rows * 3 * size * size).reshape(rows, 3, size, size)
    sys.stdout.buffer.write(_READY)
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


def _end_process(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # what was not written yet
            cast(IO[bytes], pipe).close()


def _open_memory(size: int) -> IO[bytes]:
    """Make a file in memory (on Linux), of which only what is used takes room."""
    if sys.platform == "linux":
        file: IO[bytes] = os.fdopen(os.memfd_create("sentimm"), "rb+")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (its decoder closes it)
    file.truncate(size)
    return file


def _limit(memory: int) -> None:
    """Bound the memory of this process, leave no core files, and be the first to go where the machine has none left."""
    import resource

    for kind, limit in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        most = resource.getrlimit(kind)[1]
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _closed() -> DecoderError:
    return DecoderError("Images are not decoded any more: the scorer was closed.")
