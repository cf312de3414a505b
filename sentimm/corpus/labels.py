"""The labels of a table's posts as numbers, in the spellings that data sets use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.corpus.wording import list_names, shorten_name
from sentimm.errors import ColumnError
from sentimm.options import SENTIMENTS

NO_LABEL = -1  # a post whose cell is empty

# The columns of labels: of a post, of its text alone, of its image alone. The first one may have another name.
LABEL_COLUMNS = LABEL, TEXT_LABEL, IMAGE_LABEL = "label", "text_label", "image_label"

_SHORT = dict(zip(("neg", "neu", "pos"), SENTIMENTS, strict=True))
_SIGNED = dict(zip((-1, 0, 1), SENTIMENTS, strict=True))
_FRACTION = r"^([+-]?\d+)\.0*$"  # a column of whole numbers with empty cells is often one of floats
_WHOLE = re.compile(r"[+-]?\d+")


def find_label_columns(table: str, columns: Sequence[str], label_column: str) -> dict[str, str]:
    """Find the columns of labels in a table: their names, by those of LABEL_COLUMNS.

    Raises:
        ColumnError: the table has no `label_column`.
    """
    if label_column not in columns:
        raise ColumnError(
            f"{table} has no column {label_column!r} (its columns: {list_names(columns)}): name the column of labels "
            "with --label-column."
        )
    return {LABEL: label_column} | {name: name for name in (TEXT_LABEL, IMAGE_LABEL) if name in columns}


def read_labels(columns: Iterable[pl.Series], labels: Sequence[str], table: str) -> dict[str, npt.NDArray[np.int64]]:
    """Number the labels in whole columns of one table: int64 (posts,) each, NO_LABEL where a cell is empty.

    A cell holds a label's name in any case, or its place among `labels`, from 0. Where `labels` has negative, neutral
    or positive, so do neg, neu and pos; where it has these three and no other, so do -1, 0 and 1 in a table with a -1.
    Where a label's name is a whole number, numbers are names and never places.

    Args:
        columns: strings, numbers or booleans. What their numbers mean is decided for all columns together.
        labels: in the order of the numbers.
        table: its name, for errors.

    Raises:
        ColumnError: a cell is none of these; or numbers are only 0 and 1, which for the three sentiments may be the
            beginning of 0, 1, 2 or the end of -1, 0, 1, or two classes.
    """
    given = {column.name: column for column in columns}
    cells = {name: _read_cells(column, table) for name, column in given.items()}
    numbers = {label.lower(): number for number, label in enumerate(labels)}
    for short, name in _SHORT.items():
        if name in numbers:
            numbers.setdefault(short, numbers[name])
    distinct = {cell for values in cells.values() for cell in values.unique().drop_nulls()}
    numbers |= _choose_numbering({cell for cell in distinct - set(numbers) if _WHOLE.fullmatch(cell)}, labels, table)
    result = {}
    for name, values in cells.items():
        found = values.replace_strict(numbers, default=None, return_dtype=pl.Int64)
        unknown = (found.is_null() & values.is_not_null()).arg_true()
        if len(unknown):
            # Where one number is strange, none has a meaning: name the one.
            places = [str(place) for place in range(len(labels))]
            row = next((row for row in unknown if values[row] not in places), unknown[0])
            cell = shorten_name(str(given[name][row]))
            raise ColumnError(
                f"{table}, row {row} (from 0): {cell!r} in column {name!r} is not one of the labels "
                f"{', '.join(labels)}: name the table's labels with --labels."
            )
        result[name] = found.fill_null(NO_LABEL).to_numpy()
    return result


def _read_cells(values: pl.Series, table: str) -> pl.Series:
    """Return lower-case strings, whole numbers without a fraction; null where a cell is empty.

    Raises:
        ColumnError: the column can't hold labels.
    """
    if values.dtype.is_nested() or values.dtype == pl.Binary:
        raise ColumnError(
            f"{table}: the column {values.name!r} holds {values.dtype}, but a label is one name or number per row."
        )
    if values.dtype.is_float():
        values = values.fill_nan(None)
    cells = values.cast(pl.String).str.strip_chars().str.to_lowercase()
    cells = cells.str.replace(_FRACTION, "$1")
    return cells.set(cells == "", None)


def _choose_numbering(cells: set[str], labels: Sequence[str], table: str) -> dict[str, int]:
    """Decide what numbers that are no label's name stand for; {} where they stand for nothing."""
    values = {cell: int(cell) for cell in cells}
    places = set(values.values())
    if any(_WHOLE.fullmatch(label) for label in labels):
        return {}
    is_three = {label.lower() for label in labels} == set(SENTIMENTS)
    if is_three and places and places <= {0, 1}:
        found = " and ".join(map(str, sorted(places)))
        raise ColumnError(
            f"{table} has labels written as numbers, but only {found}: that may be negative and neutral, neutral and "
            "positive, or negative and positive. Say which with --labels (such as --labels negative,positive: 0 is "
            "the first), or write the labels out."
        )
    if is_three and places and places <= set(_SIGNED):
        order = {label.lower(): number for number, label in enumerate(labels)}
        return {cell: order[_SIGNED[value]] for cell, value in values.items()}
    if places <= set(range(len(labels))):
        return values
    return {}
