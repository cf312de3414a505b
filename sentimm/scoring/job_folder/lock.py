"""The lock of a job folder: one process at a time works on a job.

On a file system it is held (flock) for as long as the process lives. Object storage has no such lock: there the last
process that takes it has it, and the one before notices at its next part and stops; so a command that is run again
after a kill need not wait.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

from sentimm.errors import JobConflictError
from sentimm.scoring.job_folder.job_file import LOCK
from sentimm.storage import is_remote, read_bytes
from sentimm.storage.atomic import reading, remove_file, write_file, writing

try:
    import fcntl
except ImportError:  # Windows has no flock
    fcntl = None  # type: ignore[assignment]

RENEW_SECONDS = 1.0  # in object storage; a cluster commits many parts in that time

_FRESH_SECONDS = 300  # in object storage; a lock that was renewed longer ago is that of a process which was killed

_log = logging.getLogger(__name__)


class JobLock(Protocol):
    """The lock of a job folder."""

    def take(self) -> None:
        """Take the lock, where it is not held from the start: whoever had it before stops.

        Raises:
            OutputError: it can't be written.
        """

    def renew(self, *, at_once: bool = False) -> None:
        """Check that the lock is still this process's, once in RENEW_SECONDS, or `at_once`.

        Raises:
            JobConflictError: another process took over the job.
            OutputError: the lock can't be read or written.
        """

    def release(self) -> None:
        """Release the lock.

        Raises:
            OutputError: it can't be removed.
        """


def lock_job(folder: Path) -> JobLock:
    """Lock the job in `folder`: from now on, or in object storage when the lock is taken.

    Raises:
        JobConflictError: another process has it.
        OutputError: it can't be written.
    """
    return RemoteLock(folder) if is_remote(folder) else LocalLock(folder)


class LocalLock:
    """The lock of a job on a file system, held from the start.

    Raises:
        JobConflictError: another process has it.
        OutputError: it can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self._file = _open_locked(folder)

    def take(self) -> None:
        """Do nothing: it is held."""

    def renew(self, *, at_once: bool = False) -> None:
        """Do nothing: it is held."""

    def release(self) -> None:
        """Release the lock."""
        self._file.close()


class RemoteLock:
    """The lock of a job in object storage."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LOCK
        self._token = secrets.token_hex(8)
        self._renewed: float | None = None

    def take(self) -> None:
        """Take the lock; see `JobLock`."""
        self._write()

    def renew(self, *, at_once: bool = False) -> None:
        """Check that it is still this process's, and write when that was; see `JobLock`."""
        is_due = self._renewed is None or time.monotonic() - self._renewed > RENEW_SECONDS
        if at_once or is_due:
            if self._is_another_s():
                raise JobConflictError(
                    f"Another process took over the job in {self._folder}: wait for it, or choose another name with -o."
                )
            self._write()

    def release(self) -> None:
        """Remove the lock, where it is this process's; see `JobLock`."""
        if self._renewed is not None and not self._is_another_s():
            remove_file(self._path)

    def _write(self) -> None:
        content = json.dumps({"token": self._token, "host": platform.node(), "time": time.time()})
        write_file(self._path, content.encode())
        self._renewed = time.monotonic()

    def _is_another_s(self) -> bool:
        with reading(self._path):
            return bool(_read(self._path).get("token", self._token) != self._token)  # none: who took it over is gone


def _open_locked(folder: Path) -> IO[str]:
    path = folder / LOCK
    with writing(folder):
        while True:
            file = path.open("a")
            try:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                raise JobConflictError(
                    f"Another process is working on the job in {folder}: wait for it, or choose another name with -o."
                ) from None
            except OSError as error:  # a file system without locks
                _log.warning("%s can't be locked: %s", path, error)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
            file.close()  # its holder finished, and removed it, in between


def is_locked(folder: Path) -> bool:
    """Return whether a process works on the job in `folder`; in object storage: whether one did lately.

    Raises:
        OSError: object storage does not answer.
    """
    if is_remote(folder):
        return bool(time.time() - _read(folder / LOCK).get("time", 0) < _FRESH_SECONDS)
    if fcntl is None:
        return False
    try:
        with (folder / LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _read(path: Path) -> dict[str, Any]:
    """Read a lock in object storage: who has it, and when that was written."""
    with suppress(FileNotFoundError, ValueError):
        found: dict[str, Any] = json.loads(read_bytes(path))
        return found
    return {}
