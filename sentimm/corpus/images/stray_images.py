"""Stray images: those in the folder of images that belong to no post."""

from __future__ import annotations

from collections.abc import Iterable

from sentimm.images import IMAGE_SUFFIXES


class StrayImages:
    """The files of the folders that were listed, without those that posts name; it never grows with the posts."""

    def __init__(self) -> None:
        self._folders: dict[str, set[str]] = {}

    def add(self, folder: str, names: set[str]) -> None:
        """Add the files of a folder that was listed; the set is changed."""
        self._folders[folder] = names

    def take(self, folder: str, names: Iterable[str]) -> None:
        """Take out the files that a post names; others are passed over."""
        self._folders[folder].difference_update(names)

    def list_names(self) -> list[str]:
        """List the images that are left, sub-folders before their names; not what macOS hides."""
        return [
            f"{folder}/{name}" if folder else name
            for folder, names in self._folders.items()
            for name in names
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")
        ]
