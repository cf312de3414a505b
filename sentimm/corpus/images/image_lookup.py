"""Where a post's image lies: by its name or by the post's id, inside one folder only."""

from __future__ import annotations

import enum
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Protocol

from sentimm.corpus.images.id_index import IdIndex, is_foreign, list_forms
from sentimm.corpus.images.near_names import NearNames, drop_query
from sentimm.corpus.images.stray_images import StrayImages
from sentimm.errors import InputError, StorageError
from sentimm.storage import (
    RemoteFile,
    hide_secrets,
    is_remote,
    is_web,
    join,
    list_folder,
    map_remote,
    read_bytes,
    store_of,
    to_path,
)


class Missing(enum.Enum):
    """The one value MISSING."""

    MISSING = "missing"


MISSING = Missing.MISSING
ImageFile = Path | RemoteFile | bytes
ImageSource = ImageFile | Missing | None
PostImages = ImageSource | tuple[ImageFile | Missing, ...]  # a tuple: two or more

_MAX_ABSENT = 10_000  # sub-folders remembered as not there: a table may name millions
_MAX_PROBES = 64  # images of a web server that are asked for, to see whether its folder is the right one
_URL = re.compile(r"(?i)[a-z][a-z0-9+.-]*://|//|data:")


class ImageLookup(Protocol):
    """Where images are looked up: a folder, or the archive that brings the posts too.

    Attributes:
        root: the folder, or the archive.
        lists_names: what is found by a name is there.
    """

    root: Path
    lists_names: bool

    def find_by_name(self, name: str | None) -> ImageSource:
        """Find the image of a name; None where there is no name."""
        ...

    def find_by_id(self, post_id: str | None) -> PostImages:
        """Find the images that are named by a post's id; None where there is none."""
        ...

    def count_by_name(self, names: Iterable[str | None]) -> tuple[int, int]:
        """Count the names that are given, and the images that `find_by_name` finds by them."""
        ...

    def count_by_id(self, ids: Iterable[str | None]) -> tuple[int, int, int]:
        """Count the ids that name an image, those by which `find_by_id` finds one, and those that name several."""
        ...


class ImageFolder:
    """The images of a folder. Its names are listed once, those of a sub-folder when a post first names one in it.

    Only regular files are found, and links only where they lead to one inside the folder.

    Attributes:
        near: how many images were counted under names, and how many under ids, that are not quite theirs;
            how many were so for an earlier post that named another path; how many ids found a file that is no image.
        strays: the images that belong to no post; None: these are not counted (see `watch`).

    Raises:
        InputError: the folder is not there, or can't be read.
    """

    lists_names = True

    def __init__(self, root: Path) -> None:
        self.root, self._store = root, store_of(root)
        try:
            if not self._store.is_folder(root):
                what = "is not a folder" if self._store.exists(root) else "is not there"
                raise InputError(f"The image folder {root} {what}: name the folder of the posts' images with --images.")
            self._real_root = self._store.find_real_name(root)
            self._top = self._list("")
        except OSError as error:
            raise InputError(f"The image folder {root} can't be read: {error.strerror or error}.") from error
        self._folders = {"": self._top}
        self._absent: set[str] = set()
        self.near: Counter[str] = Counter()
        self._near_of: dict[str, str] = {}
        self.strays: StrayImages | None = None

    def watch(self) -> None:
        """Count from now on which images belong to no post."""
        if self.strays is None:
            self.strays = StrayImages()
            for folder, listing in self._folders.items():
                self.strays.add(folder, listing.files | listing.links)

    def _take(self, folder: str, names: Iterable[str]) -> None:
        if self.strays is not None:
            self.strays.take(folder, names)

    def find_by_name(self, name: str | None) -> Path | RemoteFile | Missing | None:
        r"""Find the image of a file name, which may lead through sub-folders; None where there is no name.

        The suffix may be in another case, `\\` may stand for `/`, and accents may be composed or not. Where there is no
        such file, near names are tried (see `NearNames`). A name that leads out of the folder is MISSING.
        """
        if name is None or not (name := name.strip()):
            return None
        if name in self._top.files:
            self._take("", (name,))
            return self._locate("", name)
        return (None if is_url(name) else self._find_exact(name)) or self._find_near(name) or MISSING

    def _find_exact(self, name: str) -> Path | RemoteFile | None:
        for path in dict.fromkeys((*list_forms(name), *list_forms(name.replace("\\", "/")))):
            folder, _, file = path.rpartition("/")
            stem, dot, suffix = file.rpartition(".")
            for variant in (file, stem + dot + suffix.lower(), stem + dot + suffix.upper()):
                if (found := self._find(folder, variant)) is not None:
                    return found
        return None

    def _find_near(self, name: str) -> Path | RemoteFile | None:
        return next((found for path in self._near.list_paths(name) if (found := self._find_exact(path))), None)

    def find_by_id(self, post_id: str | None) -> PostImages:
        """Find the images that are named by a post's id, and perhaps a number; None where there is none.

        For the id 15: 15.jpg; without such a file 15_1.jpg, 15_2.jpg and so on, or 15-1.jpg, 15-2.jpg; for an id of
        five digits or more also 12345-<x>.jpg, whatever <x> is; of ten or more also behind a date. Where there is no
        image at all, 15.mp4, 15.html and the like are found: decoding says what they are.
        """
        names = self._ids.find(post_id) if post_id else ()
        if len(names) < 2:
            return None if not names else self._find("", names[0]) or MISSING
        return tuple(self._find("", name) or MISSING for name in names)

    def count_by_name(self, names: Iterable[str | None]) -> tuple[int, int]:
        """Count the names that are given, and the images that `find_by_name` finds by them: 20 times as fast."""
        given = [stripped for name in names if name and (stripped := name.strip())]
        self._take("", given)
        others = [name for name in given if name not in self._top.files]
        found = [name for name in others if self.find_by_name(name) is not MISSING]
        for name in found:
            if is_url(name) or self._find_exact(name) is None:
                self.near["names"] += 1
                if len(self._near_of) < _MAX_ABSENT:
                    path = drop_query(name)
                    self.near["shared"] += self._near_of.setdefault(str(self._find_near(name)), path) != path
        return len(given), len(given) - len(others) + len(found)

    def count_by_id(self, ids: Iterable[str | None]) -> tuple[int, int, int]:
        """Count the ids that name an image, those by which `find_by_id` finds one, and those that name several."""
        ids = list(ids)
        named = [names for post_id in ids if post_id and (names := self._ids.find(post_id))]
        self.near["ids"] += sum(self._ids.is_near(post_id) for post_id in ids if post_id)
        if self._ids.foreign:
            self.near["foreign"] += sum(is_foreign(names[0]) for names in named)
        self._take("", chain.from_iterable(named))
        links = [names for names in named if not any(name in self._top.files for name in names)]
        lost = sum(all(self._find("", name) is None for name in names) for names in links)
        return len(named), len(named) - lost, sum(len(names) > 1 for names in named)

    def _find(self, folder: str, file: str) -> Path | RemoteFile | None:
        parts = folder.split("/") if folder else []
        if ".." in parts or (parts and not parts[0]):
            return None
        folder = "/".join(part for part in parts if part not in ("", "."))
        listing = self._get_listing(folder)
        if listing is None or (file not in listing.files and file not in listing.links):
            return None
        self._take(folder, (file,))
        path = self._locate(folder, file)
        return path if file in listing.files or self._is_sound(path) else None

    def _locate(self, folder: str, file: str) -> Path | RemoteFile:
        return Path(self.root, folder, file)

    def _get_listing(self, folder: str) -> _Listing | None:
        if folder in self._absent:
            return None
        if folder not in self._folders:
            try:
                listing = self._list(folder)
            except (OSError, ValueError):  # not there, not to be read, or nothing that can be a path
                listing = _Listing(set(), set())
            if listing.files or listing.links:
                self._folders[folder] = listing
                if self.strays is not None:
                    self.strays.add(folder, listing.files | listing.links)
            else:
                if len(self._absent) < _MAX_ABSENT:
                    self._absent.add(folder)
                return None
        return self._folders[folder]

    def _is_sound(self, link: Path | RemoteFile) -> bool:
        """Check whether a link leads to a regular file inside the folder."""
        try:
            return isinstance(link, Path) and link.is_file() and self._store.is_inside(link, self._real_root)
        except OSError:  # it leads through a folder that may not be read
            return False

    def _list(self, folder: str) -> _Listing:
        path = Path(self.root, folder)
        files: set[str] = set()
        links: set[str] = set()
        if self._store.is_inside(path, self._real_root):
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        links.add(entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        files.add(entry.name)
        return _Listing(files, links)

    @cached_property
    def _near(self) -> NearNames:
        return NearNames(self.root, (*self._top.files, *self._top.links))

    @cached_property
    def _ids(self) -> IdIndex:
        return IdIndex((*self._top.files, *self._top.links))


class StoredImages(ImageFolder):
    """The images of a folder in object storage, looked up as those of a local one; there are no links."""

    def _locate(self, folder: str, file: str) -> RemoteFile:
        return RemoteFile(join(self.root, f"{folder}/{file}" if folder else file))

    def _list(self, folder: str) -> _Listing:
        path = to_path(join(self.root, folder)) if folder else self.root
        try:
            return _Listing({entry.name for entry in list_folder(path) if not entry.is_folder}, set())
        except OSError as error:
            raise StorageError(
                f"The image folder {path} can't be read ({error.strerror}). What was scored is kept: to resume, run "
                "the same command again."
            ) from error


class WebImages:
    """The images of a web server's folder, which can't be listed: only fetching an image shows whether it is there."""

    lists_names = False

    def __init__(self, root: Path) -> None:
        self.root = root
        if "?" in str(root):
            raise InputError(
                f"--images {hide_secrets(root)} has a query, but names of images are appended to it: leave it out."
            )
        self._probes = 0
        self._is_right = False

    def find_by_name(self, name: str | None) -> RemoteFile | Missing | None:
        """Return where the image of a file name should be; MISSING: the name is a URL, or leads out of the folder."""
        if name is None or not (name := name.strip()):
            return None
        parts = name.replace("\\", "/").split("/")
        if is_url(name) or not parts[0] or ".." in parts or parts[-1] in ("", "."):
            return MISSING
        return RemoteFile(join(self.root, "/".join(part for part in parts if part != ".")))

    def find_by_id(self, post_id: str | None) -> None:
        """Return None: no names are known."""

    def count_by_name(self, names: Iterable[str | None]) -> tuple[int, int]:
        """Count the names that are given, and those that may be there: none, where none of the first ones is."""
        found = [self.find_by_name(name) for name in names]
        files = [each for each in found if isinstance(each, RemoteFile)]
        if not self._is_right:
            probes = files[: max(0, _MAX_PROBES - self._probes)]
            self._probes += len(probes)
            self._is_right = any(map_remote(_is_there, probes))
        return sum(each is not None for each in found), len(files) if self._is_right else 0

    def count_by_id(self, ids: Iterable[str | None]) -> tuple[int, int, int]:
        """Count nothing: no names are known."""
        return 0, 0, 0


def open_images(root: Path) -> ImageLookup:
    """Open the folder of a corpus's images, wherever it lies.

    Raises:
        InputError: it is not there, or can't be read.
    """
    if is_web(root):
        return WebImages(root)
    return StoredImages(root) if is_remote(root) else ImageFolder(root)


def _is_there(image: RemoteFile) -> bool:
    try:
        return bool(read_bytes(image, 1))
    except (FileNotFoundError, PermissionError):
        return False
    except OSError as error:
        raise InputError(f"{image} can't be fetched: {error.strerror}.") from error


@dataclass(frozen=True)
class _Listing:
    """The names in a folder: regular files, and links that are looked at when they are asked for."""

    files: set[str]
    links: set[str]


def is_url(name: str) -> bool:
    """Check whether an image's name is a URL."""
    return _URL.match(name) is not None
