"""The steps of writing: each can be made the last one of the process, and tests can watch them.

With SENTIMM_FAILPOINT=N the process ends, as if killed, when it arrives at its Nth step. The tests of resuming use
that; nobody else sets it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

_EXIT_CODE = 86

on_step: Callable[[], None] | None = None  # what tests put in place of the failpoint

_reached = 0


def reach_step() -> None:
    """Count a step, and end the process where it is the one that SENTIMM_FAILPOINT names."""
    global _reached
    _reached += 1
    if on_step is not None:
        on_step()
    if os.environ.get("SENTIMM_FAILPOINT") == str(_reached):
        os._exit(_EXIT_CODE)
