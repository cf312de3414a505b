"""What a kill at any step of writing leaves: the job runs once, and what is stored is copied at each of its steps."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from sentimm.storage.steps import watching_steps

State = TypeVar("State")


class Killed(BaseException):
    """Stands for a kill in tests that stay in this process."""


def killed_at(step: int) -> AbstractContextManager[None]:
    """End the block, by Killed, at a step."""
    return failing_at(step, Killed())


def failing_at(step: int, error: BaseException) -> AbstractContextManager[None]:
    """Raise `error` at a step of the block."""
    steps = iter(range(1, 10_000))

    def reach_step() -> None:
        if next(steps) == step:
            raise error

    return watching_steps(reach_step)


@contextmanager
def copying_steps(copy: Callable[[], State], stride: int = 1) -> Iterator[list[State]]:
    """Yield a list, which gets what `copy` returns at the first step of the block and each `stride`th behind it."""
    states: list[State] = []
    steps = iter(range(10_000))

    def reach_step() -> None:
        if next(steps) % stride == 0:
            states.append(copy())

    with watching_steps(reach_step):
        yield states


class Folder:
    """A folder that can be copied and put back."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def copy(self) -> dict[Path, bytes | None]:
        """Return the content of each file by its path in the folder, and None for each folder."""
        return {
            path.relative_to(self._path): path.read_bytes() if path.is_file() else None
            for path in sorted(self._path.rglob("*"))
        }

    def restore(self, content: dict[Path, bytes | None]) -> None:
        """Make the folder what `copy` returned."""
        shutil.rmtree(self._path, ignore_errors=True)
        self._path.mkdir(parents=True)
        for name, file in content.items():
            if file is None:
                (self._path / name).mkdir()
            else:
                (self._path / name).write_bytes(file)
