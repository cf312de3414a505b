"""The INPUTs of a command as files and folders: braces and globs expanded, folders of tables listed."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sentimm.corpus.inputs.archives import find_tables, is_archive
from sentimm.corpus.inputs.braces import expand_braces
from sentimm.corpus.inputs.dataset_folders import list_tables, list_text_tables
from sentimm.corpus.inputs.image_folders import find_metadata
from sentimm.corpus.inputs.partitions import Partitions, find_partitions, list_partitioned, note_partitions
from sentimm.corpus.tables.folder_posts import is_post_file
from sentimm.corpus.tables.formats import find_format
from sentimm.corpus.tables.open import explain_absence
from sentimm.corpus.wording import require_utf8
from sentimm.errors import InputError
from sentimm.storage import (
    Entry,
    exists,
    find_matches,
    find_real_name,
    is_folder,
    is_remote,
    is_web,
    list_folder,
    map_remote,
    to_path,
)
from sentimm.storage.archives import find_holder


@dataclass(frozen=True)
class Inputs:
    """What INPUTs name.

    Attributes:
        paths: the files and folders, in order.
        notes: sentences about shards that are not there, files of archives that are left out, and partitions.
        partitions: the columns that the names of folders give, of the paths that have such.
    """

    paths: list[Path]
    notes: tuple[str, ...] = ()
    partitions: Mapping[Path, Partitions] = field(default_factory=dict)


def expand_inputs(inputs: Sequence[str]) -> list[Path]:
    """Return the files and folders that INPUTs name (see `find_inputs`)."""
    return find_inputs(inputs).paths


def find_inputs(inputs: Sequence[str]) -> Inputs:
    """Find the files and folders that INPUTs name: braces expanded, and globs in the order of the names.

    A ZIP archive stands for the tables in it, a folder for the table in it that names the images beside it. A folder
    without posts of its own stands for the shards (.tar) in it, for the tables of one kind that it consists of, for the
    tables in its partitions (`lang=en`), or for its sub-folders that hold posts, Parquet or Arrow files. Of shards that
    are named by braces some may be missing: a note says which.

    Raises:
        InputError: one is not there, or is named twice.
    """
    named: list[tuple[str, list[Path]]] = []
    notes: list[str] = []
    for name in inputs:
        if not name.strip():
            raise InputError("An INPUT is empty, perhaps an unset shell variable: name a table or a folder.")
        require_utf8(name)
        names = None if not is_remote(name) and _is_there(Path(name)) else expand_braces(name)
        if names is None:
            named.append((name, _expand_name(name)))
            continue
        there, missing = _find_shards(name, list(names))
        named += [(each, _expand_name(each)) for each in there]
        notes += [f"{each} is not there: its posts are left out." for each in missing]
    for _, own in named:
        for archive in filter(is_archive, list(own)):
            tables, left = find_tables(archive)
            place = own.index(archive)
            own[place : place + 1] = tables
            notes += left
    paths = [path for _, own in named for path in own]
    seen: set[str] = set()
    for path in paths:
        real = find_real_name(path)
        if real in seen:
            raise InputError(f"{path} is named twice: each post would come out twice.")
        seen.add(real)
    partitions = find_partitions(named)
    return Inputs(paths, (*notes, *note_partitions(partitions, named)), partitions)


def _find_shards(pattern: str, names: list[str]) -> tuple[list[str], list[str]]:
    """Split names into those that are inputs, and those of shards that are not there."""
    shards = [name for name in names if find_format(name) == "webdataset" and not glob.has_magic(name)]
    try:
        if is_remote(pattern):
            found = map_remote(lambda name: exists(to_path(name)), shards)
        else:
            found = [_is_there(Path(name)) for name in shards]
    except OSError as error:
        raise InputError(f"{pattern} can't be read: {error.strerror or error}.") from error
    missing = [name for name, is_there in zip(shards, found, strict=True) if not is_there]
    if len(missing) == len(names):
        raise InputError(
            f"None of the {len(names):,} shards that {pattern} names is there: check the folder and range."
        )
    left_out = set(missing)
    return [name for name in names if name not in left_out], missing


def _expand_name(name: str) -> list[Path]:
    if is_remote(name):
        return _expand_url(name)
    path = Path(name)
    if _is_there(path):
        return _list_nested(path) or [path]
    if find_holder(path) != path:  # a file in an archive
        return [path]
    if not glob.has_magic(name):
        raise explain_absence(name)
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 (absolute ones)
    for match in found:
        require_utf8(match)
    matches = [Path(match) for match in found]
    matches = [match for match in matches if match.is_file()] or matches
    if not matches:
        raise InputError(f"No file matches {name!r}.")
    return [each for match in matches for each in _list_nested(match) or [match]]


def _expand_url(name: str) -> list[Path]:
    path = to_path(name)
    if is_web(path):  # nothing there can be listed, and a ? begins a query
        return [path]
    try:
        if glob.has_magic(name) and not exists(path):
            if not (matches := find_matches(name)):
                raise InputError(f"No file matches {name!r}.")
            return matches
        return (_list_nested(path) if is_folder(path) else []) or [path]
    except OSError as error:
        raise InputError(f"{name} can't be read: {error.strerror or error}.") from error


def _list_nested(folder: Path) -> list[Path]:
    """List what a folder that holds no posts itself stands for, as downloaders leave it; none where it is itself.

    Raises:
        InputError: it holds a table beside a folder of posts.
    """
    try:
        there = _list_visible(folder)
        if (metadata := _find_metadata(folder, there)) is not None:
            return [metadata]
        if _holds_posts(there):
            return []
        files = [entry.name for entry in there if not entry.is_folder]
        shards = [folder / name for name in files if find_format(name) == "webdataset"]
        tables_of_one_kind = list_tables(folder, there) or list_text_tables(folder, there)
        if inside := shards or tables_of_one_kind or list_partitioned(folder, there):
            return inside
        folders = [entry.name for entry in there if entry.is_folder]
        # Beside the folder 00000 img2dataset writes 00000.parquet and 00000_stats.json, about its images.
        about = tuple(name for name in folders if name.isdigit())
        tables = [name for name in sorted(files) if find_format(name) and not (about and name.startswith(about))]
        for path in (folder / name for name in folders):
            below = _list_visible(path)
            if _holds_posts(below) and (table := next(iter(tables), None)):
                raise InputError(
                    f"{folder} holds a table beside a folder of images: pass {folder / table} with --images {path}, "
                    f"or {path} alone."
                )
            metadata = _find_metadata(path, below)
            inside += [metadata or path] if metadata or _holds_posts(below) else list_tables(path, below)
        return inside
    except OSError:  # no folder, or one that may not be read: opening it says so
        return []


def _find_metadata(folder: Path, entries: Sequence[Entry]) -> Path | None:
    return find_metadata(folder, [entry.name for entry in entries if not entry.is_folder])


def _list_visible(folder: Path) -> list[Entry]:
    """List what is in a folder, but for what is hidden, and for what is neither a file nor a folder."""
    visible = [entry for entry in list_folder(folder) if not entry.name.startswith(".")]
    return [entry for entry in visible if entry.is_folder or is_remote(folder) or (folder / entry.name).is_file()]


def _holds_posts(entries: Sequence[Entry]) -> bool:
    return any(is_post_file(entry.name) and not entry.is_folder for entry in entries)


def _is_there(path: Path) -> bool:
    """Check whether `path` is there, be it a link that leads nowhere."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        if glob.has_magic(str(path)):
            return False
        raise InputError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}.") from error
    return True
