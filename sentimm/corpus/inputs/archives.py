"""ZIP archives as inputs: which of their files are tables, and what to do where none can be read from them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path, PurePosixPath

from sentimm.corpus.tables.formats import find_format
from sentimm.corpus.wording import list_names
from sentimm.errors import InputError
from sentimm.images import IMAGE_SUFFIXES
from sentimm.storage import hide_secrets, is_regular
from sentimm.storage.archives import ZIP, list_members

_X_POSTS = re.compile(r"(?:.*/)?data/tweets?\.js")
_META_POSTS = re.compile(r"(?:.*/)?(?:posts/your_posts\w*|(?:content|media)/posts_\d+)\.json")
_TABLES, _DOCUMENTS = ("csv", "tsv", "ndjson"), (".json", ".js")


def is_archive(path: Path) -> bool:
    """Check whether an INPUT is a ZIP archive, by its name."""
    return path.name.lower().endswith(ZIP) and is_regular(path)


def find_tables(archive: Path) -> tuple[list[Path], list[str]]:
    """Find the tables in an archive, in the order of their names, and notes on what is left out.

    CSV, TSV and NDJSON files, compressed or not; where there is none of these, JSON documents, and else texts.

    Raises:
        InputError: it can't be read, or holds no table that can be read from it.
    """
    try:
        names = sorted(filter(_is_visible, list_members(archive)))
    except OSError as error:
        raise InputError(f"{hide_secrets(archive)} can't be read: {error.strerror or error}.") from error
    _check_members(archive, names)
    formats = {name: find_format(name) for name in names}
    tables = [name for name in names if formats[name] in _TABLES and not name.lower().endswith(_DOCUMENTS)]
    tables = tables or [name for name in names if formats[name] == "ndjson"]
    tables = tables or [name for name in names if formats[name] == "text"]
    images = [name for name in names if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]
    if images and not any(formats[name] in _TABLES for name in names):
        raise InputError(
            f"{archive} holds images, which can't be read from it: {_suggest_unpacking(archive)}, then score "
            f"{shlex.quote(archive.stem)}."
        )
    if not tables:
        raise InputError(
            f"{hide_secrets(archive)} holds no table (CSV, TSV, NDJSON, JSON, TXT), but {list_names(names)}: "
            f"{_suggest_unpacking(archive)}."
        )
    left = [name for name in names if name not in tables and name not in images]
    notes = [f"Of {archive} these are left out: {list_names(left)}."] if left else []
    if images:
        notes.append(f"The images in {archive} can't be read from it: to use them, {_suggest_unpacking(archive)}.")
    return [archive / name for name in tables], notes


def _is_visible(name: str) -> bool:
    """Check that a file belongs to what was packed: that it is not hidden, no Mac's, and in the archive's folder."""
    parts = PurePosixPath(name).parts
    return (
        not name.startswith("/")
        and str(PurePosixPath(name)) == name
        and "__MACOSX" not in parts
        and not any(part.startswith(".") for part in parts)
        and not set(name) & set("\\:\0")
    )


def _check_members(archive: Path, names: list[str]) -> None:
    """Check that an archive does not hold what has to be unpacked.

    Raises:
        InputError: it does; the message says what to do.
    """
    unpack = _suggest_unpacking(archive)
    folder = shlex.quote(archive.stem)
    if found := next(filter(_X_POSTS.fullmatch, names), None):
        media = f"{found.rpartition('/')[0]}/tweets_media"
        images = (
            f" --images {shlex.quote(f'{archive.stem}/{media}')}"
            if any(name.startswith(f"{media}/") for name in names)
            else ""
        )
        raise InputError(
            f"{archive} is an archive of X, whose posts lie beside their images: {unpack}, then score "
            f"{shlex.quote(f'{archive.stem}/{found}')} with --text-column tweet.full_text --id-column "
            f"tweet.id_str{images}."
        )
    if found := next(filter(_META_POSTS.fullmatch, names), None):
        raise InputError(
            f"{archive} is an archive of Facebook or Instagram, whose posts lie beside their images: {unpack}, then "
            f"score {shlex.quote(f'{archive.stem}/{found}')} with --images {folder}."
        )
    kinds = {name: find_format(name) for name in names}
    if found := next((name for name, kind in kinds.items() if kind not in (*_TABLES, "text", None)), None):
        raise InputError(f"{archive} holds {found}, which can't be read from it: {unpack}.")


def _suggest_unpacking(archive: Path) -> str:
    return f"unpack it (`unzip {shlex.quote(str(archive))} -d {shlex.quote(archive.stem)}`)"
