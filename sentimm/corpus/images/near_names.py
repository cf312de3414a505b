"""Names of images that nearly match: other folders before them, another suffix, another case, an id's `.0`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

from sentimm.images import IMAGE_SUFFIXES

_HOST = re.compile(r"(?i)^(?:[a-z][a-z0-9+.-]*:)?//[^/]*")
_QUERY = re.compile(r"[?#].*$|:(?:thumb|small|medium|large|orig)$", re.DOTALL)  # cat.jpg:large: a size, as X has it
_DRIVE = re.compile(r"^[A-Za-z]:/")
_WHOLE = re.compile(r"[0-9]+")
_FRACTION = re.compile(r"([0-9]+)\.0+")
_ROUNDED = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]{2}")
_MAX_LENGTH = 4096


class NearNames:
    """The images of a folder under names that are not quite theirs.

    Args:
        root: the folder.
        files: the names of the images that lie in it, not in its sub-folders.
    """

    def __init__(self, root: Path, files: Iterable[str]) -> None:
        self._root = root.name
        self._cases: defaultdict[str, set[str]] = defaultdict(set)
        self._stems: defaultdict[str, set[str]] = defaultdict(set)
        for name in files:
            self._cases[name.casefold()].add(name)
            stem, suffix = _split(name)
            if suffix:
                self._stems[stem.casefold()].add(name)

    def list_paths(self, name: str) -> Iterator[str]:
        """Yield the paths in the folder that a path or URL may mean, the likeliest first."""
        if len(name) > _MAX_LENGTH or "\0" in name or name.casefold().startswith("data:"):
            return
        given = name.replace("\\", "/")
        for path in dict.fromkeys((given, _QUERY.sub("", given), unquote(_QUERY.sub("", given)))):
            parts = _DRIVE.sub("", _HOST.sub("", path)).split("/")
            if ".." in parts or not parts[-1]:
                return
            if self._root and self._root in parts[:-1]:
                place = len(parts) - 1 - parts[::-1].index(self._root, 1)
                yield "/".join(parts[place + 1 :])
            yield parts[-1]
            if (alone := self._find_alone(parts[-1])) is not None:
                yield alone

    def _find_alone(self, base: str) -> str | None:
        """Find the only file that has this name in another case, or else this stem."""
        found = self._cases.get(base.casefold())
        if not found:
            stem, _ = _split(base)
            forms = (base, stem, *list_near_ids(base), *list_near_ids(stem))
            found = next((self._stems[form.casefold()] for form in forms if form.casefold() in self._stems), None)
        return next(iter(found)) if found and len(found) == 1 else None


def list_near_ids(post_id: str) -> Iterator[str]:
    """Yield other forms of an id, which a program took for a number."""
    if found := _FRACTION.fullmatch(post_id):
        yield found[1]
    elif _WHOLE.fullmatch(post_id):
        yield f"{post_id}.0"


def drop_query(name: str) -> str:
    """Return a name without the query or the size of a URL."""
    return _QUERY.sub("", name)


def is_rounded(post_id: str) -> bool:
    """Check whether an id was rounded by a spreadsheet: `1.59E+18`."""
    return _ROUNDED.fullmatch(post_id) is not None


def _split(name: str) -> tuple[str, str]:
    """Split a name into its stem and the suffix of an image; "" where it has none."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem and (dot + suffix).lower() in IMAGE_SUFFIXES else (name, "")
