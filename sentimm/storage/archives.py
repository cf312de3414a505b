"""Files in ZIP archives, each with the path that it would have if the archive were a folder: `posts.zip/2024.csv`."""

from __future__ import annotations

import io
import lzma
import os
import zipfile
import zlib
from pathlib import Path
from typing import IO, BinaryIO, cast

from sentimm.storage.files import is_regular, open_file

ZIP = ".zip"


def find_holder(path: Path) -> Path:
    """Return the archive that a path leads into; the path itself where it leads into none."""
    if ZIP in str(path).lower():
        for parent in path.parents:
            if parent.name.lower().endswith(ZIP) and is_regular(parent):
                return parent
    return path


def list_members(archive: Path) -> list[str]:
    """List the names of the files in an archive, in their order.

    Raises:
        OSError: it can't be read, or is no archive.
    """
    with open_file(archive) as file, _open_archive(file) as found:
        return [entry.filename for entry in found.infolist() if entry.filename and not entry.is_dir()]


def open_member(path: Path, archive: Path) -> IO[bytes]:
    """Open the file at `path` in `archive`; it is read from its start on.

    Raises:
        OSError: it is not there, or can't be read.
    """
    name = str(path)[len(str(archive)) + 1 :].replace(os.sep, "/")
    file = open_file(archive)
    try:
        with _open_archive(file) as found:
            return cast(IO[bytes], _Member(file, _find_member(found, name, archive)))
    except OSError:
        file.close()
        raise


def _find_member(archive_file: zipfile.ZipFile, name: str, archive: Path) -> IO[bytes]:
    for entry in archive_file.infolist():
        if entry.filename == name:
            try:
                return archive_file.open(entry)
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
                reason = "it is encrypted" if entry.flag_bits & 1 else str(error)
                raise OSError(f"{reason}: unpack {archive.name} first") from error
    raise FileNotFoundError(f"{archive} does not hold it")


class _Member(io.RawIOBase):
    """A file in an archive, whose damage is an OSError."""

    def __init__(self, file: BinaryIO, member: IO[bytes]) -> None:
        self._file = file
        self._member = member

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes; b"" at the end."""
        try:
            return self._member.read(size)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError) as error:
            raise OSError(str(error)) from error

    def close(self) -> None:
        """Close the file and the archive."""
        self._member.close()
        self._file.close()
        super().close()


def _open_archive(file: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise OSError("it is no ZIP archive, or cut off or damaged") from error
