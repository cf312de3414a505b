"""Writing that leaves the old state or the new, whenever the process is killed or the power fails.

A file is written under a temporary name, synced, renamed, and its folder is synced. In object storage, which has no
renames, it is written on this machine and uploaded as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sentimm.errors import OutputError
from sentimm.storage.files import store_of
from sentimm.storage.local_store import TEMPORARY, sync_file, sync_folder
from sentimm.storage.steps import reach_step

__all__ = [
    "TEMPORARY",
    "commit_file",
    "commit_folder",
    "publish_file",
    "reading",
    "remove_file",
    "remove_folder",
    "rename_folder",
    "sync_file",
    "sync_folder",
    "write_file",
    "writing",
]


@contextmanager
def commit_file(path: Path, temporary: Path | None = None) -> Iterator[Path]:
    """Yield a temporary file to write; when the block ends well, it becomes `path`, durably.

    Args:
        path: the file, which keeps its old content until then.
        temporary: where to write, on the same file system; None: `path` with TEMPORARY behind it.

    Raises:
        OutputError: the file can't be written.
    """
    with writing(path):
        store = store_of(path)
        reach_step()
        with store.stage(path, temporary) as staged:
            try:
                yield staged
            except BaseException:
                staged.unlink(missing_ok=True)  # a full disk needs the room
                raise
            reach_step()
            store.publish(staged, path)
            reach_step()


def write_file(path: Path, content: bytes) -> None:
    """Write a file, durably: at any moment `path` is the old file or the new one.

    Raises:
        OutputError: it can't be written.
    """
    with commit_file(path) as temporary:
        temporary.write_bytes(content)


def publish_file(temporary: Path, path: Path) -> None:
    """Make the local file `temporary` the file `path`, durably.

    Raises:
        OutputError: `path` can't be written.
    """
    with writing(path):
        reach_step()
        store_of(path).publish(temporary, path)
        reach_step()


def commit_folder(path: Path) -> None:
    """Make the folder `path`, and those above it, durably.

    Raises:
        OutputError: it can't be made.
    """
    with writing(path):
        reach_step()
        store_of(path).make_folder(path)
        reach_step()


def rename_folder(path: Path, target: Path, last: str) -> None:
    """Rename the folder `path` to `target`, which does not exist, durably.

    In object storage each file is copied, and `last` after all others.

    Raises:
        OutputError: `target` can't be written.
    """
    with writing(target):
        store_of(path).rename_folder(path, target, last)
        reach_step()


def remove_file(path: Path) -> None:
    """Remove the file `path`, if it is there.

    Raises:
        OutputError: it can't be removed.
    """
    with writing(path):
        store_of(path).remove(path)
        reach_step()


def remove_folder(path: Path) -> None:
    """Remove the empty folder `path`, durably.

    Raises:
        OutputError: it can't be removed.
    """
    with writing(path):
        store_of(path).remove_folder(path)
        reach_step()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into an OutputError: `path` can't be written."""
    with _explaining(path, "written"):
        yield


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into an OutputError: `path`, a file of an output or a job, can't be read."""
    with _explaining(path, "read"):
        yield


@contextmanager
def _explaining(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} can't be {done}: {store_of(path).explain(error)}.") from error
