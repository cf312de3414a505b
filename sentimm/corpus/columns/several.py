"""Several columns of images: `image_1`, `image_2` or, of flattened lists, `media/0/url`, `media/1/url`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import polars as pl

from sentimm.errors import ColumnError

_NUMBER = re.compile(r"(?<![0-9])[0-9]{1,3}(?![0-9])")  # longer ones are years or ids
_BETWEEN = re.compile(r"[/.\[\]_\s*-]+|(?<=[a-z])(?=[A-Z])")
_IMAGES = ("image", "images", "img", "photo", "photos", "picture", "pictures", "media")
_PLACES = ("url", "uri", "src", "path", "file", "name", "filename", "link", "https", "extended", "entities", *_IMAGES)


def find_members(name: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that `name` stands for, where no column is called so.

    It is a list of names between commas, or one with `*` in the place of a number, or both: `front,detail_*`. Those
    of one `*` come in the order of their numbers.

    Returns:
        the columns, distinct ones; () where a part of `name` stands for none.
    """
    found: dict[str, None] = {}
    for part in name.split(","):
        members = [part] if part in columns else _find_numbered(part, columns)
        if not members:
            return ()
        found.update(dict.fromkeys(members))
    return tuple(found)


def find_numbered_images(columns: Sequence[str]) -> str | None:
    """Return the name, for `find_members`, of columns that are numbered and called like images; None: there are none.

    Of several such groups the one with the shortest name is taken, and the first of these.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for column in columns:
        if len(numbers := _NUMBER.findall(column)) == 1:
            groups[_NUMBER.sub("*", column)].append(int(numbers[0]))
    likely = [pattern for pattern in groups if _is_image_pattern(pattern)]
    if not likely:
        return None
    pattern = min(likely, key=len)
    first = next((column for column in columns if _split_words(column) == _split_words(pattern)), None)
    if first is not None and (min(groups[pattern]) > 1 or pattern.endswith(".*")):  # image, image_2; pandas: image.1
        return f"{first},{pattern}"
    return pattern


def find_member_type(types: Mapping[str, pl.DataType], members: Sequence[str]) -> pl.DataType:
    """Return the type of what `members` hold together: a list of names, or of images.

    Raises:
        ColumnError: the members are of types that don't go together, or hold lists themselves.
    """
    found = {types[name] for name in members}
    if not any(dtype.is_nested() or dtype == pl.Binary for dtype in found):
        return pl.List(pl.String())
    dtype = found.pop()
    if found or isinstance(dtype, pl.List | pl.Array):
        each = ", ".join(f"{name!r} {types[name]}" for name in members)
        raise ColumnError(
            f"The columns of images hold what can't be put together ({each}): choose one of them with --image-column."
        )
    return pl.List(dtype)


def join_members(frame: pl.DataFrame, name: str, members: Sequence[str]) -> pl.Series:
    """Return what several columns hold in each row, as lists without null."""
    columns = [frame[each] for each in members if frame[each].null_count() < len(frame)]
    if not columns:
        return pl.Series(name, [None] * len(frame), dtype=pl.List(pl.String()))
    if not any(column.dtype.is_nested() or column.dtype == pl.Binary for column in columns):
        columns = [column.cast(pl.String) for column in columns]
    return pl.select(pl.concat_list(columns).list.drop_nulls().alias(name)).to_series()


def _find_numbered(pattern: str, columns: Sequence[str]) -> list[str]:
    before, star, after = pattern.partition("*")
    if not star:
        return []
    like = re.compile(f"{re.escape(before)}([0-9]+){re.escape(after)}")
    found = [(int(match[1]), column) for column in columns if (match := like.fullmatch(column))]
    return [column for _, column in sorted(found)]


def _is_image_pattern(pattern: str) -> bool:
    """Check whether numbered columns are called like images: `photo*`, `media/*/url`, but not `image_*_width`."""
    words = _split_words(pattern)
    return any(word in _IMAGES for word in words) and all(word in _PLACES for word in words)


def _split_words(name: str) -> list[str]:
    return [word.casefold() for word in _BETWEEN.split(name) if word]
