"""The names of files as UTF-8: outputs hold nothing else, and a file system may hold anything."""

from __future__ import annotations

from sentimm.errors import InputError


def require_utf8(name: str) -> None:
    """Check that the name of a file or folder, as Python has it from the system, is valid UTF-8.

    Raises:
        InputError: it is not.
    """
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise InputError(f"The name of {name} is not valid UTF-8, as an output requires: rename it.")


def to_utf8(name: str) -> str:
    """Return a string that polars takes: each character that is no UTF-8 becomes a question mark."""
    return name if name.isascii() else name.encode(errors="replace").decode()
