"""JSON documents: one array of posts, alone, in an object (`{"messages": [...]}`) or behind JavaScript's `name =`.

Pages, too, which are such objects one after the other, as the answers of an API are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import ijson
import numpy as np

from sentimm.corpus.columns.choice import is_text_name
from sentimm.corpus.tables.base import Block, Problem, Table
from sentimm.corpus.tables.json_files.included_texts import INCLUDES, add_included_texts, holds_texts
from sentimm.corpus.tables.json_files.ndjson import build_block, check_keys, clean_record, list_keys
from sentimm.corpus.tables.json_files.not_numbers import replace_nan
from sentimm.corpus.tables.text_stream import BLOCK_BYTES, TextStream
from sentimm.corpus.wording import list_names
from sentimm.errors import TableError

_ASSIGNMENT = re.compile(rb"\A\s*(?:(?:var|let|const)\s+)?[A-Za-z_$][\w$.]*\s*=\s*(?=[\[{])")
_BLOCK_RECORDS = 10_000
_HEAD_RECORDS = 64
_MAX_DEPTH = 20_000  # what follows takes time by its square
_MOST_PARTS = 8  # of a prefix
_MOST_TEXT_DEPTH = 4  # of objects in a post, one inside of the other, of which the last has the text
# What the arrays in an API's answers are called; a list of comments, say, may be a part of a post.
_PAGE_NAMES = ("data", "feed", "items", "messages", "posts", "results", "statuses", "tweets")
_ERRORS = "errors"  # of an API, which have messages, beside posts or in their place
_NO_POSTS = (_ERRORS, INCLUDES)


class JsonDocument(Table):
    """A file that is one JSON document, or several pages; its posts are the objects of its one array of them.

    Raises:
        TableError: the file is no JSON, or has no array of objects, or several that may be meant.
    """

    format = "json"
    grows = True

    def __init__(self, path: Path, encoding: str | None = None, has_pages: bool = False) -> None:
        super().__init__(path)
        self._stream = TextStream(path, encoding)
        self._has_pages = has_pages
        self._has_included = False
        self._has_nan = False
        self._prefix = self._find_array()
        for records, _ in self._read_records(0, _HEAD_RECORDS):
            self._columns.update(list_keys(records))
            break

    @property
    def notes(self) -> tuple[str, ...]:
        """How the file is read, in sentences; complete after reading."""
        name = self._prefix.removesuffix("item").rstrip(".")
        where = f"the array {name!r}" if name else "one array"
        kind = "holds pages of posts: they" if self._has_pages else "is one JSON document: its posts"
        nan = [f"{self.path} holds NaN, which is not JSON: it is read as null."] if self._has_nan else []
        return (f"{self.path} {kind} are the objects in {where}.", *nan, *self._stream.notes)

    @property
    def encoding(self) -> str:
        """That of the file."""
        return self._stream.encoding

    def read_blocks(self, columns: Sequence[str] | None, start: int = 0) -> Iterator[Block]:
        """Yield the rows from `start` on (see `Table`): scalars as their JSON text, nested values as JSON."""
        for records, problems in self._read_records(start, _BLOCK_RECORDS):
            keys = list_keys(records)
            self._columns.update(keys)
            check_keys(self.path, len(self._columns))
            yield build_block(records, list(keys) if columns is None else columns, problems)

    def _read_records(self, start: int, size: int) -> Iterator[tuple[list[dict[str, Any]], list[Problem]]]:
        """Yield the objects from `start` on, `size` at a time; what is none is an empty one and a problem."""
        items = islice(self._parse(), start, None)
        while some := list(islice(items, size)):
            problems = [
                Problem(row, str(item)[:1000], "is not a JSON object")
                for row, item in enumerate(some)
                if not isinstance(item, dict)
            ]
            yield [clean_record(item) if isinstance(item, dict) else {} for item in some], problems

    def _parse(self) -> Iterator[Any]:
        count = 0
        try:
            posts = ijson.items(self._open(), self._prefix, use_float=True, multiple_values=self._has_pages)
            if self._has_included:
                posts = add_included_texts(posts, self._parse_events(), self._prefix)
            for post in posts:
                yield post
                count += 1
        except ijson.JSONError as error:
            self._try_without_nan(error)
            yield from islice(self._parse(), count, None)

    def _parse_events(self) -> Iterator[tuple[str, str, Any]]:
        yield from ijson.parse(self._open(), use_float=True, multiple_values=self._has_pages)

    def _open(self) -> _Reader:
        return _Reader(self.path, replace_nan(self._stream) if self._has_nan else self._stream)

    def _try_without_nan(self, error: Exception) -> None:
        """Let the file be read again after an `error`, NaN as null, where it may hold any.

        Raises:
            TableError: it was read so already, or holds none.
        """
        if self._has_nan or not any(b"NaN" in block for block in self._stream):
            raise self._explain(error) from error
        self._has_nan = True

    def _find_array(self) -> str:
        """Find the array of the posts, which is the document itself or in it; return its prefix for ijson.

        It is the only one in the fewest objects of those that have a text in one of their first objects, or else in
        objects inside of one, the less deep the better; of all where none has. Arrays inside of another array's
        objects are not taken, but named where none can be taken.
        """
        counts: dict[str, int] = {}  # of each array of objects: the prefix of its items, and how many were seen
        depths: dict[str, int] = {}  # how many objects deep in an array's object the first text is
        arrays: set[str] = set()
        try:
            for prefix, event, value in self._parse_events():
                if event == "start_array" and prefix.count(".") < _MOST_PARTS:
                    arrays.add(f"{prefix}.item".lstrip("."))
                elif event == "start_map" and prefix in arrays:
                    counts[prefix] = counts.get(prefix, 0) + 1
                    if prefix == "item":
                        return "item"
                elif event == "map_key" and is_text_name(value):
                    for array, depth in _list_around(prefix):
                        if 0 < counts.get(array, 0) <= _HEAD_RECORDS:
                            depths[array] = min(depth, depths.get(array, depth))
                            break
        except ijson.JSONError as error:
            self._try_without_nan(error)
            return self._find_array()
        if list(counts) == [f"{_ERRORS}.item"]:
            raise TableError(f"{self.path} holds the errors of an API, and no posts: download it again.")
        self._has_included = holds_texts(counts)
        counts = {prefix: count for prefix, count in counts.items() if prefix.partition(".")[0] not in _NO_POSTS}
        outer = [prefix for prefix in counts if ".item." not in prefix]
        shallowest = min((depths[prefix] for prefix in outer if prefix in depths), default=None)
        likely = [prefix for prefix in outer if depths.get(prefix) == shallowest]
        least = min((prefix.count(".") for prefix in likely), default=0)
        likely = [prefix for prefix in likely if prefix.count(".") == least]
        if len(likely) != 1:
            raise self._explain_arrays(sorted(counts, key=lambda prefix: depths.get(prefix, _MOST_TEXT_DEPTH)))
        return likely[0]

    def _explain_arrays(self, prefixes: Sequence[str]) -> TableError:
        """Return the error for arrays of objects among which none can be chosen."""
        if not prefixes:
            return TableError(
                f"{self.path} holds no array of JSON objects: expected one object per line, or an array of objects."
            )
        names = [prefix.removesuffix(".item").replace(".item.", "[].") for prefix in prefixes]
        return TableError(
            f"{self.path} holds several arrays of objects ({list_names(names)}): write the posts' one to a file of its "
            f"own, as `jq -c '.{names[0]}[]'` does."
        )

    def _explain(self, error: Exception) -> TableError:
        reason = " ".join(str(error).split())[:200]
        return TableError(f"{self.path} can't be read to its end: it is no valid JSON ({reason}).")


class _Reader:
    """The bytes of a stream as a file for ijson, without an assignment before them."""

    def __init__(self, path: Path, blocks: Iterable[bytes]) -> None:
        self._path = path
        self._blocks = iter(blocks)
        self._rest = b""
        self._is_started = False

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes; b"" at the end."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return b""
            if _measure_depth(block) > _MAX_DEPTH:
                raise TableError(f"{self._path} is nested too deeply to hold posts.")
            if not self._is_started and block.strip():
                block, self._is_started = _ASSIGNMENT.sub(b"", block, count=1), True
            self._rest = block
        data, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return data


def _measure_depth(block: bytes) -> int:
    """Return how deeply a block may be nested in itself; brackets in its strings count too."""
    codes = np.frombuffer(block, dtype=np.uint8)
    steps = ((codes == ord("[")) | (codes == ord("{"))).astype(np.int8)
    steps -= (codes == ord("]")) | (codes == ord("}"))
    depth = np.cumsum(steps, dtype=np.int32)
    return int((depth - np.minimum.accumulate(depth)).max(initial=0))


def is_document(head: bytes) -> bool:
    """Check whether a file that begins with `head` is one JSON document rather than an object a line."""
    head = _ASSIGNMENT.sub(b"", head, count=1).lstrip()
    if head.startswith(b"["):
        return True
    line, _, rest = head.partition(b"\n")
    line, rest = line.rstrip(), rest.lstrip()
    # Over several lines: the first opens an object and does not close it; what follows is no object of NDJSON.
    is_open = line.startswith(b"{") and not line.endswith(b"}") and bool(rest)
    return is_open and (line.endswith((b"{", b"[", b",", b":")) or not rest.startswith(b"{"))


def is_page(head: bytes) -> bool:
    """Check whether the first line of a file that begins with `head` is no post, but holds an array of posts."""
    line, _, rest = _ASSIGNMENT.sub(b"", head, count=1).partition(b"\n")
    if len(line) >= BLOCK_BYTES:
        return line.startswith(b"{")  # no post is that long
    if not line.startswith(b"{") or _measure_depth(line) > _MOST_PARTS * 4:
        return False
    try:
        page = json.loads(line)
    except ValueError:
        return False
    if _is_post(page):
        return False
    with_text = [
        names
        for names, items in _list_arrays(page, ())
        if any(_has_text(item, _find_depth(names)) for item in items[:_HEAD_RECORDS])
    ]
    if not rest.strip():
        return bool(with_text)  # among several arrays the document chooses, or asks
    return len(with_text) == 1 and with_text[0][0] in _PAGE_NAMES and "id" not in page


def _list_arrays(value: dict[str, Any], names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Yield the lists in nested objects that have no text themselves, with the names that lead to each."""
    for name, each in value.items():
        if isinstance(each, list) and name not in _NO_POSTS:
            yield (*names, name), each
        elif isinstance(each, dict) and name != INCLUDES and not _is_post(each):
            yield from _list_arrays(each, (*names, name))


def _is_post(fields: dict[str, Any]) -> bool:
    """Check whether an object has a text itself, rather than another object by the name of one."""
    return any(is_text_name(name) and not isinstance(value, dict) for name, value in fields.items())


def _find_depth(names: tuple[str, ...]) -> int:
    """Return how deep in an array's objects a text makes posts of them: a post holds arrays of what has texts, too."""
    return _MOST_TEXT_DEPTH if len(names) == 1 and names[0] in _PAGE_NAMES else 2


def _has_text(item: object, depth: int) -> bool:
    """Check whether an object has a text itself, or in up to `depth` - 1 objects one inside of the other."""
    if not isinstance(item, dict) or not depth:
        return False
    return any(is_text_name(name) or _has_text(each, depth - 1) for name, each in item.items())


def _list_around(prefix: str) -> Iterator[tuple[str, int]]:
    """Yield an object's prefix and those of the objects around it, with how many objects deep it is in each."""
    for depth in range(_MOST_TEXT_DEPTH):
        yield prefix, depth
        prefix = prefix.rpartition(".")[0]
