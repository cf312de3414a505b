"""Files on this machine, left to the operating system; what is written survives a power loss."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, cast

from sentimm.storage.paths import RemoteFile
from sentimm.storage.steps import reach_step
from sentimm.storage.store import Argument, Entry, Result, Store

TEMPORARY = ".tmp"  # suffix of a file that is not published yet


class LocalStore(Store):
    """The file systems of this machine."""

    is_remote = False

    def open_file(self, path: Path) -> BinaryIO:
        return path.open("rb")

    def open_source(self, path: Path) -> AbstractContextManager[Path | BinaryIO]:
        return nullcontext(path)

    def load_source(self, path: Path) -> Path | BinaryIO:
        return path

    def read_bytes(self, path: Path | RemoteFile, most: int | None = None) -> bytes:
        with cast(Path, path).open("rb") as file:
            return file.read(-1 if most is None else most)

    def download(self, path: Path, target: Path) -> None:
        shutil.copyfile(path, target)

    def exists(self, path: Path) -> bool:
        return path.exists()

    def lexists(self, path: Path) -> bool:
        return os.path.lexists(path)

    def is_folder(self, path: Path) -> bool:
        return path.is_dir()

    def is_regular(self, path: Path) -> bool:
        return path.is_file()

    def is_link(self, path: Path) -> bool:
        try:
            return path.is_symlink() and path.is_file()
        except OSError:
            return False

    def is_inside(self, path: Path, real_root: str) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(real_root)

    def find_mode(self, path: Path) -> int:
        return path.stat().st_mode

    def find_state(self, path: Path) -> tuple[Any, ...] | None:
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns

    def find_real_name(self, path: Path) -> str:
        return os.path.realpath(path)

    def list_folder(self, path: Path) -> list[Entry]:
        with os.scandir(path) as found:
            return sorted((Entry(each.name, _is_folder(each)) for each in found), key=lambda each: each.name)

    def map_files(self, function: Callable[[Argument], Result], arguments: Iterable[Argument]) -> Iterable[Result]:
        return map(function, arguments)

    def stage(self, path: Path, temporary: Path | None = None) -> AbstractContextManager[Path]:
        return nullcontext(temporary or path.with_name(path.name + TEMPORARY))

    def publish(self, staged: Path, path: Path) -> None:
        sync_file(staged)
        reach_step()
        staged.replace(path)
        reach_step()
        sync_folder(path.parent)

    def scratch_folder(self, folder: Path) -> AbstractContextManager[Path]:
        return nullcontext(folder)

    def make_folder(self, path: Path) -> None:
        new = [each for each in (path, *path.parents) if not each.exists()]
        path.mkdir(parents=True)
        reach_step()
        for each in new:
            sync_folder(each.parent)

    def rename_folder(self, path: Path, target: Path, last: str) -> None:
        sync_folder(path)
        reach_step()
        path.rename(target)
        reach_step()
        sync_folder(target.parent)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def remove_folder(self, path: Path) -> None:
        path.rmdir()
        reach_step()
        sync_folder(path.parent)

    def explain(self, error: OSError) -> str:
        # Arrow's errors have a number, and words that name the temporary file.
        return os.strerror(error.errno) if error.errno else error.strerror or str(error)


def sync_file(path: Path) -> None:
    """Bring the content of a file to disk."""
    with path.open("rb+" if os.name == "nt" else "rb") as file:  # it may be read-only
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to disk."""
    if os.name == "nt":  # Windows has no handle on a folder that could be synced
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle, or through a folder that may not be read
        return False
