"""Standard input as a file, as a table is read twice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import BinaryIO

from sentimm.errors import InputError
from sentimm.storage.atomic import commit_file

_BLOCK_BYTES = 1 << 20


def spool_stdin(stream: BinaryIO, path: Path) -> Path:
    """Write what comes from `stream` (NDJSON) to `path`, durably, and return the path.

    Args:
        stream: standard input.
        path: the file; its suffix is one of NDJSON, such as .ndjson, as the format follows from it.

    Raises:
        InputError: nothing came.
        OutputError: the file can't be written.
    """
    with commit_file(path) as temporary:
        with temporary.open("wb") as file:
            shutil.copyfileobj(stream, file, _BLOCK_BYTES)
            size = file.tell()
        if size == 0:
            raise InputError("Standard input is empty: pipe NDJSON into it, one post per line.")
    return path
