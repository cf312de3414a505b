"""Values inside of others that are a post's text, image and id where no column is: `tweet.full_text` of X's archive."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from sentimm.corpus.columns.choice import (
    ID_NAMES,
    IMAGE_NAMES,
    OTHER_ID_NAMES,
    OTHER_IMAGE_NAMES,
    OTHER_TEXT_NAMES,
    TEXT_NAMES,
    ColumnChoice,
    choose_columns,
    is_text_name,
    simplify_name,
)
from sentimm.corpus.columns.full_texts import add_boosts, add_full_texts
from sentimm.corpus.columns.values import find_nested, hold_parts
from sentimm.corpus.images.image_lookup import is_url
from sentimm.images import IMAGE_SUFFIXES
from sentimm.options import CorpusOptions

SAMPLE_ROWS = 64
_MOST_DEPTH = 5
_NO_POSTS = ("error", "errors", "includes")  # what an API answers in a post's place, or beside it, has texts, too
_LEAST_SHARE = 0.1  # of the sample's posts, that have the text

# Of exports whose texts have names that say nothing: where the text is, and where it is if that is empty.
_EXPORTS = (
    ("data.post", None),  # posts of a Facebook archive
    ("data.comment.comment", None),  # comments in one
    ("media.title", "title"),  # posts of an Instagram archive: a caption is the title of the post or of its image
    ("string_map_data.Comment.value", None),  # comments in one
    ("data.commentary.text.text", None),  # LinkedIn, by Zeeschuimer
    ("commentary.text.text", None),  # the same, as 4CAT keeps it
    ("snippet.topLevelComment.snippet.textOriginal", None),  # YouTube's API
    ("snippet.topLevelComment.snippet.textDisplay", None),
    ("content.label", None),  # reviews in Apple's App Store, by its RSS feed
)

_Path = tuple[str, ...]


@dataclass(frozen=True)
class NestedColumns:
    """The paths to what is inside of other values.

    Attributes:
        text: to the texts.
        other_text: the column of texts that is read where there is none at `text`; None: there is no such column.
        image: to the names of images; None: none was found.
        id: to the ids; None: none was found.
    """

    text: str
    other_text: str | None = None
    image: str | None = None
    id: str | None = None


def choose_with_nested(
    types: Mapping[str, pl.DataType], sample: pl.DataFrame, options: CorpusOptions, has_folder: bool
) -> ColumnChoice:
    """Choose among columns as `choose_columns` does; where none holds texts, look inside of the values of a sample.

    Raises:
        ColumnError: a column that was named is not there, or there is neither text nor image to use.
    """
    choice = _choose_with_nested(types, sample, options, has_folder)
    return choice if options.text_column else add_boosts(add_full_texts(choice, types), types)


def _choose_with_nested(
    types: Mapping[str, pl.DataType], sample: pl.DataFrame, options: CorpusOptions, has_folder: bool
) -> ColumnChoice:
    nested = None if _has_texts(types, sample, options) else find_nested_columns(sample, list(types))
    if nested is None:
        return choose_columns(types, options, has_folder)
    named = replace(
        options,
        text_column=nested.text,
        image_column=options.image_column or nested.image,
        id_column=options.id_column or nested.id,
    )
    choice = choose_columns(types, named, has_folder)
    reasons = []
    for reason in choice.reasons:
        for kind, path in (("text", nested.text), ("image", nested.image), ("id", nested.id)):
            reason = reason.replace(f"column {path!r} (--{kind}-column)", f"{path!r}, inside of a column")
        instead = f", and where that is empty {nested.other_text!r}" if nested.other_text else ""
        reasons.append(reason + instead if reason.startswith("text:") else reason)
    roots = {path: (path.partition(".")[0],) for path in (nested.text, nested.other_text) if path and "." in path}
    return replace(choice, short_text=nested.other_text, reasons=tuple(reasons), roots={**choice.roots, **roots})


def _has_texts(types: Mapping[str, pl.DataType], sample: pl.DataFrame, options: CorpusOptions) -> bool:
    """Check whether no texts are wanted, or a column is named for them, or is called so and holds no objects."""
    if options.text_column is not None or options.only == "image":
        return True
    return any(is_text_name(name) and not _holds_objects(name, types[name], sample) for name in types)


def _holds_objects(name: str, dtype: pl.DataType, sample: pl.DataFrame) -> bool:
    if name not in sample.columns or isinstance(dtype, pl.Struct):
        return isinstance(dtype, pl.Struct)
    values = sample[name].drop_nulls()
    if values.dtype != pl.String or not len(values) or not values.str.starts_with("{").all():
        return False
    return len(find_nested(values)) == len(values) and not hold_parts(values)


def find_nested_columns(sample: pl.DataFrame, columns: Sequence[str]) -> NestedColumns | None:
    """Find the text inside of the values of some posts, and their images and ids; None: there is no text, or several.

    The text is at the shortest path that ends in the name of a column of texts, and alone in each post. `columns` are
    all that the table has, some of which the sample may lack.
    """
    posts = [_list_strings(row) for row in sample.head(SAMPLE_ROWS).rows(named=True)]
    paths = Counter(path for post in posts for path in post)
    text, other = _find_text(posts, paths, columns)
    if text is None:
        return None
    parent = tuple(text.split("."))[:-1]
    ids = [name for name in ("id_str", *ID_NAMES, *OTHER_ID_NAMES) if (*parent, name) in paths]
    has_id = any(simplify_name(name) in {simplify_name(each) for each in columns} for name in ID_NAMES)
    return NestedColumns(
        text,
        other,
        _find_image(posts, paths),
        ".".join((*parent, ids[0])) if ids and not has_id else None,
    )


def _find_text(
    posts: Sequence[Mapping[_Path, list[str]]], paths: Counter[_Path], columns: Sequence[str]
) -> tuple[str | None, str | None]:
    for export, other in _EXPORTS:
        if tuple(export.split(".")) in paths:
            return export, other if other in columns else None
    names = [simplify_name(name) for name in ("full_text", *TEXT_NAMES, *OTHER_TEXT_NAMES)]
    likely = sorted(
        (len(path), names.index(simplify_name(path[-1])), path)
        for path, count in paths.items()
        if len(path) > 1
        and simplify_name(path[-1]) in names
        and count >= _LEAST_SHARE * len(posts)
        and all(len(post.get(path, ())) <= 1 for post in posts)
    )
    if not likely or (len(likely) > 1 and likely[0][:2] == likely[1][:2]):
        return None, None
    path = likely[0][2]
    title = (*path[:-1], "title")
    return ".".join(path), ".".join(title) if path[-1] == "selftext" and title in paths else None


def _find_image(posts: Sequence[Mapping[_Path, list[str]]], paths: Counter[_Path]) -> str | None:
    """Find the shortest path to names of image files, where no column of strings is called as one of them is."""
    names = {simplify_name(name) for name in (*IMAGE_NAMES, *OTHER_IMAGE_NAMES)}
    if any(len(path) == 1 and simplify_name(path[0]) in names for path in paths):
        return None
    likely = sorted(
        (len(path), path)
        for path in paths
        if len(path) > 1
        and simplify_name(path[-1]) in {*names, "uri", "url"}
        and any(_is_image_name(value) for post in posts for value in post.get(path, ()))
    )
    return ".".join(likely[0][1]) if likely else None


def _is_image_name(value: str) -> bool:
    return not is_url(value) and value.lower().endswith(IMAGE_SUFFIXES)


def _list_strings(post: Mapping[str, object]) -> dict[_Path, list[str]]:
    """List the strings in a post that are not blank, by their paths, which go through lists."""
    strings: dict[_Path, list[str]] = defaultdict(list)
    for path, value in _walk(post, ()):
        if not value.isspace() and value:
            strings[path].append(value)
    return strings


def _walk(value: object, path: _Path) -> Iterator[tuple[_Path, str]]:
    if isinstance(value, str):
        if len(path) == 1 and value.startswith(("{", "[")):
            try:
                yield from _walk(json.loads(value), path)
            except (ValueError, RecursionError):
                yield path, value
        else:
            yield path, value
    elif isinstance(value, Mapping) and len(path) < _MOST_DEPTH:
        for name, each in value.items():
            if "." not in name and name not in _NO_POSTS:
                yield from _walk(each, (*path, name))
    elif isinstance(value, list):
        for each in value:
            yield from _walk(each, path)
