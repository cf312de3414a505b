"""What all output shares: consoles, logs, lines that are safe to print, tables, bars, and quantities in words."""

from __future__ import annotations

import json
import logging
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

BAR_WIDTH = 30  # cells
_FILE_WIDTH = 200  # cells of a line that no terminal shows
# Control and format characters (directions, zero width), halves of pairs (names that are no UTF-8), line separators.
_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def printable(text: str) -> str:
    """Return `text` as one line that is safe to print: what could rewrite a terminal, or is invisible, becomes `�`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_unsafe(character) else character for character in text)


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in _UNSAFE


class _LineFormatter(logging.Formatter):
    """Writes a record as one line, and below it the trace of an error, indented: no name can forge a record."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 (logging's name)
        return "\n".join(f"  {printable(line)}" for line in super().formatException(ei).splitlines())


class _ConsoleLogHandler(logging.Handler):
    """Prints log records on stderr, above a progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def make_log_handler() -> logging.Handler:
    """Make the log handler of `--verbose`."""
    handler = _ConsoleLogHandler()
    handler.setFormatter(_LineFormatter("%(name)s: %(message)s"))
    return handler


def make_file_log_handler(path: Path) -> logging.Handler:
    """Make the log handler of `--log-file`.

    Raises:
        OSError: the file can't be written.
    """
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_LineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def print_json(fields: Mapping[str, Any]) -> None:
    """Print one JSON object as one line on stdout."""
    written = json.dumps(fields, ensure_ascii=not _is_utf8(sys.stdout))
    print("".join(_escape(character) if _is_unsafe(character) else character for character in written))


def _escape(character: str) -> str:
    """Write a character as JSON does in a string."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[first : first + 4]}" for first in range(0, len(units), 4))


def _is_utf8(stream: Any) -> bool:
    return "utf" in (getattr(stream, "encoding", None) or "").lower()


def make_console(file: Any) -> Console:
    """Make a console that prints text on `file` unchanged."""
    return Console(file=file, highlight=False, markup=False, emoji=False)


def print_block(console: Console, block: RenderableType) -> None:
    """Print columns without the spaces that rich fills lines up with; a file gets them at full width."""
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _FILE_WIDTH
    with console.capture() as capture:
        console.print(block)
    console.file.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def make_line(text: str, style: str = "") -> Text:
    """Make a line safe to print."""
    return Text(printable(text), style=style)


def make_lines(sentences: Iterable[str], style: str = "") -> list[Text]:
    """Make a line of each sentence."""
    return [make_line(sentence, style) for sentence in sentences]


def make_table(*columns: str) -> Table:
    """Make a table without lines: the first column to the left, figures to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(make_line(name), justify="right" if number else "left", no_wrap=True)
    return table


def draw_bar(share: float, color: str) -> Sequence[tuple[str, str]]:
    """Draw a bar of BAR_WIDTH cells in eighths of a cell, where the terminal can show them."""
    if _is_utf8(sys.stdout):
        eighths = round(share * BAR_WIDTH * 8)
        full = "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]
    else:
        full = "#" * round(share * BAR_WIDTH)
    return [(full, color), (" " * (BAR_WIDTH - len(full)), "")]


def count_posts(number: int) -> str:
    """Return a number of posts in words: `1 post`."""
    return f"{number:,} post{'' if number == 1 else 's'}"


def describe_rate(posts_per_second: float) -> str:
    """Return a rate in words: `1,234 posts/s`."""
    digits = 0 if posts_per_second >= 10 else 1
    return f"{posts_per_second:,.{digits}f} posts/s"


def describe_duration(seconds: float) -> str:
    """Return a duration in words: `3.2 s`, `12 min`, `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = int(seconds + 30) // 60
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
