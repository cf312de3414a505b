"""The files of a sheet: their names, writing them, and keeping those that hold somebody's work."""

from __future__ import annotations

from collections.abc import Sequence
from glob import escape
from pathlib import Path

from sentimm.errors import SentimmError, UsageError
from sentimm.findings.designs import SUFFIX
from sentimm.findings.options import SHEET_FORMATS, SheetFormat
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


def check_replaceable(sheets: Sequence[Path], design: Path) -> None:
    """Check that sheets and their design may be written: no sheet there, of whatever format, holds labels.

    Raises:
        UsageError: somebody's work is there.
    """
    for path in sheets:
        if path.is_dir() and any(entry.suffix == ".json" and entry.name != "tasks.json" for entry in path.iterdir()):
            raise UsageError(f"{path} holds files that sentimm did not write: name another folder with -o.")
        if path.is_file() and _count_labels(path) is None:
            raise UsageError(f"{path} exists and is not a sheet: name another one with -o.")
    others = sorted(design.parent.glob(f"{escape(design.name.removesuffix(SUFFIX))}.*")) if design.exists() else []
    for path in dict.fromkeys([*sheets, *others]):
        if path.is_file() and path.suffix.lower() in SHEET_FORMATS and (labelled := _count_labels(path)):
            raise UsageError(
                f"{path} holds {labelled:,} labels, so neither it nor {design.name} is replaced: name another sheet "
                "with -o."
            )


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


def _count_labels(path: Path) -> int | None:
    """Count the labels of a sheet; None: it is none."""
    try:
        return sum(each.label is not None for each in read_sheet(path))
    except SentimmError:
        return None
