"""The steps of writing: tests end the process at any of them, or watch them go by.

With SENTIMM_FAILPOINT=N the process ends, as if killed, when it arrives at its Nth step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_EXIT_CODE = 86

_reached = 0
_watchers: list[Callable[[], None]] = []


def reach_step() -> None:
    """Count a step, and end the process where it is the one that SENTIMM_FAILPOINT names."""
    global _reached
    _reached += 1
    if os.environ.get("SENTIMM_FAILPOINT") == str(_reached):
        os._exit(_EXIT_CODE)
    for watcher in _watchers:
        watcher()


@contextmanager
def watching_steps(watcher: Callable[[], None]) -> Iterator[None]:
    """Call `watcher` at each step in the block; what it raises, the step raises."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)
