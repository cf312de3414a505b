"""Files and folders at any place: local ones are left to the operating system."""

from __future__ import annotations

import errno
import io
import os
import posixpath
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from sentimm.storage.paths import CONNECTIONS, RemoteFile, is_remote, is_web, locate, reach, to_path
from sentimm.storage.retrying import Result, ask, find_status

Argument = TypeVar("Argument")

_BUFFER_BYTES = 4 << 20  # of a file that is read: what one request asks for at least
_COPY_BYTES = 16 << 20


@dataclass(frozen=True)
class Entry:
    """What a folder holds: a file, with its bytes (None: not known), or a folder, with its name."""

    name: str
    is_folder: bool
    size: int | None = None


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading, at any place; remote ones in steps of a few megabytes.

    Raises:
        OSError: it can't be opened; so does reading, where it can't go on.
    """
    if not is_remote(path):
        return path.open("rb")
    size, is_divisible = ask(path, lambda: _find_size(path))
    if size is None or not is_divisible:
        return ask(path, lambda: _fetch(path))
    return cast(BinaryIO, io.BufferedReader(_Ranges(path, size), _BUFFER_BYTES))


def read_bytes(path: Path | RemoteFile, most: int | None = None) -> bytes:
    """Read a file as a whole, or its first `most` bytes.

    Raises:
        OSError: it can't be read.
    """
    where = ""
    if isinstance(path, RemoteFile):
        where = path.url
        path = to_path(where.rpartition("/")[0])  # its name may hold what means something in a URL of fsspec's
    if not is_remote(path):
        with path.open("rb") as file:
            return file.read(-1 if most is None else most)
    where = where or locate(path)
    limits = {} if most is None else {"start": 0, "end": most}

    def read() -> bytes:
        if is_web(path) and most is not None:
            return _read_head(path, where, most)[0]
        try:
            content: bytes = reach(path).cat_file(where, **limits)
        except Exception as error:
            if limits and find_status(error) == 416:  # no byte of an empty file is in the range
                return b""
            raise
        return content

    return ask(path, read)


def exists(path: Path) -> bool:
    """Tell whether a file or folder is there.

    Raises:
        OSError: there is no telling.
    """
    return path.exists() if not is_remote(path) else _describe(path) is not None


def answers(file: RemoteFile) -> bool:
    """Tell whether the server of a file answers at all: for its root, or for the folder."""
    folder = file.url.rpartition("/")[0]
    root = "/".join(folder.split("/")[:3])
    return any(_answers(to_path(each)) for each in dict.fromkeys((root, folder)))


def is_folder(path: Path) -> bool:
    """Tell whether a folder is there; in object storage one is where something is in it.

    Raises:
        OSError: there is no telling.
    """
    if not is_remote(path):
        return path.is_dir()
    found = _describe(path)
    return found is not None and found["type"] == "directory"


def find_state(path: Path) -> tuple[Any, ...] | None:
    """Give what changes when a file does: its size and its time, or the server's tag; None where it is not there.

    Raises:
        OSError: the server does not answer.
    """
    if not is_remote(path):
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns
    found = _describe(path)
    if found is None:
        return None
    tag = next(
        (found[name] for name in ("md5Hash", "ETag", "etag", "Last-Modified", "LastModified") if name in found), ""
    )
    return found.get("size"), str(tag)


def list_folder(path: Path) -> list[Entry]:
    """List a folder, in the order of the names; in object storage one that is not there has nothing in it.

    Raises:
        OSError: it can't be listed.
    """
    if not is_remote(path):
        with os.scandir(path) as found:
            return sorted((Entry(each.name, _is_dir(each)) for each in found), key=lambda each: each.name)
    own = locate(path).rstrip("/")
    try:
        listed = ask(path, lambda: reach(path).ls(own, detail=True))
    except FileNotFoundError:
        return []
    entries = [
        Entry(posixpath.basename(each["name"].rstrip("/")), each["type"] == "directory", each.get("size"))
        for each in listed
        if each["name"].rstrip("/") != own  # the mark of an empty folder
    ]
    return sorted(entries, key=lambda entry: entry.name)


def find_matches(pattern: str) -> list[Path]:
    """Find the remote files that match a pattern, in the order of their names.

    Raises:
        OSError: the store does not answer.
    """
    path = to_path(pattern)
    found = ask(path, lambda: reach(path).glob(locate(path)))
    return [to_path(cast(Any, path).fs.unstrip_protocol(name)) for name in sorted(found)]


def upload(source: Path, target: Path) -> None:
    """Put a local file into object storage, whole or not at all.

    Raises:
        OSError: it can't be written.
    """

    def put() -> None:
        reach(target).put_file(str(source), locate(target))
        if (found := reach(target).info(locate(target))["size"]) != source.stat().st_size:
            raise OSError(errno.EIO, f"{found} of {source.stat().st_size} bytes arrived")

    ask(target, put)


def copy(source: Path, target: Path) -> None:
    """Copy a file inside object storage.

    Raises:
        OSError: it can't be read or written.
    """
    ask(target, lambda: reach(target).cp_file(locate(source), locate(target)))


def remove(path: Path) -> None:
    """Remove a remote file, where it is there.

    Raises:
        OSError: it can't be removed.
    """

    def rm() -> None:
        with suppress(FileNotFoundError):
            reach(path).rm_file(locate(path))

    ask(path, rm)


def download(path: Path, target: Path) -> None:
    """Copy a remote file to a local one.

    Raises:
        OSError: it can't be read or written.
    """
    with open_file(path) as file, target.open("wb") as copied:
        while data := file.read(_COPY_BYTES):
            copied.write(data)


def map_remote(function: Callable[[Argument], Result], arguments: Iterable[Argument]) -> list[Result]:
    """Call `function` for each argument, many at a time: for what waits for a server."""
    with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="ask") as pool:
        return list(pool.map(function, arguments))


class _Ranges(io.RawIOBase):
    """A remote file as a stream; each read is a request for a range of its bytes."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._read(self._size)

    def _read(self, most: int) -> bytes:
        start, end = self._position, min(self._size, self._position + most)
        if start >= end:
            return b""

        def read() -> bytes:
            data: bytes = reach(self._path).cat_file(locate(self._path), start=start, end=end)
            if len(data) != end - start:
                raise OSError(errno.EIO, f"{len(data)} of {end - start} bytes arrived")
            return data

        data = ask(self._path, read)
        self._position = end
        return data


def _answers(path: Path) -> bool:
    try:
        exists(path)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle, or through a folder that may not be read
        return False


def _describe(path: Path) -> dict[str, Any] | None:
    """Ask what is at a remote path; None: nothing."""
    try:
        return ask(path, lambda: _inquire(path))
    except FileNotFoundError:
        return None


def _inquire(path: Path) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", reach(path).info(locate(path)))
    except FileNotFoundError as error:
        if is_web(path) and isinstance(error.__cause__, Exception):  # fsspec says so whatever went wrong
            raise error.__cause__ from None
        raise


def _find_size(path: Path) -> tuple[int | None, bool]:
    """Find the size of a remote file, and whether its server gives ranges of its bytes."""
    size = _inquire(path).get("size")
    if not is_web(path) or not size:
        return size, True
    return size, _read_head(path, locate(path), 1)[1]


def _read_head(folder: Path, url: str, most: int) -> tuple[bytes, bool]:
    """Read the first bytes of a web server's file, and tell whether it sent those alone: a range, and not all."""
    from fsspec.asyn import sync

    file_system = reach(folder)

    async def read() -> tuple[bytes, bool]:
        session = await file_system.set_session()
        headers = {"Range": f"bytes=0-{most - 1}"}
        async with session.get(file_system.encode_url(url), headers=headers) as answer:
            if answer.status == 416:  # no byte of an empty file is in the range
                return b"", True
            answer.raise_for_status()
            pieces, left = [], most
            while left and (piece := await answer.content.read(left)):
                pieces.append(piece)
                left -= len(piece)
            return b"".join(pieces), answer.status == 206

    return cast("tuple[bytes, bool]", sync(file_system.loop, read))


def _fetch(path: Path) -> BinaryIO:
    """Copy a web server's file, which it gives as a whole only, to a temporary one."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (whoever reads closes it)
    try:
        reach(path).get_file(locate(path), file)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return cast(BinaryIO, file)
