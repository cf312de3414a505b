"""What all that is printed has in common: streams, lines safe to print, bars, and quantities in words."""

from __future__ import annotations

import json
import logging
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

BAR_WIDTH = 30  # cells
_DIRECTION_MARKS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


def printable(text: str) -> str:
    """Make `text` harmless to print: control and direction characters, which could rewrite a terminal, become `�`."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_control(character) else character for character in text)


def _is_control(character: str) -> bool:
    if character == "\n":
        return False
    return unicodedata.category(character) in ("Cc", "Cs") or character in _DIRECTION_MARKS


class _ConsoleLogHandler(logging.Handler):
    """Prints log records on stderr, above a progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        print(printable(self.format(record)), file=sys.stderr)


def make_log_handler() -> logging.Handler:
    """Make the log handler of `--verbose`."""
    handler = _ConsoleLogHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    return handler


def print_json(value: object) -> None:
    """Print a dataclass, or what JSON knows, as one JSON object on stdout."""
    content = value if isinstance(value, dict) else asdict(value)  # type: ignore[call-overload]
    print(json.dumps(content, ensure_ascii=False, default=str))


def make_console(file: Any) -> Console:
    """Make a console that prints text as it is on `file`."""
    return Console(file=file, highlight=False, markup=False, emoji=False)


def print_block(console: Console, block: RenderableType) -> None:
    """Print what is drawn in columns, without the spaces that rich fills lines up with."""
    with console.capture() as capture:
        console.print(block)
    console.file.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def make_line(text: str, style: str = "") -> Text:
    """Make a line safe to print."""
    return Text(printable(text), style=style)


def make_lines(sentences: Iterable[str], style: str = "") -> list[Text]:
    """Make a line of each sentence."""
    return [make_line(sentence, style) for sentence in sentences]


def draw_bar(share: float, color: str) -> Sequence[tuple[str, str]]:
    """Draw a bar of BAR_WIDTH cells in eighths of a cell, where the terminal can show them."""
    if "utf" in (getattr(sys.stdout, "encoding", None) or "").lower():
        eighths = round(share * BAR_WIDTH * 8)
        full = "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]
    else:
        full = "#" * round(share * BAR_WIDTH)
    return [(full, color), (" " * (BAR_WIDTH - len(full)), "")]


def count_posts(number: int) -> str:
    """Say how many posts: `1 post`."""
    return f"{number:,} post{'' if number == 1 else 's'}"


def describe_rate(posts_per_second: float) -> str:
    """Say how fast: `1,234 posts/s`."""
    digits = 0 if posts_per_second >= 10 else 1
    return f"{posts_per_second:,.{digits}f} posts/s"


def describe_duration(seconds: float) -> str:
    """Say how long: `3.2 s`, `12 min`, `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = int(seconds + 30) // 60
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
