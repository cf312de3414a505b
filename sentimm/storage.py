"""Files that lie in object storage (s3://, gs://, az://) or on web servers (https://), through fsspec.

Their paths are those of universal_pathlib, which have the interface of pathlib's and pass for `Path` here. What is
asked of a server is asked again where it fails for a while, and every failure is an OSError in words for a person:
whoever reads a local file reads a remote one. Local files are left to the operating system.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import posixpath
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import quote

from sentimm.errors import MissingExtraError, UsageError

Argument = TypeVar("Argument")
Result = TypeVar("Result")

CONNECTIONS = 32  # requests under way at once: a server answers in some ten milliseconds, however many there are

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_WEB = ("http", "https")
_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")  # that replace an object at once, or not at all

_CREDENTIALS = ("ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed", "SignatureDoesNotMatch")
_ATTEMPTS = 8
_FIRST_WAIT = 0.2  # seconds, twice as many after each attempt
_LONGEST_WAIT = 10.0
_BUFFER_BYTES = 4 << 20  # of a file that is read: what one request asks for at least
_COPY_BYTES = 16 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RemoteFile:
    """A file that is read as a whole, such as an image: its URL."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class Entry:
    """What a folder holds: a file, with its bytes (None: not known), or a folder, with its name."""

    name: str
    is_folder: bool
    size: int | None = None


def is_remote(path: str | Path) -> bool:
    """Tell whether a name, or a path that `to_path` made of it, is a URL."""
    return _URL.match(path) is not None if isinstance(path, str) else not isinstance(path, Path)


def is_web(path: Path) -> bool:
    """Tell whether a path leads to a web server, whose folders can't be listed."""
    return is_remote(path) and cast(Any, path).protocol in _WEB


def to_path(name: str) -> Path:
    """Make the path of a file or folder, local or remote.

    Raises:
        MissingExtraError: what is needed to reach it is not installed.
        UsageError: nothing of the kind can be reached.
    """
    if not is_remote(name):
        return Path(name)
    protocol = name.split(":")[0].lower()
    try:
        from upath import UPath

        path = UPath(name, **_find_options(protocol))
        file_system = path.fs  # made on first use
        for library in ("fsspec", "gcsfs", "s3fs"):  # what fails arrives as an exception
            logging.getLogger(library).setLevel(logging.CRITICAL)
        if protocol in ("s3", "s3a"):
            file_system.retries = 1  # s3fs would multiply the attempts by 5, and by 25 those of reading
    except ImportError as error:
        package = "adlfs" if protocol in ("az", "abfs", "abfss") else "'sentimm[cloud]'"
        raise MissingExtraError(
            f"{name} needs packages that local files do without: pip install {package} ({error})."
        ) from error
    except ValueError as error:
        raise UsageError(
            f"Nothing is known of names such as {name}: local files, s3://, gs:// and https:// can be read."
        ) from error
    return cast(Path, path)


def require_writable(path: Path) -> None:
    """Check that a remote output may lie at `path`.

    Raises:
        UsageError: it may not.
    """
    if is_remote(path) and cast(Any, path).protocol not in _STORES:
        raise UsageError(
            f"{path} can't be written: an output is a local file, or lies in object storage (s3://, gs://)."
        )


def join(folder: Path, name: str) -> str:
    """Give the URL of a name, which may lead through sub-folders, in a remote folder."""
    return f"{str(folder).rstrip('/')}/{quote(name) if is_web(folder) else name}"


def hide_secrets(path: Path | RemoteFile) -> str:
    """Give the name of a file or folder as outputs have it: of a web server's without query, user and password."""
    name = str(path)
    return re.sub(r"(?<=://)[^/@]*@", "", name.split("?")[0]) if name.startswith(("http://", "https://")) else name


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading, at any place; remote ones in steps of a few megabytes.

    Raises:
        OSError: it can't be opened; so does reading, where it can't go on.
    """
    if not is_remote(path):
        return path.open("rb")
    size, is_divisible = _ask(path, lambda: _find_size(path))
    if size is None or not is_divisible:
        return _ask(path, lambda: _fetch(path))
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
    limits = {} if most is None else {"start": 0, "end": most}

    def read() -> bytes:
        try:
            content: bytes = _reach(path).cat_file(where or _locate(path), **limits)
        except Exception as error:
            if limits and _find_status(error) == 416:  # no byte of an empty file is in the range
                return b""
            raise
        return content

    return _ask(path, read)[:most]


def exists(path: Path) -> bool:
    """Tell whether a file or folder is there.

    Raises:
        OSError: there is no telling.
    """
    return path.exists() if not is_remote(path) else _describe(path) is not None


def answers(file: RemoteFile) -> bool:
    """Tell whether the server of a file answers at all."""
    try:
        exists(to_path(file.url.rpartition("/")[0]))
    except PermissionError:
        return True
    except OSError:
        return False
    return True


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
    own = _locate(path).rstrip("/")
    try:
        listed = _ask(path, lambda: _reach(path).ls(own, detail=True))
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
    found = _ask(path, lambda: _reach(path).glob(_locate(path)))
    return [to_path(cast(Any, path).fs.unstrip_protocol(name)) for name in sorted(found)]


def upload(source: Path, target: Path) -> None:
    """Put a local file into object storage, whole or not at all.

    Raises:
        OSError: it can't be written.
    """

    def put() -> None:
        _reach(target).put_file(str(source), _locate(target))
        if (found := _reach(target).info(_locate(target))["size"]) != source.stat().st_size:
            raise OSError(errno.EIO, f"{found} of {source.stat().st_size} bytes arrived")

    _ask(target, put)


def copy(source: Path, target: Path) -> None:
    """Copy a file inside object storage.

    Raises:
        OSError: it can't be read or written.
    """
    _ask(target, lambda: _reach(target).cp_file(_locate(source), _locate(target)))


def remove(path: Path) -> None:
    """Remove a remote file, where it is there.

    Raises:
        OSError: it can't be removed.
    """

    def rm() -> None:
        with suppress(FileNotFoundError):
            _reach(path).rm_file(_locate(path))

    _ask(path, rm)


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
            data: bytes = _reach(self._path).cat_file(_locate(self._path), start=start, end=end)
            if len(data) != end - start:
                raise OSError(errno.EIO, f"{len(data)} of {end - start} bytes arrived")
            return data

        data = _ask(self._path, read)
        self._position = end
        return data


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle, or through a folder that may not be read
        return False


def _find_options(protocol: str) -> dict[str, Any]:
    """Give the options of a file system: nothing that it lists is kept, as others write there too."""
    options: dict[str, Any] = {"use_listings_cache": False}
    if protocol in _WEB:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
        options["client_kwargs"] = {"timeout": timeout, "headers": {"Accept-Encoding": "identity"}}
    if protocol in ("s3", "s3a"):
        options["config_kwargs"] = {"retries": {"total_max_attempts": 2}, "max_pool_connections": CONNECTIONS}
    return options


def _reach(path: Path) -> Any:
    return cast(Any, path).fs


def _locate(path: Path) -> str:
    """Give a path as its file system has it."""
    return cast(str, cast(Any, path).path)


def _describe(path: Path) -> dict[str, Any] | None:
    """Ask what is at a remote path; None: nothing."""
    try:
        return _ask(path, lambda: _inquire(path))
    except FileNotFoundError:
        return None


def _inquire(path: Path) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", _reach(path).info(_locate(path)))
    except FileNotFoundError as error:
        if is_web(path) and isinstance(error.__cause__, Exception):  # fsspec says so whatever went wrong
            raise error.__cause__ from None
        raise


def _find_size(path: Path) -> tuple[int | None, bool]:
    """Find the size of a remote file, and whether its server gives ranges of its bytes."""
    size = _inquire(path).get("size")
    if not is_web(path) or not size:
        return size, True
    return size, len(_reach(path).cat_file(_locate(path), start=0, end=1)) == 1


def _fetch(path: Path) -> BinaryIO:
    """Copy a web server's file, which it gives as a whole only, to a temporary one."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (whoever reads closes it)
    try:
        _reach(path).get_file(_locate(path), file)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return cast(BinaryIO, file)


def _ask(path: Path, question: Callable[[], Result]) -> Result:
    """Ask a server, again where it fails in a way that may pass; what fails then is an OSError."""
    for attempt in range(_ATTEMPTS):
        try:
            return question()
        except Exception as error:  # each file system has its own
            failure = _translate(error)
            if _is_final(error, failure) or attempt == _ATTEMPTS - 1:
                raise failure from error
            _log.info("%s: %s: tried again", path, failure.strerror)
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt)
            time.sleep(wait * random.uniform(0.5, 1))
    raise AssertionError


def _is_final(error: Exception, failure: OSError) -> bool:
    status, code = _find_status(error), _find_code(error)
    if _lacks_credentials(error):
        return True
    if code in ("NoSuchUpload", "RequestTimeout", "IncompleteBody", "BadDigest", "OperationAborted"):
        return False
    if status is not None and 400 <= status < 500:
        return status not in (408, 409, 425, 429)
    return (
        isinstance(failure, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError)
        or isinstance(error, TypeError | ValueError | NotImplementedError)
        or type(error).__name__ == "ParamValidationError"
    )


def _lacks_credentials(error: Exception) -> bool:
    """Tell whether nobody is let in, which says nothing of the file."""
    return _find_code(error) in _CREDENTIALS or "Credentials" in type(error).__name__


def _find_status(error: Exception) -> int | None:
    """Find the status of the answer that an error is about; s3fs's errors have botocore's as their cause."""
    answer = _get_answer(error).get("ResponseMetadata", {})
    status = getattr(error, "status", answer.get("HTTPStatusCode"))
    if type(error).__module__.startswith("gcsfs"):
        status = getattr(error, "code", None)
    elif str(error).startswith("Forbidden: "):  # gcsfs's as well
        status = 403
    return status if isinstance(status, int) else None


def _find_code(error: Exception) -> str:
    """Find what object storage calls the error."""
    return str(_get_answer(error).get("Error", {}).get("Code", ""))


def _get_answer(error: Exception) -> dict[str, Any]:
    answer = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return answer if isinstance(answer, dict) else {}


def _translate(error: Exception) -> OSError:
    """Make an OSError of what a file system raises, with words as `strerror`."""
    status = _find_status(error)
    if _lacks_credentials(error):
        return OSError(errno.EIO, "there are no credentials for it, or they are refused")
    if status in (401, 403):
        return PermissionError(errno.EACCES, f"the server refuses it ({status})")
    if status in (404, 410):
        return FileNotFoundError(errno.ENOENT, "it is not there")
    kind = type(error).__name__
    if isinstance(getattr(error, "status", None), int):
        return OSError(errno.EIO, f"the server answers {status}")
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, "it is not there")
    if isinstance(error, PermissionError):
        return PermissionError(errno.EACCES, "the server refuses it")
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines() or [kind]
    words = " ".join(lines[:2] if lines[0].endswith(":") else lines[:1]).rstrip(".")
    number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
    return OSError(number, words)
