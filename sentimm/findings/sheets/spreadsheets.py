"""Sheets as CSV and Excel workbooks, written so that a spreadsheet runs nothing, and read whatever it made of them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sentimm.errors import ColumnError, MissingExtraError, TableError
from sentimm.findings.sheets.rows import Judgement, SheetRow, make_thumbnail
from sentimm.storage.atomic import commit_file

if TYPE_CHECKING:
    import polars as pl
    import xlsxwriter

COLUMNS = ("sheet_id", "text", "image", "label", "unsure", "comment")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet takes a cell for a formula
_ROW_PIXELS, _IMAGE_PIXELS = 130, 125
_LARGEST_CELL = 10**8  # characters of a CSV
_MOST_CHARS = 32_000  # of an Excel cell


def write_csv(path: Path, rows: Sequence[SheetRow]) -> None:
    """Write a sheet as CSV in UTF-8, with the mark by which Excel knows that.

    Raises:
        OutputError: it can't be written.
    """
    with commit_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow([row.sheet_id, _disarm(row.text or ""), _disarm(_name_image(row)), "", "", ""])


def write_excel(path: Path, rows: Sequence[SheetRow], labels: Sequence[str]) -> None:
    """Write a sheet as an Excel workbook: texts as text, a list of labels to choose from, pictures in their cells.

    Raises:
        MissingExtraError: xlsxwriter is not installed.
        OutputError: it can't be written.
    """
    with _open_workbook(path) as book:
        sheet = book.add_worksheet("posts")
        header = book.add_format({"bold": True, "bottom": 1})
        body = book.add_format({"text_wrap": True, "valign": "top", "num_format": "@"})
        for column, name in enumerate(COLUMNS):
            sheet.write_string(0, column, name, header)
        sheet.freeze_panes(1, 1)
        for column, width in enumerate((10, 70, 24, 12, 8, 30)):
            sheet.set_column(column, column, width, body)
        for number, row in enumerate(rows, 1):
            sheet.write_string(number, 0, row.sheet_id, body)
            sheet.write_string(number, 1, (row.text or "")[:_MOST_CHARS], body)
            picture = None if row.image is None else make_thumbnail(row.image, _IMAGE_PIXELS)
            if picture is not None:
                sheet.set_row_pixels(number, _ROW_PIXELS)
                sheet.insert_image(
                    number,
                    2,
                    f"{row.sheet_id}.jpg",
                    {"image_data": io.BytesIO(picture), "object_position": 2, "x_offset": 2, "y_offset": 2},
                )
        last = max(1, len(rows))
        sheet.data_validation(
            1, 3, last, 3, {"validate": "list", "source": list(labels), "error_message": "Choose a label."}
        )
        sheet.data_validation(1, 4, last, 4, {"validate": "list", "source": ["x"]})


def write_workbook(path: Path, tables: Mapping[str, pl.DataFrame]) -> None:
    """Write tables as the sheets of an Excel workbook.

    Raises:
        MissingExtraError: xlsxwriter is not installed.
        OutputError: it can't be written.
    """
    with _open_workbook(path) as book:
        for name, table in tables.items():
            table.write_excel(book, name, autofit=True)


def disarm_cells(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table for a CSV file, of which a spreadsheet takes no text for a formula; numbers stay as they are."""
    import polars as pl

    text = pl.col(pl.String)
    is_formula = text.str.contains(r"^[=+\-@\t\r]") & text.cast(pl.Float64, strict=False).is_null()
    return table.with_columns(pl.when(is_formula).then("'" + text).otherwise(text).name.keep())


def read_csv(path: Path) -> list[Judgement]:
    """Read the labels of a CSV, as a spreadsheet saved it: separated by , ; or tabs, in UTF-8, UTF-16 or cp1252.

    Raises:
        ColumnError: there is no `sheet_id` or no `label`.
        TableError: it can't be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TableError(f"{path} can't be read: {error.strerror or error}.") from error
    text = _decode(content)
    first, rest = _split_line(text)
    if first.lower().startswith("sep="):
        text, first = rest, _split_line(rest)[0]
    delimiter = max(",;\t", key=first.count)
    limit = csv.field_size_limit(_LARGEST_CELL)  # of the whole process, where others rely on theirs
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise TableError(f"{path} can't be read as CSV: {error}.") from error
    finally:
        csv.field_size_limit(limit)
    return read_rows(rows, list(rows[0]) if rows else first.split(delimiter), path)


def read_excel(path: Path) -> list[Judgement]:
    """Read the labels of an Excel workbook's first sheet.

    Raises:
        MissingExtraError: fastexcel is not installed.
        ColumnError: there is no `sheet_id` or no `label`.
        TableError: it can't be read.
    """
    try:
        import fastexcel
    except ImportError as error:
        raise _needs_excel("read") from error
    try:
        frame = fastexcel.read_excel(str(path)).load_sheet(0, dtypes="string").to_polars()
    except Exception as error:  # fastexcel's errors share no class
        raise TableError(f"{path} can't be read as an Excel workbook: {str(error).splitlines()[0]}.") from error
    return read_rows(frame.to_dicts(), frame.columns, path)


def read_rows(rows: Sequence[Mapping[str, object]], columns: Sequence[str], path: Path) -> list[Judgement]:
    """Read the labels of a table's rows; those without a `sheet_id` are left out.

    Raises:
        ColumnError: there is no `sheet_id` or no `label`.
    """
    names = {str(name).strip().lower().replace(" ", "_"): name for name in columns if name is not None}
    if "id" in names:  # of the posts themselves, where somebody drew them without `sample`
        names.setdefault("sheet_id", names["id"])
    for needed in ("sheet_id", "label"):
        if needed not in names:
            raise ColumnError(
                f"{path} has no column {needed!r}, but {', '.join(map(str, columns)) or 'none'}: give the sheet that "
                "`sentimm sample` wrote, with its columns."
            )

    def read(row: Mapping[str, object], name: str) -> str:
        value = row.get(names[name]) if name in names else None
        return "" if value is None else str(value).strip()

    found = []
    for row in rows:
        sheet_id = read(row, "sheet_id").lstrip("'")
        if sheet_id:
            label = read(row, "label").lstrip("'")
            annotator = read(row, "annotator")
            unsure = read(row, "unsure").lower() not in ("", "0", "no", "false", "nein", "non")
            found.append(Judgement(sheet_id, label or None, annotator or None, unsure, read(row, "comment")))
    return found


@contextmanager
def _open_workbook(path: Path) -> Iterator[xlsxwriter.Workbook]:
    """Yield a workbook that takes no text for a formula, a link or a number; it is written at the end."""
    try:
        import xlsxwriter
    except ImportError as error:
        raise _needs_excel("written") from error
    settings = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with commit_file(path) as temporary, xlsxwriter.Workbook(str(temporary), settings) as book:
        yield book


def _disarm(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _name_image(row: SheetRow) -> str:
    if row.image is None:
        return ""
    return f"{row.sheet_id}.jpg" if isinstance(row.image, bytes) else str(row.image)


def _split_line(text: str) -> tuple[str, str]:
    """Return the first line, which may end as on an old Mac, and the rest."""
    first, _, rest = re.sub(r"\r\n?", "\n", text, count=1).partition("\n")
    return first, rest


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _needs_excel(done: str) -> MissingExtraError:
    return MissingExtraError(f"Excel workbooks are {done} with an extra: pip install 'sentimm[excel]'.")
