"""`bundle.json`, the manifest of a bundle, read field by field: the first wrong field is the error."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sentimm import __version__
from sentimm.errors import BundleError

FORMAT = 2  # the newest that is read; 2 has `adaptation`, which older versions would leave out
MANIFEST = "bundle.json"
MOST_BYTES = 16 * 2**20  # far above what any manifest has
REMEDY = "export the model again, or download the bundle again."

_MOST_LEVELS = 32  # of objects and lists in each other


class Fields:
    """A JSON object of the manifest. Each method reads the field `key`, or raises a BundleError that names it.

    Args:
        folder: the bundle.
        name: where in the manifest the object is, "" for the whole.
        value: the object.

    Raises:
        BundleError: `value` is no object.
    """

    def __init__(self, folder: Path, name: str, value: object) -> None:
        self._folder = folder
        self._name = name
        if not isinstance(value, dict):
            raise self.error(name or "the whole", "an object", value)
        self.value: dict[str, Any] = value

    def error(self, name: str, expected: str, found: object) -> BundleError:
        """Return the error of a field that is not as expected."""
        shown = json.dumps(found, default=str)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return BundleError(
            f"{self._folder / MANIFEST} is damaged: {name} should be {expected}, but is {shown}; {REMEDY}"
        )

    def _get(self, key: str, expected: str) -> Any:
        if key not in self.value:
            raise BundleError(
                f"{self._folder / MANIFEST} is damaged: {self._full(key)} ({expected}) is missing; {REMEDY}"
            )
        return self.value[key]

    def _full(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def fields(self, key: str) -> Fields:
        """Read an object."""
        return Fields(self._folder, self._full(key), self._get(key, "an object"))

    def optional(self, key: str) -> dict[str, Any]:
        """Read an object that may be missing, or null, of any fields: its numbers are finite."""
        value = self.fields(key).value if self.value.get(key) is not None else {}
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            raise self.error(self._full(key), "an object whose numbers are finite", value) from None
        return value

    def string(self, key: str) -> str:
        """Read a string that is not empty."""
        value = self._get(key, "a string")
        if not isinstance(value, str) or not value:
            raise self.error(self._full(key), "a string", value)
        return value

    def integer(self, key: str, least: int, most: int | None = None) -> int:
        """Read a whole number from `least` to `most`."""
        expected = f"a whole number, {least} or more"
        value = self._get(key, expected)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.error(self._full(key), expected, value)
        if most is not None and value > most:
            raise self.error(self._full(key), f"at most {most:,}", value)
        return value

    def flag(self, key: str) -> bool:
        """Read a truth value; where it is missing it is false."""
        value = self.value.get(key, False)
        if not isinstance(value, bool):
            raise self.error(self._full(key), "true or false", value)
        return value

    def positive(self, key: str) -> float:
        """Read a finite number above 0."""
        expected = "a number above 0"
        value = self._get(key, expected)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= sys.float_info.max:
            raise self.error(self._full(key), expected, value)
        return float(value)

    def numbers(self, key: str, count: int) -> tuple[float, ...]:
        """Read a list of so many finite numbers."""
        expected = f"a list of {count} finite numbers"
        value = self._get(key, expected)
        good = isinstance(value, list) and len(value) == count
        if not good or any(
            isinstance(item, bool) or not isinstance(item, int | float) or not abs(item) <= sys.float_info.max
            for item in value
        ):
            raise self.error(self._full(key), expected, value)
        return tuple(map(float, value))

    def strings(
        self, key: str, allowed: tuple[str, ...] | None = None, least: int = 0, most: int | None = None
    ) -> tuple[str, ...]:
        """Read a list of `least` to `most` different strings, of those `allowed`."""
        expected = f"a list of {least or 'no'} or more different strings"
        if allowed is not None:
            expected += f" of {', '.join(allowed)}"
        value = self._get(key, expected)
        good = isinstance(value, list) and len(value) >= least and all(isinstance(item, str) and item for item in value)
        if not good or len(set(value)) < len(value) or (allowed is not None and not set(value) <= set(allowed)):
            raise self.error(self._full(key), expected, value)
        if most is not None and len(value) > most:
            raise self.error(self._full(key), f"a list of at most {most:,} strings", value)
        return tuple(value)

    def file(self, key: str, files: Fields) -> Path:
        """Read the name of one of the bundle's `files`, and return its path."""
        name = self.string(key)
        if name not in files.value:
            raise self.error(self._full(key), 'a file listed under "files"', name)
        return locate_file(self._folder, name, files.fields(name).value.get("bundle"))


def locate_file(folder: Path, name: str, other: str | None) -> Path:
    """Return the path of a bundle's file: in its folder, or in that of another bundle beside it."""
    return folder / name if other is None else folder.resolve().parent / other / name


def parse_manifest(folder: Path, content: bytes) -> Fields:
    """Parse the manifest of the bundle `folder`.

    Raises:
        BundleError: it is no JSON object, or of a newer format.
    """
    try:
        value = json.loads(content, parse_int=_read_integer)
        _check_depth(value)
        json.dumps(value, ensure_ascii=False).encode()  # halves of characters can be read, but not written
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{folder / MANIFEST} is damaged, it is not JSON ({error}): {REMEDY}") from error
    manifest = Fields(folder, "", value)
    version = manifest.integer("format", 1)
    if version > FORMAT:
        raise BundleError(
            f"{folder} is a bundle of format {version}, and sentimm {__version__} reads formats up to {FORMAT}: "
            "update sentimm."
        )
    return manifest


def _read_integer(digits: str) -> int:
    number = int(digits)
    if abs(number) >= 2**63:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return number


def _check_depth(value: object) -> None:
    level, depth = [value], 0
    while level:
        if (depth := depth + 1) > _MOST_LEVELS:
            raise ValueError(f"more than {_MOST_LEVELS} objects and lists in each other")
        level = [child for item in level for child in _list_children(item)]


def _list_children(value: object) -> list[object]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
