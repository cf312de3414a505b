"""Whether a file is a labelling sheet, for commands that read other tables too."""

from __future__ import annotations

from pathlib import Path

from sentimm.errors import ColumnError, SentimmError
from sentimm.findings.sheets.labels import find_design, read_sheet

_TEXT = frozenset((".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson"))
_EXCEL = frozenset((".xlsx", ".xlsm", ".xls", ".ods"))
_HEAD_BYTES = 1 << 16


def is_sheet(name: str) -> bool:
    """Check whether a name is that of a file which `sentimm sample` wrote, or a labelling tool exported of one.

    Only a file that lies beside a design or mentions a `sheet_id` is read: a corpus is not.
    """
    path = Path(name)
    suffix = path.suffix.lower()
    if suffix not in _TEXT | _EXCEL or not _is_file(path):
        return False
    if suffix in _TEXT and not _mentions_id(path) and not (suffix.startswith(".j") and find_design([path]).exists()):
        return False
    try:
        return bool(read_sheet(path))
    except ColumnError:
        return False
    except SentimmError:
        # What is wrong with a workbook beside a design is told as for any sheet.
        return suffix in _EXCEL and find_design([path]).exists()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _mentions_id(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False  # whoever reads it as a table says why it can't be read
    return b"sheet_id" in head.replace(b"\0", b"").replace(b" ", b"_").lower()
