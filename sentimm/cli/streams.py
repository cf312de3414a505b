"""Standard output and error, so that what can't be printed neither ends a job nor looks like a defect."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from sentimm.errors import OutputError


class _Stream:
    """Stands for a stream, or for None, which Python has in the place of one that was closed."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            if self._stream is not None:
                self._stream.write(text)
        except OSError as error:
            self._fail(error)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        try:
            if self._stream is not None:
                self._stream.flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        """Decide what becomes of a failure: nothing."""


class _Results(_Stream):
    error: OutputError | None = None

    def _fail(self, error: OSError) -> None:
        # What could not be printed is still in the buffer, and would fail once more when Python ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):  # whoever reads (`| head`) may have had enough
            self.error = OutputError(f"The result can't be printed: {error.strerror or error}.")


@contextmanager
def guard_streams() -> Iterator[None]:
    """Let no failure of standard error be noticed, and tell of one of standard output in a sentence.

    Raises:
        OutputError: standard output can't be written to.
    """
    results: Any = _Results(sys.stdout)
    news: Any = _Stream(sys.stderr)
    with redirect_stderr(news), redirect_stdout(results):
        try:
            yield
        finally:
            results.flush()
            if results.error is not None:
                raise results.error
