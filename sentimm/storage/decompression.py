"""Compressed files as streams of bytes: gzip, zstd, bzip2 and xz, with an error where one is cut off."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import sys
from collections.abc import Callable
from typing import BinaryIO, Protocol, cast

import pyarrow as pa

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_BLOCK_BYTES = 1 << 20  # read from a compressed file at a time
_MAX_WINDOW = 31 if sys.maxsize > 2**32 else 30  # of zstd, its logarithm: Pushshift's dumps have one of 2 GB
_MAX_MEMORY = 1 << 30  # of xz, whose best level takes 65 MB
_GZIP, _ZSTD, _XZ = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0"
_SKIPPED_FRAME = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")  # of zstd: may go before the first frame
# A text may begin with BZh: what follows, the digits of pi or of its root, tells a block or the end.
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)")
_BZIP2_BYTES = 10


class _Decompressor(Protocol):
    """What the decompressors of Python's libraries have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def recognize_compression(head: bytes, name: str) -> str | None:
    """Return the compression of a file that begins with `head` (16 bytes): gzip, zstd, bzip2, xz; None: none.

    What begins as bzip2 does, in letters, and then ends is text, unless the file's name says otherwise.

    Raises:
        EOFError: the file ends before that is clear.
    """
    for magic, compression in ((_GZIP, "gzip"), (_ZSTD, "zstd"), (_XZ, "xz")):
        if head.startswith(magic):
            return compression
        if head and magic.startswith(head):
            raise EOFError
    if _SKIPPED_FRAME.match(head):
        return "zstd"
    if 0 < len(head) < _BZIP2_BYTES and head.startswith(b"BZh"[: len(head)]) and name.lower().endswith(".bz2"):
        raise EOFError
    return "bzip2" if _BZIP2.match(head) else None


def decompress(file: BinaryIO, compression: str) -> BinaryIO:
    """Return the content of a compressed file as a stream, which raises an OSError where the file is damaged."""
    if compression == "gzip":
        return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(file, "r"), "gzip"))
    return cast(BinaryIO, _Stream(file, _MAKERS[compression], b"\0" if compression == "xz" else b""))


class _Stream(io.RawIOBase):
    """The content of the compressed streams in a file, one behind the other.

    Args:
        file: the compressed file.
        make: makes the decompressor of a stream.
        padding: bytes that may stand behind a stream.
    """

    def __init__(self, file: BinaryIO, make: Callable[[], _Decompressor], padding: bytes) -> None:
        self._file = file
        self._make = make
        self._padding = padding
        self._decompressor = make()
        self._unused = b""

    def read(self, size: int = -1) -> bytes:
        """Read `size` bytes, fewer at the end; all where it is negative.

        Raises:
            OSError: the file is damaged, or ends within a stream.
        """
        pieces, wanted = [], sys.maxsize if size < 0 else size
        try:
            while wanted > 0 and (not self._decompressor.eof or self._start_next()):
                pieces.append(self._decompressor.decompress(self._read_more(), wanted))
                wanted -= len(pieces[-1])
        except (EOFError, lzma.LZMAError, zstd.ZstdError, ValueError) as error:
            raise OSError(str(error)) from error
        return b"".join(pieces)

    def _read_more(self) -> bytes:
        if not self._decompressor.needs_input:
            return b""
        data, self._unused = self._unused or self._file.read(_BLOCK_BYTES), b""
        if not data:
            raise EOFError("it ends too early")
        return data

    def _start_next(self) -> bool:
        """Start to read the next stream; False: there is none."""
        data = self._decompressor.unused_data.lstrip(self._padding)
        while not data and (more := self._file.read(_BLOCK_BYTES)):
            data = more.lstrip(self._padding)
        if data:
            self._decompressor, self._unused = self._make(), data
        return bool(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


_MAKERS: dict[str, Callable[[], _Decompressor]] = {
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(memlimit=_MAX_MEMORY),
    "zstd": lambda: zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _MAX_WINDOW}),
}
