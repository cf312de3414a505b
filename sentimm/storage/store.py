"""What a place for files can do, on this machine or on a server: read, list, write and remove them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TypeVar

from sentimm.storage.paths import RemoteFile

Argument = TypeVar("Argument")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Entry:
    """A file or folder in a listing: its name, and a file's size in bytes (None: unknown)."""

    name: str
    is_folder: bool
    size: int | None = None


class Store(ABC):
    """A place for files. Every method raises an OSError, in words for a person, where it can't do its work.

    Attributes:
        is_remote: it is on a server: each call takes some ten milliseconds, there are no links, folders and renames,
            and an OSError says that the server failed, not that a file is damaged.
    """

    is_remote: ClassVar[bool]

    @abstractmethod
    def open_file(self, path: Path) -> BinaryIO:
        """Open a file for reading; a remote one is read in steps of a few megabytes."""

    @abstractmethod
    def open_source(self, path: Path) -> AbstractContextManager[Path | BinaryIO]:
        """Open a file for a library: yield the local path itself, or a remote file, open and seekable."""

    @abstractmethod
    def load_source(self, path: Path) -> Path | BinaryIO:
        """Return a file for a library that reads all of it: the local path itself, or a remote file in memory."""

    @abstractmethod
    def read_bytes(self, path: Path | RemoteFile, most: int | None = None) -> bytes:
        """Read a whole file, or its first `most` bytes."""

    @abstractmethod
    def download(self, path: Path, target: Path) -> None:
        """Copy a file to the local file `target`."""

    @abstractmethod
    def exists(self, path: Path) -> bool:
        """Check whether a file or folder is there."""

    @abstractmethod
    def lexists(self, path: Path) -> bool:
        """Check whether anything is there, a broken link included."""

    @abstractmethod
    def is_folder(self, path: Path) -> bool:
        """Check whether a folder is there; in object storage, a folder is there while it holds something."""

    @abstractmethod
    def is_regular(self, path: Path) -> bool:
        """Check that what is there, and is no folder, is a regular file: no pipe, no device, no broken link."""

    @abstractmethod
    def is_link(self, path: Path) -> bool:
        """Check whether a link to a file is there."""

    @abstractmethod
    def is_inside(self, path: Path, real_root: str) -> bool:
        """Check whether `path`, links followed, lies in the folder with the real name `real_root`."""

    @abstractmethod
    def find_mode(self, path: Path) -> int:
        """Return the mode of a file or folder, as the module `stat` reads it.

        Raises:
            FileNotFoundError: nothing is there.
        """

    @abstractmethod
    def find_state(self, path: Path) -> tuple[Any, ...] | None:
        """Return what changes when a file does: size and time, or size and the server's tag. None: it is not there."""

    @abstractmethod
    def find_real_name(self, path: Path) -> str:
        """Return the full name of a file or folder, links followed; a URL stays as it is."""

    @abstractmethod
    def list_folder(self, path: Path) -> list[Entry]:
        """List a folder, in the order of the names; in object storage a folder that is not there is empty."""

    @abstractmethod
    def map_files(self, function: Callable[[Argument], Result], arguments: Iterable[Argument]) -> Iterable[Result]:
        """Call `function`, which reads or writes a file here, for each argument; many at a time on a server."""

    @abstractmethod
    def stage(self, path: Path, temporary: Path | None = None) -> AbstractContextManager[Path]:
        """Yield the path of a local file, to be written and then published as `path`."""

    @abstractmethod
    def publish(self, staged: Path, path: Path) -> None:
        """Make the local file `staged` the file `path`, durably: whole or not at all."""

    @abstractmethod
    def scratch_folder(self, folder: Path) -> AbstractContextManager[Path]:
        """Yield a local folder for a file that is published in `folder` later."""

    @abstractmethod
    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it, durably."""

    @abstractmethod
    def rename_folder(self, path: Path, target: Path, last: str) -> None:
        """Rename a folder to `target`, which does not exist, durably; file by file in object storage, `last` last."""

    @abstractmethod
    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""

    @abstractmethod
    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder, durably."""

    @abstractmethod
    def explain(self, error: OSError) -> str:
        """Return the reason of an error for a person, without a full stop."""
