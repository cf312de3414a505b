"""How many posts name an image, and how many of these images are there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from sentimm.corpus.chunks import count_images, list_image_names, read_names
from sentimm.corpus.columns.choice import ColumnChoice, choose_ids_for_images, holds_bytes, is_list
from sentimm.corpus.columns.values import select_column
from sentimm.corpus.images.image_lookup import ImageFolder, ImageLookup, is_url
from sentimm.corpus.images.near_names import is_rounded
from sentimm.options import CorpusOptions

_MAX_NAMES = 100  # kept for the error that no post finds an image


class ImageCounter:
    """Counts the images of posts, by the column of names and, where it finds none, by the ids.

    Attributes:
        names: the first names of images that are not there, for messages.
        only_urls: all names so far are URLs.
        several: posts that have several images.
        near: how many images were found by names, and how many by ids, that are not quite theirs; how many ids found
            files that are no images.
        rounded: for each column how many ids, or names of images, a spreadsheet rounded.
    """

    def __init__(self, choice: ColumnChoice, options: CorpusOptions) -> None:
        self.names: list[str] = []
        self.only_urls = True
        self.several = 0
        self.near: Counter[str] = Counter()
        self.rounded: Counter[str] = Counter()
        self._choice = choice
        self._by_id = choose_ids_for_images(choice) if choice.image and choice.id and not options.image_column else None
        self._folders: dict[int, ImageFolder] = {}
        self._named = self._found = self._found_by_id = self._several_by_id = 0

    def add(self, frame: pl.DataFrame, folder: ImageLookup | None) -> None:
        """Count the images of some posts, which are looked up in `folder`."""
        if folder is None and self._choice.image is None and self._choice.ignored_image is None:
            return
        before = None
        if isinstance(folder, ImageFolder):
            self._folders[id(folder)] = folder
            folder.watch()
            before = Counter(folder.near)
        named, found, several = count_images(frame, self._choice, folder)
        if isinstance(folder, ImageFolder) and before is not None:
            self.near += folder.near - before
        if self._choice.image is not None and found < named and folder is not None:
            self._count_rounded(frame, self._choice.image)
        if self._choice.by_id:
            self._count_rounded(frame, str(self._choice.id))
        self._named += named
        self._found += found
        self.several += several
        if self._by_id is not None and not self._found:
            _, found_by_id, several_by_id = count_images(frame, self._by_id, folder)
            self._found_by_id += found_by_id
            self._count_rounded(frame, str(self._by_id.id))
            self._several_by_id += several_by_id
        if not self._found and (self.only_urls or len(self.names) < _MAX_NAMES):
            names = list_image_names(frame, self._choice)
            self.only_urls = self.only_urls and all(map(is_url, names))
            self.names += names[: _MAX_NAMES - len(self.names)]

    def _count_rounded(self, frame: pl.DataFrame, column: str) -> None:
        """Count the names or ids in a column that a spreadsheet rounded."""
        values = select_column(frame, column)
        if is_list(values.dtype) or holds_bytes(values.dtype):
            return
        names = read_names(frame, ColumnChoice(None, None, column, roots=self._choice.roots))["id"]
        numbers = names.filter(names.str.contains("^[0-9][0-9.,]*[eE]").fill_null(False))
        self.rounded[column] += sum(map(is_rounded, numbers.to_list()))

    def list_strays(self) -> dict[Path, list[str]]:
        """List for each folder the images in it that belong to no post; folders without any are left out."""
        strays = {each.root: each.strays.list_names() for each in self._folders.values() if each.strays is not None}
        return {root: names for root, names in strays.items() if names}

    def conclude(self) -> tuple[ColumnChoice, int, int]:
        """Return the choice of columns that finds images, the posts that name one by it, and those that find it."""
        if self._by_id is not None and not self._found and self._found_by_id:
            self.several = self._several_by_id
            return self._by_id, self._found_by_id, self._found_by_id
        return self._choice, self._named, self._found
