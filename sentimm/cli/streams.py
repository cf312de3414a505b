"""Standard output and error, so that what can't be printed neither ends a job nor looks like a defect."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

from sentimm.errors import OutputError


class _Stream:
    """Stands for a stream, and keeps the first failure to write to it instead of raising it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except OSError as error:
            self.error = self.error or error
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self.error = self.error or error

    def settle(self) -> None:
        """Write what is left; where that fails, let it go, or it would fail once more when Python ends."""
        try:
            self._stream.flush()
        except OSError as error:
            self.error = self.error or error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def guard_streams() -> Iterator[None]:
    """Ignore failures of standard error, and report one of standard output in a sentence.

    Raises:
        OutputError: standard output could not be written to, and not because its reader (`| head`) had enough.
    """
    _fill_closed()
    results: Any = _Stream(sys.stdout)
    news: Any = _Stream(sys.stderr)
    try:
        with redirect_stderr(news), redirect_stdout(results):
            yield
    finally:
        results.settle()
        news.settle()
        if results.error is not None and not isinstance(results.error, BrokenPipeError):
            reason = results.error.strerror or results.error
            raise OutputError(f"The result can't be printed: {reason}.") from results.error


def _fill_closed() -> None:
    """Put nothing in the place of streams that were closed: the next file to be opened would take it."""
    for number in range(3):
        with suppress(OSError):
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDWR)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w", closefd=False))
