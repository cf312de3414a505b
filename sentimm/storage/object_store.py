"""Files in object storage, through fsspec: each request is retried, and a file is replaced at once or not at all."""

from __future__ import annotations

import errno
import io
import posixpath
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from sentimm.storage.paths import CONNECTIONS, RemoteFile, file_system_of, name_in_store, to_path
from sentimm.storage.retrying import find_status, retry
from sentimm.storage.steps import reach_step
from sentimm.storage.store import Argument, Entry, Result, Store

_BUFFER_BYTES = 4 << 20  # of a file that is read: what one request asks for at least
_COPY_BYTES = 16 << 20
_TAGS = ("md5Hash", "ETag", "etag", "Last-Modified", "LastModified")


class ObjectStore(Store):
    """S3, Google Cloud Storage and others; it has no folders, only names with slashes in them."""

    is_remote = True

    def open_file(self, path: Path) -> BinaryIO:
        size = retry(path, lambda: self.find_size(path))
        if size is None:
            return retry(path, lambda: _fetch(path))
        return cast(BinaryIO, io.BufferedReader(_Ranges(path, size), _BUFFER_BYTES))

    @contextmanager
    def open_source(self, path: Path) -> Iterator[Path | BinaryIO]:
        with self.open_file(path) as file:
            yield file

    def load_source(self, path: Path) -> Path | BinaryIO:
        return io.BytesIO(self.read_bytes(path))

    def read_bytes(self, path: Path | RemoteFile, most: int | None = None) -> bytes:
        folder, url = split_url(path)
        limits = {} if most is None else {"start": 0, "end": most}

        def read() -> bytes:
            try:
                content: bytes = file_system_of(folder).cat_file(url, **limits)
            except Exception as error:
                if limits and find_status(error) == 416:  # no byte of an empty file is in the range
                    return b""
                raise
            return content

        return retry(folder, read)

    def download(self, path: Path, target: Path) -> None:
        with self.open_file(path) as file, target.open("wb") as copied:
            while data := file.read(_COPY_BYTES):
                copied.write(data)

    def exists(self, path: Path) -> bool:
        return self._describe(path) is not None

    def lexists(self, path: Path) -> bool:
        return self.exists(path)

    def is_folder(self, path: Path) -> bool:
        found = self._describe(path)
        return found is not None and found["type"] == "directory"

    def is_regular(self, path: Path) -> bool:
        return True

    def is_link(self, path: Path) -> bool:
        return False

    def is_inside(self, path: Path, real_root: str) -> bool:
        return True

    def find_mode(self, path: Path) -> int:
        found = self._describe(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "not found")
        return stat.S_IFDIR if found["type"] == "directory" else stat.S_IFREG

    def find_state(self, path: Path) -> tuple[Any, ...] | None:
        found = self._describe(path)
        if found is None:
            return None
        return found.get("size"), str(next((found[name] for name in _TAGS if name in found), ""))

    def find_real_name(self, path: Path) -> str:
        return str(path)

    def list_folder(self, path: Path) -> list[Entry]:
        own = name_in_store(path).rstrip("/")
        try:
            listed = retry(path, lambda: file_system_of(path).ls(own, detail=True))
        except FileNotFoundError:
            return []
        entries = [
            Entry(posixpath.basename(each["name"].rstrip("/")), each["type"] == "directory", each.get("size"))
            for each in listed
            if each["name"].rstrip("/") != own  # the mark of an empty folder
        ]
        return sorted(entries, key=lambda entry: entry.name)

    def find_matches(self, pattern: str) -> list[Path]:
        """Find the files that match a pattern, in the order of their names."""
        path = to_path(pattern)
        found = retry(path, lambda: file_system_of(path).glob(name_in_store(path)))
        return [to_path(file_system_of(path).unstrip_protocol(name)) for name in sorted(found)]

    def map_files(self, function: Callable[[Argument], Result], arguments: Iterable[Argument]) -> list[Result]:
        with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="request") as pool:
            return list(pool.map(function, arguments))

    @contextmanager
    def stage(self, path: Path, temporary: Path | None = None) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="sentimm-") as folder:
            yield Path(folder, path.name)

    def publish(self, staged: Path, path: Path) -> None:
        self.upload(staged, path)

    def upload(self, source: Path, target: Path) -> None:
        """Copy a local file to `target`, whole or not at all."""

        def put() -> None:
            file_system_of(target).put_file(str(source), name_in_store(target))
            if (found := file_system_of(target).info(name_in_store(target))["size"]) != source.stat().st_size:
                raise OSError(errno.EIO, f"{found} of {source.stat().st_size} bytes arrived")

        retry(target, put)

    def copy(self, source: Path, target: Path) -> None:
        """Copy a file inside the store."""
        retry(target, lambda: file_system_of(target).cp_file(name_in_store(source), name_in_store(target)))

    @contextmanager
    def scratch_folder(self, folder: Path) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="sentimm-") as scratch:
            yield Path(scratch)

    def make_folder(self, path: Path) -> None:
        pass

    def rename_folder(self, path: Path, target: Path, last: str) -> None:
        names = [entry.name for entry in self.list_folder(path) if entry.name != last]
        self.map_files(lambda name: self.copy(path / name, target / name), names)
        reach_step()
        self.copy(path / last, target / last)
        reach_step()
        self.map_files(lambda name: self.remove(path / name), names)
        reach_step()
        self.remove(path / last)

    def remove(self, path: Path) -> None:
        def rm() -> None:
            with suppress(FileNotFoundError):
                file_system_of(path).rm_file(name_in_store(path))

        retry(path, rm)

    def remove_folder(self, path: Path) -> None:
        pass

    def explain(self, error: OSError) -> str:
        return error.strerror or str(error)

    def request_info(self, path: Path) -> dict[str, Any]:
        """Request what the server knows of a path, once; the errors are the file system's own."""
        return cast("dict[str, Any]", file_system_of(path).info(name_in_store(path)))

    def find_size(self, path: Path) -> int | None:
        """Request the size of a file, once; None where it can't be read in ranges of bytes."""
        return self.request_info(path).get("size")

    def _describe(self, path: Path) -> dict[str, Any] | None:
        try:
            return retry(path, lambda: self.request_info(path))
        except FileNotFoundError:
            return None


def split_url(path: Path | RemoteFile) -> tuple[Path, str]:
    """Return a path with the file's file system, and the file's name there."""
    if isinstance(path, RemoteFile):  # its name may hold what has a meaning in a URL of fsspec's
        return to_path(path.url.rpartition("/")[0]), path.url
    return path, name_in_store(path)


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
            data: bytes = file_system_of(self._path).cat_file(name_in_store(self._path), start=start, end=end)
            if len(data) != end - start:
                raise OSError(errno.EIO, f"{len(data)} of {end - start} bytes arrived")
            return data

        data = retry(self._path, read)
        self._position = end
        return data


def _fetch(path: Path) -> BinaryIO:
    """Copy a file to a temporary one of this machine, and open that."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (whoever reads closes it)
    try:
        file_system_of(path).get_file(name_in_store(path), file)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return cast(BinaryIO, file)
