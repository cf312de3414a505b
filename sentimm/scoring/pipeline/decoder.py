"""A decoder: decodes images in a process of its own, so that a file that crashes or bloats it takes no job along.

Files go into memory that is shared with the process and pixels come back in it, lengths and reasons through two pipes;
so a post is scored as fast as without the process (see docs/benchmarks.md). When a process dies over some files,
another one gets them one by one, as it may have been killed for another reason; a file over which that one dies too is
unreadable. What the process does, and how it ends itself, is in `decoder_process`.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, cast

import numpy as np
import numpy.typing as npt

from sentimm.errors import DecoderError, ImageError
from sentimm.images import MAX_FILE_BYTES, decode_image
from sentimm.scoring.pipeline.decoder_process import READY

_ATTEMPTS = 2  # at starting a process
_FILES_BYTES = 2 * MAX_FILE_BYTES  # of the files that a process gets at once
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # each thread takes addresses
    "OPENBLAS_NUM_THREADS": "1",
    # Memory of one image serves the next: given back to the system in between, it cost a fifth of the decoding.
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
}


@dataclass(frozen=True)
class DecoderLimits:
    """What a decoder's process may take.

    Attributes:
        seconds: for an image; the largest that is allowed takes about 3.
        memory: bytes of addresses; the largest image that is allowed takes 2 GB of them.
        kept_bytes: of files, after which the shared memory is given back.
        code: what the process runs.
    """

    seconds: int = 60
    memory: int = 4 << 30
    kept_bytes: int = 32 << 20
    code: str = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
        "from sentimm.scoring.pipeline.decoder_process import serve; serve(*map(int, sys.argv[2:]))"
    )


class Decoder:
    """A process that decodes images, started when it is needed, and the memory that is shared with it.

    Args:
        size: of the square that images are resized to.
        rows: images that the memory holds.
        limits: of the process; None: images are decoded in the calling thread.

    Attributes:
        decoded: how many images there are.
        largest: bytes of the files that it got at once, at most.

    Raises:
        DecoderError: there is no memory to share.
    """

    def __init__(self, size: int, rows: int, limits: DecoderLimits | None) -> None:
        self.decoded = 0
        self.largest = 0
        self._size = size
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False
        pixels = rows * 3 * size * size
        room = pixels if limits is None else pixels + _FILES_BYTES
        try:
            self._file = _open_memory(room)
            self._memory = mmap.mmap(self._file.fileno(), room)
        except OSError as error:
            raise DecoderError(f"There is no memory for decoding images ({error.strerror or error}).") from error
        self._close_file = weakref.finalize(self, self._file.close)
        self._rows = np.frombuffer(self._memory, np.uint8, pixels).reshape(rows, 3, size, size)

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The images decoded so far: uint8 (decoded, 3, size, size)."""
        return self._rows[: self.decoded]

    def decode(self, files: Sequence[bytes]) -> list[ImageError | None]:
        """Decode image files as `images.decode_image` does, and append those that can be decoded to `pixels`.

        Args:
            files: of at most twice MAX_FILE_BYTES together.

        Returns:
            what is wrong with each: it can't be decoded, takes too long or too much memory, or crashes the process.

        Raises:
            DecoderError: no process can be started, or the decoder was stopped.
        """
        try:
            reasons = [self._decode_here(file) for file in files] if self._limits is None else self._request(files)
        except _ProcessDiedError:
            reasons = [self._request_alone(file) for file in files]
        return [ImageError(reason) if reason else None for reason in reasons]

    @property
    def is_closed(self) -> bool:
        """Whether its memory was given back."""
        return self._file.closed

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

    def _request_alone(self, file: bytes) -> str:
        try:
            (reason,) = self._request([file])
        except _ProcessDiedError as death:
            return death.reason
        return reason

    def _request(self, files: Sequence[bytes]) -> list[str]:
        """Return for each file the reason why the process can't decode it, or "".

        Raises:
            _ProcessDiedError: it died.
        """
        lengths = [len(file) for file in files]
        self.largest = max(self.largest, sum(lengths))
        start = self._rows.nbytes
        for file in files:
            self._memory[start : start + len(file)] = file
            start += len(file)
        process = self.start()
        requests, answers = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
        try:
            requests.write(json.dumps([self.decoded, lengths]).encode() + b"\n")
            requests.flush()
            answer = answers.readline()
        except OSError:
            answer = b""
        if not answer.endswith(b"\n"):
            reason = self._bury()
            raise make_closed_error() if self._is_stopped else _ProcessDiedError(reason)
        reasons: list[str] = json.loads(answer)
        self.decoded += reasons.count("")
        return reasons

    def start(self) -> subprocess.Popen[bytes]:
        """Return the process, which is started unless it runs.

        Raises:
            DecoderError: it can't be started, or the decoder was stopped.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return self._process or self._start_process()
            except OSError as error:
                if attempt == _ATTEMPTS - 1:
                    raise DecoderError(
                        f"The process that decodes images can't be started ({error.strerror or error}): if memory or "
                        "processes ran out, use fewer --threads."
                    ) from error
        raise AssertionError

    def _start_process(self) -> subprocess.Popen[bytes]:
        assert self._limits is not None
        file = self._file.fileno()
        numbers = (file, len(self._rows), self._size, self._limits.seconds, self._limits.memory)
        self._process = process = subprocess.Popen(
            # -P: a module in the working directory, which may hold a corpus, must not be taken for one of ours.
            [sys.executable, "-P", "-c", self._limits.code, json.dumps(sys.path), *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # decoders in C write what they think of a file
            pass_fds=[file],
            env={**os.environ, **_ENVIRONMENT},
        )
        self._end_process = weakref.finalize(self, _end_process, process)  # also where nobody closes the decoder
        if self._is_stopped:
            self._bury()
            raise make_closed_error()
        if cast(IO[bytes], process.stdout).readline() != READY:
            raise OSError(self._bury())
        return process

    def _bury(self) -> str:
        """Clear away the process, which died or is to; return how it died, as a clause about an image."""
        process, self._process = self._process, None
        if process is None:
            return ""
        self._end_process()
        code = process.returncode
        if code == -signal.SIGALRM and self._limits is not None:
            return f"takes more than {self._limits.seconds} seconds to decode"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"
        return f"can't be decoded: its decoder died ({name})"


class _ProcessDiedError(Exception):
    """A decoder's process died; `reason` is a clause for a person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


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


def make_closed_error() -> DecoderError:
    """Return the error of a decoder that was stopped."""
    return DecoderError("The scorer was closed: it decodes no more images.")
