"""Names in messages: lists of them, and long ones cut."""

from __future__ import annotations

from collections.abc import Sequence

_MAX_NAMES = 20  # in a message
_MAX_CHARS = 200  # of a name


def list_names(names: Sequence[str]) -> str:
    """Return names as a list for a person: the first twenty, and how many more there are."""
    listed = ", ".join(map(shorten_name, names[:_MAX_NAMES]))
    return listed + (f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else "") or "none"


def shorten_name(name: str) -> str:
    """Return a name or a cell cut for a message: in a damaged file it may be a megabyte."""
    return name if len(name) <= _MAX_CHARS else f"{name[:_MAX_CHARS]}..."
