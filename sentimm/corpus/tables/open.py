"""A file or folder opened as a table, by its suffix."""

from __future__ import annotations

import shlex
import stat
from pathlib import Path, PurePath

from sentimm.corpus.tables.arrow import ArrowTable
from sentimm.corpus.tables.base import Table
from sentimm.corpus.tables.delimited import DelimitedTable
from sentimm.corpus.tables.dialects.plain_texts import check_posts, recognize_table
from sentimm.corpus.tables.dialects.recognition import recognize_text
from sentimm.corpus.tables.folder_posts import FolderTable
from sentimm.corpus.tables.formats import CONVERTERS, FORMATS, UNPACKERS, find_compression, find_format
from sentimm.corpus.tables.json_files.document import JsonDocument, is_document, is_page
from sentimm.corpus.tables.json_files.ndjson import NdjsonTable
from sentimm.corpus.tables.json_files.pandas_shapes import check_shape
from sentimm.corpus.tables.lines import LineTable
from sentimm.corpus.tables.parquet import ParquetTable
from sentimm.corpus.tables.shards import ShardTable
from sentimm.corpus.tables.text_stream import TextStream, describe_foreign
from sentimm.corpus.tables.workbooks.excel import ExcelTable
from sentimm.errors import InputError, TableError
from sentimm.storage import is_web, store_of
from sentimm.storage.archives import find_holder


def open_table(
    path: Path, encoding: str | None = None, no_header: bool = False, escaped_quotes: bool | None = None
) -> Table:
    """Open a file or folder as a table, by its suffix.

    Args:
        path: the file or folder.
        encoding: that of a text format; None: to be found out.
        no_header: the first line of CSV and TSV is a post, and columns are named by their places.
        escaped_quotes: quotes in CSV and TSV are escaped by a backslash; None: to be found out.

    Raises:
        InputError: it is not there, is not a regular file, or its suffix names no format.
        TableError: it can't be read.
    """
    try:
        mode = store_of(path).find_mode(find_holder(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise explain_absence(path) from error
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}.") from error
    if stat.S_ISDIR(mode):
        return FolderTable(path, encoding)
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is not a regular file, but a table is read twice: write it to a file first.")
    match _choose_format(path):
        case "parquet":
            return ParquetTable(path)
        case "arrow":
            return ArrowTable(path)
        case "webdataset":
            return ShardTable(path, encoding)
        case "excel":
            return ExcelTable(path, no_header)
        case text_format:
            _check_text(path, text_format.upper())
            if text_format == "text":
                head = _read_head(path, encoding)
                if (found := recognize_table(head, no_header)) is None:
                    check_posts(path, head)
                    return LineTable(path, encoding)
                text_format = found
            if text_format == "ndjson":
                head = _read_head(path, encoding)
                check_shape(path, head)
                if is_document(head):
                    return JsonDocument(path, encoding)
                return JsonDocument(path, encoding, has_pages=True) if is_page(head) else NdjsonTable(path, encoding)
            return DelimitedTable(path, text_format, encoding, no_header, escaped_quotes)


def _read_head(path: Path, encoding: str | None) -> bytes:
    return next((block.lstrip() for block in TextStream(path, encoding) if block.strip()), b"")


def explain_absence(name: str | Path) -> InputError:
    """Return the error for an INPUT that is not there."""
    return InputError(
        f"{name} is not there: name a table of posts (CSV, TSV, NDJSON, Parquet, Arrow), shards (.tar) or a folder."
    )


def _choose_format(path: Path) -> str:
    name = path.name.split("?")[0] if is_web(path) else path.name
    if way := CONVERTERS.get(PurePath(name).suffix.lower()):
        raise InputError(f"{path} can't be read as it is: {way.format(name=shlex.quote(name))}.")
    found = find_format(name)
    if found is None and (compression := find_compression(Path(name))) is not None:
        _check_streamable(path, name, UNPACKERS[compression])
        found = recognize_text(next((block for block in TextStream(path) if block.strip()), b""))
    if found is None:
        raise InputError(
            f"The format of {path} is unknown: its name must end in .csv, .tsv, .ndjson, .jsonl, .txt, .parquet, "
            ".arrow, .xlsx, .zip or .tar (text formats also in .gz, .zst, .bz2 or .xz)."
        )
    return found


def _check_streamable(path: Path, name: str, unpacker: str) -> None:
    """Check that a compressed file is none of a format that is read at any place.

    Raises:
        InputError: it is.
    """
    inner = PurePath(PurePath(name).stem).suffix.lower()
    if name.lower().endswith(".tgz") or inner == ".tar":
        raise InputError(
            f"{path} is a compressed archive, in which no image can be looked up: decompress it to a .tar "
            f"(`{unpacker} {shlex.quote(name)}`)."
        )
    if inner in FORMATS:
        raise InputError(
            f"{path} can't be read while it is compressed: decompress it (`{unpacker} {shlex.quote(name)}`)."
        )


def _check_text(path: Path, format_: str) -> None:
    if (foreign := describe_foreign(path)) == "a web page":
        raise TableError(f"{path} is {foreign}, not {format_}, as where a login is missing: download the table again.")
    if foreign:
        raise TableError(
            f"{path} is {foreign}, not {format_}: export the table as {format_}, or give the file the suffix of its "
            "format."
        )
