"""NaN in JSON, which is none: Python writes it for what is not there, and strict parsers stop at it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# A string, to its end or to that of the block; NaN; a word that the next block may go on with.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:(")|\\?\Z)|(\bNaN\b)|\w+\Z', re.DOTALL)


def replace_nan(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the blocks of a JSON file with null in the place of each NaN that is not in a string."""
    rest = b""
    for block in blocks:
        data, rest, end = rest + block, b"", 0
        pieces: list[bytes] = []
        for token in _TOKEN.finditer(data):
            if token.end() == len(data) and token[1] is None:
                pieces, rest, end = [*pieces, data[end : token.start()]], token[0], len(data)
            elif token[2] is not None:
                pieces += [data[end : token.start()], b"null"]
                end = token.end()
        yield b"".join([*pieces, data[end:]])
    yield rest
