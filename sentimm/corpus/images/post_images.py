"""Any number of images to a post: the names in one cell, lists of names or bytes, and what is found by them."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import islice

import polars as pl

from sentimm.corpus.images.id_index import split_suffix
from sentimm.corpus.images.image_lookup import (
    MISSING,
    ImageFile,
    ImageLookup,
    ImageSource,
    Missing,
    PostImages,
    is_url,
)
from sentimm.image_kinds import FOREIGN_SUFFIXES
from sentimm.images import IMAGE_SUFFIXES

_MAX_CELL_CHARS = 65_536  # of a cell that may hold a list: Python's parser takes much memory
_MAX_IMAGES = 1_000  # of a post
_MAY_LIST = r"[|;,\[\s]"
_SEPARATORS = (r"\|", ";", r"[\r\n]+", ",", r"\s+")


def list_images(images: PostImages) -> tuple[ImageFile | Missing, ...]:
    """Return the images of a post, those that are not there too; () where it names none."""
    if isinstance(images, tuple):
        return images
    return () if images is None else (images,)


def group_images(images: Iterable[ImageSource]) -> PostImages:
    """Make the images of a post what a chunk holds of them: distinct ones, in order."""
    found: dict[ImageFile, None] = {}
    given: list[ImageFile | Missing] = []
    for image in islice((image for image in images if image is not None), _MAX_IMAGES):
        if image is MISSING or image not in found:
            given.append(image)
        if not isinstance(image, Missing):
            found[image] = None
    return tuple(given) if len(given) > 1 else next(iter(given), None)


def split_names(cell: str) -> tuple[str, ...] | None:
    """Return the names of images that a cell lists, distinct ones in order; None where it is no list.

    A list is one in JSON or as Python writes it, or names between vertical bars, semicolons, lines, commas or spaces,
    each of which has the suffix of an image, or all of which are URLs.
    """
    cell = cell.strip()
    if len(cell) > _MAX_CELL_CHARS:
        return None
    if cell.startswith("["):
        return _parse_list(cell)
    for separator in _SEPARATORS:
        names = dict.fromkeys(name for part in re.split(separator, cell) if (name := part.strip()))
        if names and cell not in names and (all(map(is_url, names)) or all(map(_has_media_suffix, names))):
            return tuple(names)
    return None


def find_by_names(names: pl.Series, folder: ImageLookup) -> list[PostImages]:
    """Find the images of the posts whose cells (String) name one or several."""
    found: list[PostImages] = [folder.find_by_name(name) for name in names.to_list()]
    for row, listed in _find_lists(names).items():
        found[row] = find_listed(names[row], listed, folder)
    return found


def find_listed(cell: str, names: Sequence[str], folder: ImageLookup) -> PostImages:
    """Find the images of a cell that lists `names`, unless a file is named like the whole cell."""
    whole = folder.find_by_name(cell)
    if folder.lists_names and _is_named(whole, cell):
        return whole
    return group_images(folder.find_by_name(name) for name in names)


def count_by_names(names: pl.Series, folder: ImageLookup) -> tuple[int, int, int]:
    """Count the posts that name an image, those that find one, and those that name several; as `find_by_names`."""
    lists = _find_lists(names)
    if not lists:
        return *folder.count_by_name(names.to_list()), 0
    cells = names.to_list()
    images = [find_listed(cells[row], listed, folder) for row, listed in lists.items()]
    several = sum(isinstance(each, tuple) for each in images)
    if folder.lists_names:
        for row in lists:
            cells[row] = None
        named, found = folder.count_by_name(cells)
        return named + sum(each is not None for each in images), found + sum(map(is_found, images)), several
    for row, listed in lists.items():  # only asking tells what is there: the first of each list is asked for
        cells[row] = next(iter(listed), None)
    return *folder.count_by_name(cells), several


def is_found(images: PostImages) -> bool:
    """Check whether a post has an image that is there."""
    if isinstance(images, tuple):
        return any(isinstance(image, ImageFile) for image in images)
    return isinstance(images, ImageFile)


def regroup(flat: Sequence[PostImages], lengths: Sequence[int]) -> list[PostImages]:
    """Return each post's own of the `flat` images, of which it has as many as `lengths` says."""
    images = iter(flat)
    return [group_images(each for found in islice(images, length) for each in list_images(found)) for length in lengths]


def _find_lists(names: pl.Series) -> dict[int, tuple[str, ...]]:
    """Return the names in the cells that are lists, by row."""
    rows = names.str.contains(_MAY_LIST).fill_null(False).arg_true().to_list()
    return {row: listed for row in rows if (listed := split_names(names[row])) is not None}


def _parse_list(cell: str) -> tuple[str, ...] | None:
    for parse in (json.loads, ast.literal_eval):
        try:
            names = parse(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(names, list) and all(name is None or isinstance(name, str) for name in names):
            return tuple(dict.fromkeys(name for name in names if name and not name.isspace()))
    return None


def _has_media_suffix(name: str) -> bool:
    return not is_url(name) and split_suffix(name.split("?")[0])[1] in (*IMAGE_SUFFIXES, *FOREIGN_SUFFIXES)


def _is_named(image: ImageSource, cell: str) -> bool:
    """Check whether a cell names the file that was found by all of it."""
    if image is None or isinstance(image, Missing):
        return False
    name = unicodedata.normalize("NFC", cell.strip().replace("\\", "/")).casefold()
    return isinstance(image, bytes) or unicodedata.normalize("NFC", str(image)).casefold().endswith(name)
