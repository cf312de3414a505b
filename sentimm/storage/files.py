"""Files and folders at any place: each function leaves its work to the store of the path.

All raise an OSError, in words for a person, where the file or the server fails; `Store` documents each operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

from sentimm.storage.local_store import LocalStore
from sentimm.storage.object_store import ObjectStore
from sentimm.storage.paths import RemoteFile, is_remote, is_web, to_path
from sentimm.storage.store import Argument, Entry, Result, Store
from sentimm.storage.web_store import WebStore

_LOCAL, _OBJECTS, _WEB = LocalStore(), ObjectStore(), WebStore()


def store_of(path: Path | RemoteFile | str) -> Store:
    """Return the store of a path, or of a name that may be a URL."""
    if not is_remote(path):
        return _LOCAL
    return _WEB if is_web(path) else _OBJECTS


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading; a remote one is read in steps of a few megabytes."""
    return store_of(path).open_file(path)


def open_source(path: Path) -> AbstractContextManager[Path | BinaryIO]:
    """Open a file for a library: yield the local path itself, or a remote file, open and seekable."""
    return store_of(path).open_source(path)


def load_source(path: Path) -> Path | BinaryIO:
    """Return a file for a library that reads all of it: the local path itself, or a remote file in memory."""
    return store_of(path).load_source(path)


def read_bytes(path: Path | RemoteFile, most: int | None = None) -> bytes:
    """Read a whole file, or its first `most` bytes."""
    return store_of(path).read_bytes(path, most)


def download(path: Path, target: Path) -> None:
    """Copy a file to the local file `target`."""
    store_of(path).download(path, target)


def exists(path: Path) -> bool:
    """Check whether a file or folder is there."""
    return store_of(path).exists(path)


def lexists(path: Path) -> bool:
    """Check whether anything is there, a broken link included."""
    return store_of(path).lexists(path)


def is_folder(path: Path) -> bool:
    """Check whether a folder is there; in object storage, a folder is there while it holds something."""
    return store_of(path).is_folder(path)


def is_regular(path: Path) -> bool:
    """Check that what is there, and is no folder, is a regular file: no pipe, no device, no broken link."""
    return store_of(path).is_regular(path)


def find_state(path: Path) -> tuple[Any, ...] | None:
    """Return what changes when a file does: size and time, or size and the server's tag. None: it is not there."""
    return store_of(path).find_state(path)


def find_real_name(path: Path) -> str:
    """Return the full name of a file or folder, links followed; a URL stays as it is."""
    return store_of(path).find_real_name(path)


def list_folder(path: Path) -> list[Entry]:
    """List a folder, in the order of the names; in object storage a folder that is not there is empty."""
    return store_of(path).list_folder(path)


def find_matches(pattern: str) -> list[Path]:
    """Find the files in object storage that match a pattern, in the order of their names."""
    return _OBJECTS.find_matches(pattern)


def map_files(function: Callable[[Path], Result], paths: Sequence[Path]) -> Iterable[Result]:
    """Call `function`, which reads or writes a file, for each path; many at a time where one of them is remote."""
    store = next((store for store in map(store_of, paths) if store.is_remote), _LOCAL)
    return store.map_files(function, paths)


def map_remote(function: Callable[[Argument], Result], arguments: Iterable[Argument]) -> list[Result]:
    """Call `function`, which waits for a server, for each argument, many at a time."""
    return _OBJECTS.map_files(function, arguments)


def is_reachable(file: RemoteFile) -> bool:
    """Check whether the server of a file answers at all, be it for its root or for the folder."""
    folder = file.url.rpartition("/")[0]
    root = "/".join(folder.split("/")[:3])
    return any(_answers(to_path(each)) for each in dict.fromkeys((root, folder)))


def _answers(path: Path) -> bool:
    try:
        exists(path)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
