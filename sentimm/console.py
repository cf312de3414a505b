"""What a person sees: the only module that imports rich."""

from __future__ import annotations

import logging
import unicodedata

from rich.console import Console
from rich.text import Text


def printable(text: str) -> str:
    """Make `text` harmless to print: control and direction characters, which could rewrite a terminal, become `�`."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_control(character) else character for character in text)


def _is_control(character: str) -> bool:
    if character == "\n":
        return False
    return unicodedata.category(character) in ("Cc", "Cs") or character in _DIRECTION_MARKS


_DIRECTION_MARKS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


class _ConsoleLogHandler(logging.Handler):
    """Prints log records on stderr, above a progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        line = Text(printable(self.format(record)), style="dim")
        Console(stderr=True, highlight=False).print(line, soft_wrap=True)


def make_log_handler() -> logging.Handler:
    """Make the log handler of `--verbose`."""
    handler = _ConsoleLogHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    return handler
