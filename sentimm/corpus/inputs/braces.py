"""Names with braces, as WebDataset and the shell write many shards: {00000..00009}.tar, {a,b}.tar."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence

from sentimm.errors import InputError

_MAX_NAMES = 1_000_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(-?[0-9]{1,18})\.\.(-?[0-9]{1,18})(?:\.\.-?([0-9]{1,18}))?")


def expand_braces(name: str) -> Iterator[str] | None:
    """Return the names that a name with ranges ({08..12}, {0..90..10}) and lists ({a,b}) stands for, in order.

    Numbers have as many digits as the longer end of their range where one of both begins with a zero, as in the shell.
    None: the name has no such braces.

    Raises:
        InputError: braces lie within braces, or it stands for more than 1,000,000 names.
    """
    pieces = _BRACES.split(name)  # by turns: what lies between braces, and what lies in them
    choices = [_list_choices(piece) if index % 2 else [piece] for index, piece in enumerate(pieces)]
    if not any(isinstance(choice, _Numbers) or len(choice) > 1 for choice in choices):
        return None
    if any("{" in piece or "}" in piece for piece in pieces):
        raise InputError(f"{name} has braces within braces, which is not supported: name the inputs one by one.")
    if math.prod(map(len, choices)) > _MAX_NAMES:
        raise InputError(f"{name} stands for more than {_MAX_NAMES:,} names: use a shorter range.")
    return map("".join, itertools.product(*choices))


class _Numbers:
    """The numbers of a range, as they stand in names."""

    def __init__(self, first: str, last: str, step: str | None) -> None:
        is_padded = any(len(end.lstrip("-")) > 1 and end.lstrip("-").startswith("0") for end in (first, last))
        self._width = max(len(first), len(last)) if is_padded else 0
        start, end, size = int(first), int(last), int(step or 1) or 1
        self._range = range(start, end + 1, size) if start <= end else range(start, end - 1, -size)

    def __iter__(self) -> Iterator[str]:
        return (f"{number:0{self._width}d}" for number in self._range)

    def __len__(self) -> int:
        return len(self._range)


def _list_choices(inside: str) -> Sequence[str] | _Numbers:
    """List what the text in a pair of braces may be; alone it is the text itself, braces and all."""
    if match := _RANGE.fullmatch(inside):
        return _Numbers(match[1], match[2], match[3])
    return inside.split(",") if "," in inside else [f"{{{inside}}}"]
