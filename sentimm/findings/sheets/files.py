"""The files of a sheet: their names, writing them, and keeping those that hold somebody's work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sentimm.errors import SentimmError, UsageError
from sentimm.findings.designs import SUFFIX
from sentimm.findings.options import SheetFormat
from sentimm.findings.sheets.labels import read_sheet
from sentimm.findings.sheets.rows import SheetRow
from sentimm.findings.sheets.spreadsheets import write_csv, write_excel
from sentimm.findings.sheets.tools import write_doccano, write_label_studio, write_prodigy


def name_design(sheet: Path) -> Path:
    """Return the path of the design file of a sheet: beside it."""
    stem = sheet.stem if sheet.suffix else sheet.name
    return sheet.with_name(stem + SUFFIX)


def name_sheets(sheet: Path, annotators: Sequence[str]) -> list[Path]:
    """Return the path of each annotator's sheet: `posts.anna.csv`; without annotators the sheet's own."""
    if not annotators:
        return [sheet]
    stem = sheet.stem if sheet.suffix else sheet.name
    return [sheet.with_name(f"{stem}.{name}{sheet.suffix}") for name in annotators]


def check_replaceable(path: Path) -> None:
    """Check that a sheet may be written: nothing is there, or a sheet without labels.

    Raises:
        UsageError: somebody's work is there.
    """
    if not path.exists():
        return
    if path.is_dir():
        if any(entry.suffix == ".json" and entry.name != "tasks.json" for entry in path.iterdir()):
            raise UsageError(f"{path} holds files that sentimm did not write: name another folder with -o.")
        return
    try:
        judgements = read_sheet(path)
    except SentimmError:
        raise UsageError(f"{path} exists and is not a sheet: name another one with -o.") from None
    labelled = sum(each.label is not None for each in judgements)
    if labelled:
        raise UsageError(f"{path} holds {labelled:,} labels, and is not replaced: name another sheet with -o.")


def write_sheet(
    path: Path, rows: Sequence[SheetRow], labels: Sequence[str], sheet_format: SheetFormat, design: Path
) -> None:
    """Write a sheet.

    Raises:
        MissingExtraError: a package for its format is not installed.
        OutputError: it can't be written.
    """
    if sheet_format == "csv":
        write_csv(path, rows)
    elif sheet_format == "excel":
        write_excel(path, rows, labels)
    elif sheet_format == "label-studio":
        write_label_studio(path, rows, labels, design)
    elif sheet_format == "doccano":
        write_doccano(path, rows)
    else:
        write_prodigy(path, rows, labels)
