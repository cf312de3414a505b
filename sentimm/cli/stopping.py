"""What Ctrl-C and a termination do to a command that saves its state: it finishes the step and ends, resumable."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType


class Stopped(SystemExit):
    """A signal asked the command to end, and it has."""


class StopRequest:
    """Notes SIGINT and SIGTERM while its block runs; called, it says whether one came.

    Before it is called for the first time nothing needs saving, and a signal ends the command at once; so does a
    second signal at any time.

    Args:
        say: tells the user that the first signal was heard.

    Raises:
        Stopped: at any place of the block, where a signal ends the command at once.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._received: int | None = None
        self._is_asked_for = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def __call__(self) -> bool:
        """Return whether to stop."""
        self._is_asked_for = True
        return self._received is not None

    @property
    def exit_code(self) -> int:
        """What the process that was stopped by the signal exits with."""
        return 128 + (self._received or signal.SIGINT)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self._received is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._received = number
        if not self._is_asked_for:
            self._say("Stopped before the first step.")
            raise Stopped(self.exit_code)
        self._say("Stopping after this step (press again to stop at once) ...")
