"""Folders of tables: what the `datasets` of Hugging Face save, its hub's Parquet, and the parts of an output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from sentimm.corpus.tables.formats import TYPED_FORMATS, find_format
from sentimm.errors import InputError
from sentimm.storage import Entry, list_folder, read_bytes

_BESIDE = (".json", ".md")  # what lies beside tables and is none
_ABOUT = "_"  # begins the name of what a program writes about its parts: _SUCCESS, _metadata, _committed_1
_TEXT_TABLES = ("csv", "tsv", "ndjson")
_SPLITS, _STATE, _INFO = "dataset_dict.json", "state.json", "dataset_info.json"
_CACHE = "cache-"  # begins the name of what `map` of a saved dataset left: its posts once more
_MAX_JSON_BYTES = 64 << 20


def list_tables(folder: Path, entries: Sequence[Entry]) -> list[Path]:
    """List the Parquet and Arrow files that a folder stands for, given what it holds; none where it is of another kind.

    A folder that `Dataset.save_to_disk` wrote has its files in the order of its state.json, one of
    `DatasetDict.save_to_disk` its splits in the order of its dataset_dict.json. Another folder must hold nothing but
    tables, and what lies beside them (.json, .md, and names such as _SUCCESS): they come in the order of their names.

    Raises:
        InputError: the dataset names a file or split that is not there, or is not in the folder.
        OSError: the folder can't be read.
    """
    files = [entry.name for entry in entries if not entry.is_folder]
    folders = [entry.name for entry in entries if entry.is_folder]
    if _SPLITS in files and (splits := _list_named(folder, _SPLITS, folders)):
        return [path for split in splits for path in _list_split(folder / split)]
    if _STATE in files and (named := _list_named(folder, _STATE, files)):
        return [folder / name for name in named]
    tables = [name for name in files if name.lower().endswith(tuple(TYPED_FORMATS))]
    if folders or _find_others(files, tables):
        return []
    return [folder / name for name in tables if not (_INFO in files and name.startswith(_CACHE))]


def list_text_tables(folder: Path, entries: Sequence[Entry]) -> list[Path]:
    """List the tables of one text format that a folder consists of, as Spark writes them; none where it does not.

    Beside them lies what may lie beside Parquet files (see `list_tables`).
    """
    files = [entry.name for entry in entries if not entry.is_folder]
    if len(files) < len(entries):
        return []
    for format_ in _TEXT_TABLES:
        tables = [name for name in files if find_format(name) == format_]
        if tables and not _find_others(files, tables):
            return [folder / name for name in tables]
    return []


def _find_others(files: Sequence[str], tables: Sequence[str]) -> list[str]:
    """Return the files of a folder that keep it from being one of these tables."""
    others = (name for name in files if name not in tables)
    return [name for name in others if not name.startswith(_ABOUT) and not name.lower().endswith(_BESIDE)]


def _list_split(folder: Path) -> list[Path]:
    if not (tables := list_tables(folder, list_folder(folder))):
        raise InputError(
            f"{folder} is a split of a dataset but holds no Arrow files: copy it again, or name the other splits."
        )
    return tables


def _list_named(folder: Path, index: str, there: Sequence[str]) -> list[str]:
    """List the files or sub-folders that a dataset's index names; none where it is not as `datasets` writes it."""
    try:
        content = json.loads(read_bytes(folder / index, _MAX_JSON_BYTES))
        names = content["splits"] if index == _SPLITS else [file["filename"] for file in content["_data_files"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return []
    for name in names:
        if name in ("", ".", "..") or set(name) & set("/\\\0"):
            raise InputError(
                f"{folder / index} names {name!r}, which is not a file in its folder: save the dataset again."
            )
        if name not in there:
            raise InputError(
                f"{str(folder / name)!r}, which {index} names, is not there: copy it there, or save the dataset again."
            )
    return names
