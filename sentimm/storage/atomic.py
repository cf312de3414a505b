"""Writing so that a kill at any moment leaves either the old state or the new: temporary name, sync, rename, sync.

Every step can be made the last one of the process: with SENTIMM_FAILPOINT=N it ends, as if killed, when it arrives at
its Nth step. The tests of resuming use that; nobody else sets it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sentimm.errors import OutputError
from sentimm.storage import copy, is_remote, list_folder, map_remote, remove, upload

TEMPORARY = ".tmp"  # suffix of what is not committed yet

_steps = 0


@contextmanager
def commit_file(path: Path, temporary: Path | None = None) -> Iterator[Path]:
    """Give a temporary path to write to; when the block ends well, what is there becomes `path`, for good.

    The temporary path is `path` with TEMPORARY behind it, unless another one on the same file system is given. In
    object storage a file appears as a whole: there it is written on this machine first.

    Raises:
        OutputError: something can't be written; nothing is under `path` then, or what was there before.
    """
    if is_remote(path):
        with _uploading(path) as local:
            yield local
        return
    temporary = temporary or path.with_name(path.name + TEMPORARY)
    with writing(path):
        _reach_step()
        try:
            yield temporary
        except BaseException:
            temporary.unlink(missing_ok=True)  # a full disk needs the room
            raise
        _reach_step()
        _sync(temporary)
        _reach_step()
        temporary.replace(path)
        _reach_step()
        sync_folder(path.parent)
        _reach_step()


def commit_folder(path: Path) -> None:
    """Make the folder `path`, and those above it, for good."""
    if is_remote(path):  # object storage has no folders
        return
    with writing(path):
        _reach_step()
        path.mkdir(parents=True)
        _reach_step()
        sync_folder(path.parent)
        _reach_step()


def rename_folder(path: Path, target: Path, last: str) -> None:
    """Rename the folder `path` to `target`, which does not exist, for good.

    In object storage each file is copied, `last` behind all others.
    """
    if is_remote(path):
        _move_objects(path, target, last)
        return
    with writing(target):
        sync_folder(path)
        _reach_step()
        path.rename(target)
        _reach_step()
        sync_folder(target.parent)
        _reach_step()


def remove_file(path: Path) -> None:
    """Remove the file `path`, where it is there."""
    with writing(path):
        if is_remote(path):
            remove(path)
        else:
            path.unlink(missing_ok=True)
        _reach_step()


def remove_folder(path: Path) -> None:
    """Remove the empty folder `path`, for good."""
    if is_remote(path):
        return
    with writing(path):
        path.rmdir()
        _reach_step()
        sync_folder(path.parent)
        _reach_step()


def sync_folder(path: Path) -> None:
    """Bring the names in the folder `path` to disk."""
    if os.name == "nt":  # Windows has no handle on a folder that could be synced
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into an OutputError that names `path`."""
    try:
        yield
    except OSError as error:
        # Arrow's errors have a number, and words that name the temporary file.
        reason = os.strerror(error.errno) if error.errno and not is_remote(path) else error.strerror or str(error)
        raise OutputError(f"{path} can't be written: {reason}.") from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into an OutputError that says that `path` can't be read."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and not is_remote(path) else error.strerror or str(error)
        raise OutputError(f"{path} can't be read: {reason}.") from error


@contextmanager
def _uploading(path: Path) -> Iterator[Path]:
    with writing(path), tempfile.TemporaryDirectory(prefix="sentimm-") as folder:
        _reach_step()
        local = Path(folder, path.name)
        yield local
        _reach_step()
        upload(local, path)
        _reach_step()


def _move_objects(path: Path, target: Path, last: str) -> None:
    with writing(target):
        names = [entry.name for entry in list_folder(path) if entry.name != last]
        map_remote(lambda name: copy(path / name, target / name), names)
        _reach_step()
        copy(path / last, target / last)
        _reach_step()
        map_remote(lambda name: remove(path / name), names)
        _reach_step()
        remove(path / last)
        _reach_step()


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _reach_step() -> None:
    global _steps
    _steps += 1
    if os.environ.get("SENTIMM_FAILPOINT") == str(_steps):
        os._exit(86)
