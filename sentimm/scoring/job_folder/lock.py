"""The lock of a job folder: one process at a time works on a job.

On a file system it is held (flock) for as long as the process lives. Object storage knows no such thing: there the last
process that takes the lock has it, and one that had it before finds that out at its next part and stops; so a command
that is given again after a kill need not wait.
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
from typing import IO, Any

from sentimm.errors import JobConflictError
from sentimm.storage import is_remote, read_bytes
from sentimm.storage.atomic import commit_file, remove_file, writing

try:
    import fcntl
except ImportError:  # Windows has no flock
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"

_KEEP_SECONDS = 1.0  # a cluster commits many parts in that time
_FRESH_SECONDS = 300  # in object storage; a lock that was kept longer ago is that of a process which was killed

_log = logging.getLogger(__name__)


class JobLock:
    """The lock of the job in `folder`, which is held from the start on a file system.

    Raises:
        JobConflictError: another process has it.
        OutputError: it can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LOCK
        self._token = secrets.token_hex(8)
        self._file: IO[str] | None = None
        self._kept = 0.0
        if not is_remote(folder):
            self._file = self._lock()

    def take(self) -> None:
        """Take the lock in object storage: whoever had it before stops.

        Raises:
            OutputError: it can't be written.
        """
        if is_remote(self._folder):
            self._write()

    def keep(self, *, at_once: bool = False) -> None:
        """Say that the job goes on; that is looked at once a second, or `at_once`.

        Raises:
            JobConflictError: another process took it over.
            OutputError: the lock can't be read or written.
        """
        if is_remote(self._folder) and (at_once or time.monotonic() - self._kept > _KEEP_SECONDS):
            if self._is_another_s():
                raise JobConflictError(
                    f"Another process took over the job in {self._folder}: wait for it, or choose another name with -o."
                )
            self._write()

    def release(self) -> None:
        """Give the lock back.

        Raises:
            OutputError: it can't be removed from object storage.
        """
        if self._file is not None:
            self._file.close()
        elif self._kept and not self._is_another_s():
            remove_file(self._path)

    def _write(self) -> None:
        content = json.dumps({"token": self._token, "host": platform.node(), "time": time.time()})
        with commit_file(self._path) as temporary:
            temporary.write_text(content, encoding="utf-8")
        self._kept = time.monotonic()

    def _is_another_s(self) -> bool:
        with writing(self._path):
            return bool(_read(self._path).get("token", self._token) != self._token)  # none: who took it over is gone

    def _lock(self) -> IO[str]:
        with writing(self._folder):
            while True:
                file = self._path.open("a")
                try:
                    if fcntl is not None:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    file.close()
                    raise JobConflictError(
                        f"Another process is working on the job in {self._folder}: wait for it, or choose another name "
                        "with -o."
                    ) from None
                except OSError as error:  # a file system without locks
                    _log.warning("%s can't be locked: %s", self._path, error)
                if self._path.exists() and os.path.samestat(self._path.stat(), os.fstat(file.fileno())):
                    return file
                file.close()  # its holder finished, and removed it, in between


def is_locked(folder: Path) -> bool:
    """Tell whether a process works on the job in `folder`; in object storage: whether one did lately.

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
