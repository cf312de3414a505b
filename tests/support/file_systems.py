"""Object storage in memory, and what fsspec remembers of the servers that it found."""

from __future__ import annotations

import sys

BUCKET = "posts"


def forget_file_systems() -> None:
    """Make fsspec open its file systems anew: it keeps them, with the servers and keys that they found."""
    if "s3fs" in sys.modules:
        sys.modules["s3fs"].S3FileSystem.clear_instance_cache()
    if "fsspec.implementations.http" in sys.modules:
        sys.modules["fsspec.implementations.http"].HTTPFileSystem.clear_instance_cache()


class MemoryStore:
    """Object storage in the memory of this process: for tests of many jobs, of which S3 takes ten times as long."""

    url = f"memory://{BUCKET}"

    def __init__(self) -> None:
        from fsspec.implementations.memory import MemoryFileSystem

        self._files = MemoryFileSystem()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._files.store.clear()
        self._files.pseudo_dirs[:] = [""]

    def read(self, url: str) -> bytes:
        return bytes(self._files.cat_file(url))

    def remove(self, url: str) -> None:
        self._files.rm_file(url)

    def copy(self) -> dict[str, bytes]:
        """Return the content of each key."""
        return {key: self.read(key) for key in self.list_keys()}

    def restore(self, content: dict[str, bytes]) -> None:
        """Make the store what `copy` returned."""
        self.reset()
        for key, value in content.items():
            self._files.pipe_file(key, value)

    def list_keys(self, url: str = f"memory://{BUCKET}") -> list[str]:
        """List what begins with `url`, as URLs, in their order."""
        urls = (f"memory:/{path}" for path in sorted(self._files.store))
        return [each for each in urls if each.startswith(url)]
