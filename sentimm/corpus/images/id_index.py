"""The files of a folder by the ids of posts in their names: `15.jpg`, `15_1.jpg`, `12345-AbC.jpg`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cached_property

from sentimm.corpus.images.near_names import list_near_ids
from sentimm.image_kinds import FOREIGN_SUFFIXES
from sentimm.images import IMAGE_SUFFIXES

_NUMBERED = (
    re.compile(r"(.+)[_-][0-9]{1,3}"),
    re.compile(r"([0-9]{5,})-.+"),
    re.compile(r"[0-9]{8}T?_([0-9]{10,})(?:_[0-9]{1,3})?"),  # behind the date, as weibo-crawler names images
)
_LAST_NUMBER = re.compile(r"(?<=[_-])[0-9]{1,3}\Z")
_RANKS, _FOREIGN_RANKS = (
    {suffix: rank for rank, suffix in enumerate(suffixes)} for suffixes in (IMAGE_SUFFIXES, FOREIGN_SUFFIXES)
)


class IdIndex:
    """The files of a folder by the ids of posts: images, and where a post has none, what is in place of one.

    Args:
        names: those of the files.

    Attributes:
        foreign: for each id the name of a file that is no image which can be read.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._images: dict[str, tuple[str]] = {}
        foreign: dict[str, tuple[str]] = {}
        for name in names:
            stem, suffix = split_suffix(name)
            ranks, index = (_RANKS, self._images) if suffix in _RANKS else (_FOREIGN_RANKS, foreign)
            if suffix in ranks and (stem not in index or _rank(name, ranks) < _rank(index[stem][0], ranks)):
                index[stem] = (name,)
        self.foreign = {**{stem: found[:1] for stem, found in _index_numbered(foreign).items()}, **foreign}

    def find(self, post_id: str) -> tuple[str, ...]:
        """Return the names of the files of a post, in order; () where there is none."""
        post_id = post_id.strip()
        forms = list_forms(post_id)
        for form in forms:
            if form in self._images:
                return self._images[form]
        for form in (*forms, *list_near_ids(post_id)):
            for index in (self._images, self._numbered):
                if form in index:
                    return index[form]
        return next((self.foreign[form] for form in forms if form in self.foreign), ()) if self.foreign else ()

    def is_near(self, post_id: str) -> bool:
        """Check whether a post's images are found by an id that is not quite its own."""
        if post_id in self._images or post_id in self._numbered:
            return False
        return any(form in self._images or form in self._numbered for form in list_near_ids(post_id.strip()))

    @cached_property
    def _numbered(self) -> dict[str, tuple[str, ...]]:
        """For each id the names of the images that have it and a number or a key as their stem, in order."""
        return _index_numbered(self._images)


def is_foreign(name: str) -> bool:
    """Check whether a file of this name is no image that can be read."""
    return split_suffix(name)[1] in _FOREIGN_RANKS


def list_forms(name: str) -> tuple[str, ...]:
    """List the ways in which Unicode may write a name; macOS writes other ones than most tables."""
    return (name,) if name.isascii() else (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))


def split_suffix(name: str) -> tuple[str, str]:
    """Split a file's name into its stem and its suffix in lower case: `A.b.JPG` into `A.b` and `.jpg`."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix.lower()) if stem else (name, "")


def _index_numbered(stems: Mapping[str, tuple[str]]) -> dict[str, tuple[str, ...]]:
    """Return for each id the names whose stem is it and a number or a key, in order."""
    index: dict[str, list[str]] = {}
    for stem, (name,) in stems.items():
        for post_id in {match[1] for pattern in _NUMBERED if (match := pattern.fullmatch(stem))}:
            index.setdefault(post_id, []).append(name)
    return {post_id: tuple(sorted(names, key=_number)) for post_id, names in index.items()}


def _number(name: str) -> tuple[int, str]:
    """Return what names are sorted by: the number at the end of their stems."""
    number = _LAST_NUMBER.search(split_suffix(name)[0])
    return int(number[0]) if number else 0, name


def _rank(name: str, ranks: Mapping[str, int]) -> tuple[int, str]:
    return ranks[split_suffix(name)[1]], name
