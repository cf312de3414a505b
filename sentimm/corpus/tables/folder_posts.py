"""A folder as a table: every image is a post, and a .txt of the same stem its text."""

from __future__ import annotations

import json
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from sentimm.corpus.encodings import decode_text, note_texts
from sentimm.corpus.images.id_index import split_suffix
from sentimm.corpus.images.image_lookup import ImageLookup, open_images
from sentimm.corpus.tables.base import Block, Problem, Table
from sentimm.corpus.tables.delimited_records import MAX_RECORD_BYTES
from sentimm.corpus.tables.formats import find_format
from sentimm.corpus.wording import to_utf8
from sentimm.errors import InputError, TableError
from sentimm.images import IMAGE_SUFFIXES
from sentimm.storage import find_real_name, is_remote, list_folder, read_bytes, store_of

FOLDER_COLUMNS = ("id", "text", "image")

BLOCK_ROWS = 1024
_TEXT_SUFFIX = ".txt"


class FolderTable(Table):
    """The images and texts that lie in a folder, its sub-folders left out, in the order of their names.

    `id` is a file's stem, `text` the content of the .txt of that stem, `image` the image's file name. Where there is no
    image of the text's stem, those called `<stem>_<n>` that have no text are its images: `image` is a list in JSON.

    Raises:
        InputError: the folder holds neither images nor texts.
        TableError: it can't be read.
    """

    format = "folder"

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        super().__init__(path, FOLDER_COLUMNS)
        self._encoding = encoding
        self._wrong = Counter[str]()
        self._notes: list[str] = []
        images: list[tuple[str, str]] = []
        texts: dict[str, str] = {}
        folders, others = list[str](), list[str]()
        store, real_path = store_of(path), find_real_name(path)
        for name, is_file, is_folder in _scan(path):
            stem, suffix = split_suffix(name)
            if is_folder:
                folders.append(name)
            elif suffix in IMAGE_SUFFIXES and is_file:
                images.append((stem, name))
            elif suffix == _TEXT_SUFFIX and is_file and store.is_inside(path / name, real_path):
                texts[stem] = max(name, texts.get(stem, ""))
            elif is_file:
                others.append(name)
        self._posts = _join_numbered(images, texts)
        self._texts = texts
        if not self._posts:
            raise self._explain_nothing(folders, others)
        if folders:
            what = "1 sub-folder, which is" if len(folders) == 1 else f"{len(folders)} sub-folders, which are"
            self._notes.append(f"{path} has {what} not read.")
        if others:
            what = "1 other file, which is" if len(others) == 1 else f"{len(others)} other files, which are"
            listed = to_utf8(min(others)) + (", ..." if len(others) > 1 else "")
            self._notes.append(f"{path} has {what} not read: {listed}.")
            if {f"{name}.json" for _, name in images}.intersection(others):
                folder = shlex.quote(str(path))
                self._notes.append(
                    "The texts of these images' posts may be in the .json files beside them, as gallery-dl has it: "
                    f"`cat {folder}/*.json | jq -c . > posts.jsonl` makes a table, to be scored with --images {folder}."
                )

    def _explain_nothing(self, folders: Sequence[str], others: Sequence[str]) -> InputError:
        """Return the error for a folder without posts: it names what in it may hold some."""
        start = f"The folder {self.path} holds no images and no .txt files: name "
        tables = [name for name in others if find_format(name)]
        if not tables and not folders:
            return InputError(f"{start}a folder of posts, or a table.")
        what = "the tables in it that hold" if tables else "a folder in it that holds"
        return InputError(f"{start}{what} posts, such as {to_utf8(str(self.path / min(tables or folders)))}.")

    @property
    def notes(self) -> tuple[str, ...]:
        """How the folder is read, in sentences; complete after reading."""
        return (*self._notes, *note_texts(self.path, self._wrong))

    @property
    def encoding(self) -> str | None:
        """That of the texts, where it was named."""
        return self._encoding

    def open_images(self) -> ImageLookup:
        """Return where the images are looked up: they lie beside the texts."""
        return open_images(self.path)

    def read_blocks(self, columns: Sequence[str] | None, start: int = 0) -> Iterator[Block]:
        """Yield the rows from `start` on (see `Table`)."""
        columns = self.columns if columns is None else columns
        self._wrong.clear()
        for first in range(start, len(self._posts), BLOCK_ROWS):
            yield self._read_block(self._posts[first : first + BLOCK_ROWS], columns)

    def _read_block(self, posts: list[tuple[str, str]], columns: Sequence[str]) -> Block:
        texts: list[str | None] = []
        problems: list[Problem] = []
        names = [self._texts.get(stem) for stem, _ in posts]
        for row, content in enumerate(store_of(self.path).map_files(self._try_text, names)):
            if isinstance(content, TableError):
                problems.append(Problem(row, str(names[row]), f"has a text that can't be read: {content}"))
                texts.append(None)
                continue
            text, wrong = (None, "") if content is None else decode_text(content, self._encoding)
            self._wrong[wrong] += 1
            texts.append(text)
        frame = pl.DataFrame(
            {
                "id": pl.Series([to_utf8(stem) for stem, _ in posts], dtype=pl.String),
                "text": pl.Series(texts, dtype=pl.String),
                "image": pl.Series([to_utf8(name) or None for _, name in posts], dtype=pl.String),
            }
        ).select(columns)
        if problems:
            readable = pl.Series([True] * len(posts)).scatter([problem.row for problem in problems], False)
            frame = frame.select(pl.when(readable).then(pl.col(name)).alias(name) for name in columns)
        return Block(frame, len(posts), tuple(problems))

    def _try_text(self, name: str | None) -> bytes | TableError | None:
        try:
            return None if name is None else _read_text(self.path / name)
        except TableError as error:
            cause = error.__cause__
            if is_remote(self.path) and isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
                raise  # its server fails, and not the text
            return error


def _join_numbered(images: list[tuple[str, str]], texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the posts, sorted: their stems, and their images' names; "" where there is none.

    Args:
        images: their stems and names.
        texts: the stems of the texts.
    """
    alone = texts.keys() - {stem for stem, _ in images}
    numbered: dict[str, list[tuple[int, str]]] = {}
    posts = []
    for stem, name in images:
        base, _, number = stem.rpartition("_")
        if base in alone and stem not in texts and number.isdecimal():
            numbered.setdefault(base, []).append((int(number), name))
        else:
            posts.append((stem, name))
    for stem in alone:
        names = [name for _, name in sorted(numbered.get(stem, ()))]
        posts.append((stem, json.dumps(names, ensure_ascii=False) if len(names) > 1 else "".join(names)))
    return sorted(posts)


def is_post_file(name: str) -> bool:
    """Check whether a file of this name in a folder of posts is an image or a text."""
    return not name.startswith(".") and split_suffix(name)[1] in (*IMAGE_SUFFIXES, _TEXT_SUFFIX)


def _scan(path: Path) -> list[tuple[str, bool, bool]]:
    """List names, and whether each is, or a link leads to, a regular file, or a folder; not what macOS hides."""
    try:
        if is_remote(path):
            return [(entry.name, not entry.is_folder, entry.is_folder) for entry in list_folder(path)]
        with os.scandir(path) as entries:
            return [(entry.name, *_look_at(entry)) for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise TableError(f"The folder {path} can't be read: {error.strerror or error}.") from error


def _look_at(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    """Check whether an entry is, or a link leads to, a regular file, or a folder."""
    try:
        return entry.is_file(), entry.is_dir()
    except OSError:  # a link that leads in a circle, or through a folder that may not be read
        return False, False


def _read_text(path: Path) -> bytes:
    try:
        content = read_bytes(path, MAX_RECORD_BYTES + 1)
    except OSError as error:
        raise TableError(f"{path} can't be read: {error.strerror or error}.") from error
    if len(content) > MAX_RECORD_BYTES:
        raise TableError("it is too long")
    return content
