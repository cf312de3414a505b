"""Values inside of values: columns that are named by a path (`record.text`), and texts that are lists of parts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from sentimm.corpus.columns.several import find_members, join_members

_MOST_DEPTH = 3  # of a text that is looked for
_PART_KEYS = frozenset(("text", "mention", "link", "videoLink", "hashtag", "emoji", "bold", "italics", "strikethrough"))


def find_root(name: str, types: Mapping[str, pl.DataType]) -> str | None:
    """Return the column that a path such as `record.text` begins with; None where it leads nowhere."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        root = ".".join(parts[:end])
        if root in types:
            dtype: Any = types[root]
            for part in parts[end:]:
                if not isinstance(dtype, pl.Struct):
                    break
                dtype = next((field.dtype for field in dtype.fields if field.name == part), None)
            # Text formats hold nested values as JSON: only reading shows what is in them.
            return root if dtype is not None else None
    return None


def find_type(name: str, types: Mapping[str, pl.DataType]) -> pl.DataType | None:
    """Return the type of a column, or of what a path leads to; None where there is no such thing."""
    if name in types:
        return types[name]
    root = find_root(name, types)
    if root is None:
        return None
    dtype: Any = types[root]
    for part in name.removeprefix(f"{root}.").split("."):
        if isinstance(dtype, pl.Struct):
            dtype = next(field.dtype for field in dtype.fields if field.name == part)
        elif dtype.is_nested():
            return pl.String()  # as `select_column` writes what is in lists
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def select_column(frame: pl.DataFrame, name: str) -> pl.Series:
    """Return a column of `frame`, what a path leads to in each row (null: nowhere), or the lists of several columns.

    A part of a path that is a number is a place in a list. Any other part goes through all values of a list: several
    values are a list, of JSON where the format has no types.
    """
    if name in frame.columns:
        return frame[name]
    if members := find_members(name, frame.columns):
        return join_members(frame, name, members)
    root = find_root(name, dict(frame.schema))
    assert root is not None
    values, parts = frame[root], name.removeprefix(f"{root}.").split(".")
    while parts and isinstance(values.dtype, pl.Struct):
        values = values.struct.field(parts.pop(0))
    if not parts:
        return values.alias(name)
    found = [_follow(_parse(value) if isinstance(value, str) else value, parts) for value in values.to_list()]
    return pl.Series(name, list(map(_write_value, found)), dtype=pl.String)


def join_lines(texts: pl.Series) -> pl.Series:
    """Join the texts (String) that are lists of strings in JSON: a line for each."""
    rows = _begin_with(texts, "[").arg_true()
    if not len(rows):
        return texts
    joined = texts.to_list()
    for row in rows:
        lines = _parse(joined[row])
        if isinstance(lines, list) and all(isinstance(line, str) for line in lines):
            joined[row] = "\n".join(line for line in lines if line)
    return pl.Series(texts.name, joined, dtype=pl.String)


def join_parts(texts: pl.Series) -> pl.Series:
    """Join the texts (String) that are parts in JSON.

    Telegram writes a list, `["not ", {"text": "good"}]`; Google's archive of YouTube writes objects with commas between
    them, `{"text": "not "}, {"text": "good"}`.
    """
    rows = (_begin_with(texts, "[") | _begin_with(texts, "{")).arg_true()
    if not len(rows) or not len(rows := rows.filter(texts.gather(rows).str.contains('"text"', literal=True))):
        return texts
    joined = texts.to_list()
    for row in rows:
        words = _read_parts(joined[row])
        if words is not None:
            joined[row] = "".join(words)
    return pl.Series(texts.name, joined, dtype=pl.String)


def _read_parts(text: str) -> list[str] | None:
    """Return the words of a text's parts; None: it is not made of any."""
    is_list = text.startswith("[")
    parts = _parse(text if is_list else f"[{text}]")
    if not isinstance(parts, list) or not any(isinstance(part, dict) for part in parts):
        return None
    if not is_list and not all(map(_is_part, parts)):
        return None
    words = [part.get("text") if isinstance(part, dict) else part for part in parts]
    strings = [word for word in words if isinstance(word, str)]
    return strings if len(strings) == len(words) else None


def _is_part(value: object) -> bool:
    """Check whether a value of JSON is a part of a text: the text and how it is shown, but no id or time of a post."""
    return isinstance(value, dict) and isinstance(value.get("text"), str) and value.keys() <= _PART_KEYS


def _begin_with(texts: pl.Series, character: str) -> pl.Series:
    """Return which of the texts (String) begin with an ASCII character; null does not. Comparing is faster than str."""
    return ((texts >= character) & (texts < chr(ord(character) + 1))).fill_null(False)


def find_nested(texts: pl.Series) -> list[str]:
    """Return those of the texts (String) that are whole objects or lists in JSON."""
    maybe = texts.filter(_begin_with(texts, "{") | _begin_with(texts, "[")).to_list()
    return [text for text in maybe if isinstance(_parse(text), dict | list)]


def hold_parts(texts: pl.Series) -> bool:
    """Check whether all of the texts (String) are objects in JSON that `join_parts` reads."""
    return all(text.startswith("{") and _read_parts(text) is not None for text in texts.to_list())


def suggest_path(column: str, value: object, names: tuple[str, ...]) -> str | None:
    """Return the path to the first text in `value`, JSON text or a type, by one of the `names`; None: there is none."""
    parsed = _parse(value) if isinstance(value, str) else value
    found = sorted(_list_texts(parsed, _MOST_DEPTH), key=len)
    for name in names:
        if path := next((path for path in found if path[-1] == name), None):
            return ".".join((column, *path))
    return None


def _list_texts(value: object, depth: int) -> Iterator[tuple[str, ...]]:
    """Yield the paths to the strings in nested objects."""
    if isinstance(value, pl.Struct):
        fields: dict[str, object] = {field.name: field.dtype for field in value.fields}
    else:
        fields = value if isinstance(value, dict) else {}
    for name, each in fields.items():
        if isinstance(each, str) or each == pl.String:
            yield (name,)
        elif depth > 1:
            yield from ((name, *path) for path in _list_texts(each, depth - 1))


def _follow(value: object, path: Sequence[str]) -> object:
    """Return what a path leads to in a value: None where it leads nowhere, a list where it leads to several values."""
    for place, part in enumerate(path):
        if isinstance(value, dict):
            value = value.get(part)
        elif not isinstance(value, list):
            return None
        elif part.isdecimal():
            value = value[int(part)] if int(part) < len(value) else None
        else:
            found = [_follow(each, path[place:]) for each in value]
            flat = [one for each in found for one in (each if isinstance(each, list) else [each]) if one is not None]
            return flat[0] if len(flat) == 1 else flat or None
    return value


def _write_value(value: object) -> str | None:
    if value != value:  # NaN, as Python writes what is not there
        return None
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _parse(value: str) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None
