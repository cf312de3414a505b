"""Excel workbooks (.xlsx): the first sheet with posts, as blocks with the types that its cells have."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from sentimm.corpus.tables.base import Block, find_repeated
from sentimm.corpus.tables.dialects.header_names import name_by_place
from sentimm.corpus.tables.typed import TypedTable
from sentimm.corpus.tables.workbooks.sheets import Sheet, find_sheet
from sentimm.corpus.wording import list_names, shorten_name
from sentimm.errors import MissingExtraError, TableError
from sentimm.storage import read_bytes

_MOST_DIGITS = 10**15  # Excel keeps 15 digits of a number


class ExcelTable(TypedTable):
    """A sheet of an Excel workbook, which is read whole.

    Numbers without a fraction are integers; a column of several types is one of strings.

    Raises:
        MissingExtraError: fastexcel is not installed.
        TableError: the file can't be read, holds no posts, or two columns have one name.
    """

    format = "excel"

    def __init__(self, path: Path, no_header: bool = False) -> None:
        workbook = _open_workbook(path)
        try:
            sheet = find_sheet(workbook, not no_header)
            if sheet is None:
                raise TableError(f"{path} is empty: expected a sheet with names of columns and posts below them.")
            frame = _load_posts(path, workbook, sheet)
        except TableError:
            raise
        except Exception as error:  # fastexcel's errors share no class
            raise _explain(path, error) from error
        self._table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        super().__init__(path, self._table.schema)
        self._sheet_notes = tuple(_write_notes(path, sheet, workbook.sheet_names, frame))

    @property
    def notes(self) -> tuple[str, ...]:
        """How the workbook is read, in sentences."""
        return (*self._sheet_notes, *super().notes)

    def read_blocks(self, columns: Sequence[str] | None, start: int = 0) -> Iterator[Block]:
        """Yield the rows from `start` on (see `Table`)."""
        columns = self.columns if columns is None else columns
        self.check_readable(columns)
        for batch in self._table.slice(start).to_batches():
            yield from self._make_blocks(batch, columns, 0)


def _open_workbook(path: Path) -> Any:
    try:
        import fastexcel
    except ImportError as error:
        raise MissingExtraError(
            f"{path} is an Excel workbook, which is read with an extra: pip install 'sentimm[excel]'."
        ) from error
    logging.getLogger("fastexcel").setLevel(logging.ERROR)  # it warns of columns without a value
    try:
        return fastexcel.read_excel(read_bytes(path))
    except OSError as error:
        raise TableError(f"{path} can't be read: {error.strerror or error}.") from error
    except Exception as error:  # fastexcel's errors share no class
        raise _explain(path, error) from error


def _explain(path: Path, error: Exception) -> TableError:
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return TableError(f"{path} can't be read as an Excel workbook: {reason}.")


def _load_posts(path: Path, workbook: Any, sheet: Sheet) -> pl.DataFrame:
    """Load the posts of a sheet, without columns and last rows that hold nothing."""
    loaded = workbook.load_sheet(sheet.name, header_row=None, skip_rows=sheet.start, schema_sample_rows=None)
    frame = loaded.to_polars()
    names = name_by_place(sheet.header)
    columns = [
        _simplify(series).alias(name)
        for series, name, given in zip(frame, names, sheet.header, strict=True)
        if given or series.null_count() < len(series)
    ]
    if (twice := find_repeated([series.name for series in columns])) is not None:
        raise TableError(
            f"{path} has more than one column named {shorten_name(twice)!r}: rename one of them, or add --no-header if "
            "its first line is a post."
        )
    posts = pl.DataFrame(columns)
    filled = posts.select(pl.any_horizontal(pl.all().is_not_null())).to_series().to_numpy().nonzero()[0]
    return posts.head(int(filled[-1]) + 1 if len(filled) else 0)


def _simplify(values: pl.Series) -> pl.Series:
    """Make integers of numbers without a fraction, and strings of what has no type or is a span of time."""
    if values.dtype == pl.Float64 and ((values % 1 == 0) & (values.abs() < 2**63)).all():
        return values.cast(pl.Int64)
    return values.cast(pl.String) if values.dtype in (pl.Null, pl.Duration) else values


def _write_notes(path: Path, sheet: Sheet, names: Sequence[str], posts: pl.DataFrame) -> Iterator[str]:
    if len(names) > 1:
        yield f"{path} has {len(names)} sheets: {sheet.name!r} is read, the first one with posts."
    if sheet.above:
        rows = "1 row" if sheet.above == 1 else f"{sheet.above} rows"
        yield f"{path} has {rows} above its header, which are left out."
    numbers = [series for series in posts if series.dtype.is_numeric()]
    if rounded := [series.name for series in numbers if (series.abs() >= _MOST_DIGITS).any()]:
        yield (
            f"Excel rounded numbers of more than 15 digits in {path}: if the column {list_names(rounded)} holds ids, "
            "export the table again with them as text."
        )
