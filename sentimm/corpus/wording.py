"""Names as they stand in messages and outputs: listed, cut, and in UTF-8."""

from __future__ import annotations

from collections.abc import Sequence

from sentimm.errors import InputError

_MAX_NAMES = 20  # in a message
_MAX_CHARS = 200  # of a name


def list_names(names: Sequence[str]) -> str:
    """Return names as a list for a person: the first twenty, and how many more there are."""
    listed = ", ".join(map(shorten_name, names[:_MAX_NAMES]))
    return listed + (f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else "") or "none"


def shorten_name(name: str) -> str:
    """Return a name or a cell cut for a message: in a damaged file it may be a megabyte."""
    return name if len(name) <= _MAX_CHARS else f"{name[:_MAX_CHARS]}..."


def require_utf8(name: str) -> None:
    """Check that the name of a file or folder, as Python has it from the system, is valid UTF-8.

    Raises:
        InputError: it is not.
    """
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise InputError(f"The name of {name} is not valid UTF-8, as an output requires: rename it.")


def to_utf8(name: str) -> str:
    """Return a name that polars takes: each character that is not valid in UTF-8 becomes a question mark."""
    return name if name.isascii() else name.encode(errors="replace").decode()
