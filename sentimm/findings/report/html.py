"""Pieces of HTML that are safe whatever people have written into posts, columns and file names."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence

_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_JOINERS = frozenset("\u200d\u200c")  # which emoji and some scripts are made with
_USER = re.compile(r"(?<![\w/])@\w+")
_LINK = re.compile(r"(?i)\b(?:https?://|www\.)\S+|\b\S+@\S+\.\w+")


def escape(text: object) -> str:
    """Return text for an element or a quoted attribute: one line, without control and direction characters."""
    cleaned = "".join(
        " " if character in "\n\r\t" else character
        for character in str(text)
        if character in "\n\r\t" or character in _JOINERS or unicodedata.category(character) not in _UNSAFE
    )
    return html.escape(cleaned, quote=True)


def mask(text: str) -> str:
    """Return a text without what names people: @names, links and mail addresses."""
    return _USER.sub("@user", _LINK.sub("[link]", text))


def write_text(text: str, most: int = 600) -> str:
    """Return a post's text as an element that keeps its own direction of writing."""
    shown = mask(text)
    return f'<bdi dir="auto">{escape(shown[:most])}{"…" if len(shown) > most else ""}</bdi>'


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """Return a table; it scrolls where the page is narrow."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
