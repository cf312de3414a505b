"""Standard input as a file, as a table is read twice, and the format that it has."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import BinaryIO

from sentimm.corpus.tables.dialects.recognition import recognize_text
from sentimm.corpus.tables.text_stream import TextStream, describe_foreign
from sentimm.corpus.wording import shorten_name
from sentimm.errors import InputError
from sentimm.storage.atomic import commit_file

_BLOCK_BYTES = 1 << 20


def spool_stdin(stream: BinaryIO, path: Path) -> Path:
    """Write what comes from `stream`, standard input, to `path`, durably, and return the path.

    Raises:
        InputError: nothing came.
        OutputError: the file can't be written.
    """
    with commit_file(path) as temporary:
        with temporary.open("wb") as file:
            shutil.copyfileobj(stream, file, _BLOCK_BYTES)
            size = file.tell()
        if size == 0:
            raise InputError("Standard input is empty: pipe NDJSON into it, one post per line, or CSV or TSV.")
    return path


def find_stdin_format(path: Path) -> str:
    """Find out which format has what came from standard input and was written to `path`: ndjson, csv or tsv.

    Raises:
        InputError: it has none of these.
        TableError: it can't be read.
    """
    if foreign := describe_foreign(path):
        raise InputError(
            f"Standard input is {foreign}: write it to a file with the suffix of its format, and name that."
        )
    head = next((block for block in TextStream(path) if block.strip()), b"")
    if (found := recognize_text(head)) is None:
        line = head.strip().split(b"\n")[0].decode(errors="replace").strip()
        raise InputError(
            f"Standard input is neither NDJSON nor CSV nor TSV: its first line is {shorten_name(line)!r}. If each line "
            "is a post, write them to a file that ends in .txt, and name that."
        )
    return found
