"""Partitions as Hive and Spark write them: folders `key=value`, whose values are columns of the tables inside."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from sentimm.corpus.tables.folder_posts import is_post_file
from sentimm.corpus.tables.formats import find_format
from sentimm.corpus.wording import list_names, require_utf8
from sentimm.errors import InputError
from sentimm.storage import Entry, is_remote, list_folder, to_path

Partitions = Mapping[str, str | None]

_PARTITION = re.compile(r"[^=]+=.*", re.DOTALL)
_NULL = "__HIVE_DEFAULT_PARTITION__"
_DELTA_LOG = "_delta_log"
_MOST_DEPTH = 32  # a link may lead in a circle


def list_partitioned(folder: Path, entries: Sequence[Entry], depth: int = 0) -> list[Path]:
    """List the tables in the folders `key=value` of a folder, which holds the `entries`, at all levels, by their names.

    A partition without tables may be a folder of posts. What begins with `_`, such as _SUCCESS, is left out.

    Raises:
        InputError: it is a Delta table, a partition has tables in another folder, a link leads in a circle, or a name
            is not valid UTF-8.
        OSError: a folder can't be read.
    """
    if depth > _MOST_DEPTH:
        raise InputError(f"{folder} has more than {_MOST_DEPTH} levels of folders: does a link lead in a circle?")
    folders = [entry.name for entry in entries if entry.is_folder and not entry.name.startswith("_")]
    partitions = list(filter(is_partition, folders))
    if partitions and any(entry.name == _DELTA_LOG for entry in entries):
        raise InputError(
            f"{folder} is a Delta table, whose folders hold files that are no longer a part of it: write it as Parquet."
        )
    inside = []
    if is_partition(folder.name):
        require_utf8(str(folder))
        inside = list_tables_beside(folder, entries)
        if not inside and any(is_post_file(entry.name) and not entry.is_folder for entry in entries):
            inside = [folder]
        for path in (folder / name for name in folders if name not in partitions):
            if table := next(iter(list_tables_beside(path, list_folder(path))), None):
                raise InputError(
                    f"{table} is in a partition, but {path.name} is none: name all tables with a glob (**)."
                )
    for path in (folder / name for name in partitions):
        below = [entry for entry in list_folder(path) if not entry.name.startswith(".")]
        inside += list_partitioned(path, below, depth + 1)
    return inside


def list_tables_beside(folder: Path, entries: Sequence[Entry]) -> list[Path]:
    """List the tables that lie in a folder itself."""
    names = [entry.name for entry in entries if not entry.is_folder and not entry.name.startswith("_")]
    return [folder / name for name in names if find_format(name)]


def is_partition(name: str) -> bool:
    """Check whether a folder of this name is a partition: `lang=en`."""
    return _PARTITION.fullmatch(name) is not None


def find_partitions(named: Sequence[tuple[str, Sequence[Path]]]) -> dict[Path, Partitions]:
    """Find the partitions of tables, given as the names of INPUTs and what each stands for; others are left out.

    They are the folders `key=value` below the folder that was named, below the last folder before a glob's first
    pattern, or below the folder that several names have in common, where all lie in the same partitions.
    """
    found: dict[Path, Partitions] = {}
    for name, paths in named:
        root = _to_string(name)
        found |= _read_all(paths, _cut_glob(root) if glob.has_magic(name) else root)
    alone = [_to_string(name) for name, _ in named if not glob.has_magic(name)]
    if len(alone) > 1:
        paths = [path for name, own in named if not glob.has_magic(name) for path in own]
        common = _read_all(paths, _find_common(alone))
        found |= common if len({tuple(common.get(path, {})) for path in paths}) == 1 else {}
    return found


def note_partitions(
    partitions: Mapping[Path, Partitions], named: Sequence[tuple[str, Sequence[Path]]]
) -> Iterator[str]:
    """Yield notes about the columns that partitions give, and about tables and folders beside those of an input."""
    if not partitions:
        return
    columns = dict.fromkeys(column for each in partitions.values() for column in each)
    yield f"The names of folders give the values of {list_names(list(columns))}."
    for name, paths in named:
        folder = to_path(name) if is_remote(name) else Path(name)
        if glob.has_magic(name) or folder in paths or not any(path in partitions for path in paths):
            continue
        try:
            entries = list_folder(folder)
        except OSError:  # it could be listed a moment ago
            continue
        others = [folder / each.name for each in entries if each.is_folder and not is_partition(each.name)]
        others = [path for path in others if not path.name.startswith((".", "_"))]
        beside = [path for path in (*list_tables_beside(folder, entries), *others) if path not in paths]
        if beside:
            names = list_names([path.name for path in beside])
            yield f"Not read, as they lie beside the partitions of {folder}: {names}."


def _read_all(paths: Sequence[Path], root: str) -> dict[Path, Partitions]:
    read = {path: _read(str(path), root) for path in paths}
    return {path: partitions for path, partitions in read.items() if partitions}


def _read(path: str, root: str) -> Partitions:
    """Return the partitions that a table's path names below `root`."""
    below = path.removeprefix(f"{root}/") if root else path
    if below == path and root:
        return {}
    folders = below.split("/")
    folders = folders[:-1] if find_format(folders[-1].partition("?")[0]) else folders
    pairs = [folder.partition("=") for folder in folders if is_partition(folder)]
    return {unquote(key): None if value == _NULL else unquote(value) for key, _, value in pairs}


def _to_string(name: str) -> str:
    """Return a name as the paths of the files below it begin."""
    if is_remote(name):
        return str(to_path(name)).rstrip("/")
    return "" if Path(name) == Path() else str(Path(name))


def _cut_glob(pattern: str) -> str:
    """Return the folder before the first part of a pattern that stands for several names."""
    parts = pattern.split("/")
    return "/".join(parts[: next(place for place, part in enumerate(parts) if glob.has_magic(part))])


def _find_common(names: Sequence[str]) -> str:
    """Return the deepest folder in which all of these lie."""
    split = [name.split("/")[:-1] for name in names]
    common = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return "/".join(common)
