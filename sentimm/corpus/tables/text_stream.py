"""A table's file as blocks of clean bytes: decompressed, valid UTF-8, without a byte order mark."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa

from sentimm.corpus.tables.formats import COMPRESSION_MAGIC, FOREIGN_MAGIC
from sentimm.errors import TableError
from sentimm.storage import is_remote, open_file, read_bytes

# Constant, so that memory does not grow with the file; at 200 bytes a record some 20,000 records.
BLOCK_BYTES = 4 << 20


class TextStream:
    """The decompressed bytes of a text file in blocks, as valid UTF-8.

    UTF-16 with a byte order mark is turned into UTF-8. Bytes that are no UTF-8 become U+FFFD; `damaged` is true then.

    Raises (also while it is read):
        TableError: the file can't be read, decompressed, or is no text.
    """

    def __init__(self, path: Path) -> None:
        self.damaged = False
        self._path = path

    def __iter__(self) -> Iterator[bytes]:
        """Yield the file's blocks, from its start."""
        clean = _Cleaner()
        with _open_raw(self._path) as raw:
            while data := _read_raw(raw, self._path):
                yield clean.decode(data)
            yield clean.decode(b"", final=True)
        self.damaged = self.damaged or clean.damaged


class _Cleaner:
    """Turns blocks of bytes into blocks of UTF-8, whatever the encoding that they begin with."""

    def __init__(self) -> None:
        self.damaged = False
        self._rest = b""
        self._started = False
        self._utf16: codecs.IncrementalDecoder | None = None

    def decode(self, data: bytes, final: bool = False) -> bytes:
        """Decode the next block; what ends inside a character is kept for the next."""
        if not self._started:
            self._started = True
            if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                self._utf16 = codecs.getincrementaldecoder("utf-16")("replace")
            data = data.removeprefix(codecs.BOM_UTF8)
        if self._utf16 is not None:
            return self._utf16.decode(data, final).encode()
        data = self._rest + data
        cut = len(data) if final else _find_incomplete(data)
        data, self._rest = data[:cut], data[cut:]
        if _is_utf8(data):
            return data
        self.damaged = True
        return data.decode(errors="replace").encode()


def describe_foreign(path: Path) -> str | None:
    """Return what a file is by its first bytes, where that is neither text nor compressed text; else None."""
    head = _read_head(path)
    return next((name for magic, name in FOREIGN_MAGIC.items() if head.startswith(magic)), None)


def describe_damage(path: Path) -> str:
    """Return the note that a file holds broken UTF-8."""
    return f"{path} holds bytes that are not valid UTF-8: they are read as U+FFFD."


def _find_incomplete(data: bytes) -> int:
    """Find where a UTF-8 character begins that `data` ends inside of; its length where there is none."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if length > back else len(data)
        if byte < 0x80:
            break
    return len(data)


def _is_utf8(data: bytes) -> bool:
    """Check whether `data` is valid UTF-8: five times as fast as decoding it, as nothing is copied."""
    offsets = np.array([0, len(data)], dtype=np.int32)
    array = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _read_head(path: Path) -> bytes:
    try:
        return read_bytes(path, 16)
    except OSError as error:
        raise TableError(f"{path} can't be read: {error.strerror or error}.") from error


def _open_raw(path: Path) -> BinaryIO:
    head = _read_head(path)
    if head and any(magic.startswith(head) and head != magic for magic in COMPRESSION_MAGIC):
        raise TableError(f"{path} can't be read to its end: the file is cut off or damaged.")
    compression = next((name for magic, name in COMPRESSION_MAGIC.items() if head.startswith(magic)), None)
    try:
        if is_remote(path):
            file = open_file(path)
            if compression is None:
                return file
            return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(file, "r"), compression))
        if compression is None:
            return path.open("rb", buffering=0)
        return cast(BinaryIO, pa.input_stream(str(path), compression=compression))
    except OSError as error:
        raise TableError(f"{path} can't be read: {error.strerror or error}.") from error


def _read_raw(raw: BinaryIO, path: Path) -> bytes:
    try:
        return raw.read(BLOCK_BYTES)
    except OSError as error:
        raise TableError(
            f"{path} can't be read to its end ({error.strerror or error}): the file is cut off or damaged."
        ) from error
