"""From the INPUTs of a command to tables: globs expanded, formats told apart."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from sentimm.corpus.blocks import Table
from sentimm.corpus.delimited import DelimitedTable
from sentimm.corpus.folders import FolderTable, is_post_file
from sentimm.corpus.ndjson import NdjsonTable
from sentimm.corpus.parquet import ParquetTable
from sentimm.corpus.shards import ShardTable
from sentimm.corpus.streams import describe_foreign
from sentimm.errors import InputError, TableError

_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".tar": "webdataset",
}
_COMPRESSED = (".gz", ".gzip", ".zst", ".zstd")


def expand_inputs(inputs: Sequence[str]) -> list[Path]:
    """Turn INPUTs into the files and folders that they name, globs in the order of the names.

    A folder without posts of its own stands for the shards (.tar) in it, or for its sub-folders that hold posts.

    Raises:
        InputError: one is not there, or is named twice.
    """
    paths: list[Path] = []
    for name in inputs:
        require_utf8(name)
        path = Path(name)
        if _is_there(path):
            paths += _list_nested(path) or [path]
            continue
        if not glob.has_magic(name):
            raise InputError(f"{name} is not there: name a table of posts (CSV, TSV, NDJSON, Parquet) or a folder.")
        found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 (absolute ones)
        for match in found:
            require_utf8(match)
        matches = [Path(match) for match in found]
        matches = [match for match in matches if match.is_file()] or matches
        if not matches:
            raise InputError(f"No file matches {name!r}.")
        paths += [each for match in matches for each in _list_nested(match) or [match]]
    seen: set[str] = set()
    for path in paths:
        real = os.path.realpath(path)
        if real in seen:
            raise InputError(f"{path} is named twice: each post would come out twice.")
        seen.add(real)
    return paths


def _list_nested(folder: Path) -> list[Path]:
    """List the shards in a folder that holds no posts itself, or its sub-folders that do, as downloaders leave them."""
    try:
        with os.scandir(folder) as entries:
            there = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
        if any(entry.is_file() and is_post_file(entry.name) for entry in there):
            return []
        shards = [Path(entry.path) for entry in there if entry.is_file() and entry.name.lower().endswith(".tar")]
        return shards or [Path(entry.path) for entry in there if entry.is_dir() and _holds_posts(entry.path)]
    except OSError:  # no folder, or one that may not be read: opening it says so
        return []


def _holds_posts(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return any(is_post_file(entry.name) and entry.is_file() for entry in entries)


def open_table(path: Path) -> Table:
    """Open a file or folder as a table, by its suffix.

    Raises:
        InputError: it is not there, is no regular file, or its suffix names no format.
        TableError: it can't be read.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{path} is not there: name a table of posts (CSV, TSV, NDJSON, Parquet) or a folder."
        ) from error
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}.") from error
    if stat.S_ISDIR(mode):
        return FolderTable(path)
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is no regular file, and a table is read twice: write it to a file first.")
    format_ = _find_format(path)
    if format_ is None:
        raise InputError(
            f"The name of {path} does not tell its format: .csv, .tsv, .ndjson, .jsonl, .parquet or .tar is expected "
            "(the text formats also with .gz or .zst)."
        )
    if format_ == "parquet":
        return ParquetTable(path)
    if format_ == "webdataset":
        return ShardTable(path)
    if foreign := describe_foreign(path):
        raise TableError(
            f"{path} is {foreign}, not {format_.upper()}: export the table as {format_.upper()}, "
            "or give the file the suffix of its format."
        )
    return NdjsonTable(path) if format_ == "ndjson" else DelimitedTable(path, format_)


def require_utf8(name: str) -> None:
    """Raise an InputError where the name of a file or folder, as Python has it from the system, is no UTF-8."""
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise InputError(f"The name of {name} is no UTF-8, as names in an output are: rename it.")


def _is_there(path: Path) -> bool:
    """Tell whether `path` is there, be it a link that leads nowhere."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        if glob.has_magic(str(path)):
            return False
        raise InputError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}.") from error
    return True


def _find_format(path: Path) -> str | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
        return _FORMATS.get(suffixes[-1]) if suffixes and suffixes[-1] not in (".parquet", ".pq", ".tar") else None
    return _FORMATS.get(suffixes[-1]) if suffixes else None
