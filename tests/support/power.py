"""A disk that forgets: what a power loss leaves of a folder, by what was synced until then."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class ForgetfulDisk:
    """Follows what is brought to disk in a folder, for as long as `watched` lasts.

    A power loss keeps of each file what it held when it was synced last, nothing where it never was. Names, renamed or
    removed ones too, may have come to disk at once or only when their folder was synced: both are possible.

    Attributes:
        losses: what would be left of the folder, after each rename, removal and sync: files' content by name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._synced: dict[int, bytes] = {}  # by inode
        self._behind: dict[str, bytes] = {}  # by name, as the folder was synced last
        self.losses: list[dict[str, bytes]] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the process's calls of the operating system."""
        fsync = os.fsync
        with pytest.MonkeyPatch.context() as patch:

            def sync(descriptor: int) -> None:
                fsync(descriptor)
                self._note_sync(os.fstat(descriptor))
                self._lose()

            patch.setattr(os, "fsync", sync)
            for name in ("rename", "replace", "unlink", "remove"):
                patch.setattr(os, name, self._follow(getattr(os, name)))
            yield

    def _follow(self, call: Any) -> Any:
        def called(*arguments: Any, **options: Any) -> None:
            call(*arguments, **options)
            self._lose()

        return called

    def _note_sync(self, status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode):
            for path in self._list():
                if path.stat().st_ino == status.st_ino:
                    self._synced[status.st_ino] = path.read_bytes()
        elif self._folder.is_dir() and status.st_ino == self._folder.stat().st_ino:
            self._behind = self._read_synced()

    def _lose(self) -> None:
        there = {path.stat().st_ino for path in self._list()}
        self._synced = {inode: content for inode, content in self._synced.items() if inode in there}
        for left in (self._read_synced(), self._behind):
            if left not in self.losses[-2:]:
                self.losses.append(left)

    def _read_synced(self) -> dict[str, bytes]:
        return {path.name: self._synced.get(path.stat().st_ino, b"") for path in self._list()}

    def _list(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if path.is_file()] if self._folder.is_dir() else []
