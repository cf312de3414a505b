"""The labels of a table's posts as numbers, in the spellings that data sets use."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.corpus.label_guess import guess_labels
from sentimm.corpus.wording import list_names, shorten_name
from sentimm.errors import ColumnError, UsageError
from sentimm.options import SENTIMENTS

NO_LABEL = -1  # a post whose cell is empty

# The columns of labels: of a post, of its text alone, of its image alone. The first one may have another name.
LABEL_COLUMNS = LABEL, TEXT_LABEL, IMAGE_LABEL = "label", "text_label", "image_label"

_SHORT = dict(zip(("neg", "neu", "pos"), SENTIMENTS, strict=True))
_SIGNED = dict(zip((-1, 0, 1), SENTIMENTS, strict=True))
_FRACTION = r"^([+-]?\d+)\.0*$"  # a column of whole numbers with empty cells is often one of floats
_SHOWN_VALUES = 5
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


def read_labels(
    columns: Iterable[pl.Series], labels: Sequence[str], table: str, pairs: Sequence[str] = ()
) -> dict[str, npt.NDArray[np.int64]]:
    """Number the labels in whole columns of one table: int64 (posts,) each, NO_LABEL where a cell is empty.

    A cell holds a label's name in any case, or its place among `labels`, from 0. Where `labels` has negative, neutral
    or positive, so do neg, neu and pos; where it has these three and no other, so do -1, 0 and 1 in a table with a -1.
    Where a label's name is a whole number, numbers are names and never places. Where there are `pairs`, a cell holds a
    label's name or a value that one of them names.

    Args:
        columns: strings, numbers or booleans. What their numbers mean is decided for all columns together.
        labels: in the order of the numbers.
        table: its name, for errors.
        pairs: what other values stand for, each as VALUE=LABEL.

    Raises:
        ColumnError: a cell is none of these; or numbers are only 0 and 1, which for the three sentiments may be the
            beginning of 0, 1, 2 or the end of -1, 0, 1, or two classes.
        UsageError: two pairs give one value different labels.
    """
    given = {column.name: column for column in columns}
    cells = {name: _read_cells(column, table) for name, column in given.items()}
    numbers = {label.lower(): number for number, label in enumerate(labels)}
    for short, name in _SHORT.items():
        if name in numbers:
            numbers.setdefault(short, numbers[name])
    distinct = {cell for values in cells.values() for cell in values.unique().drop_nulls()}
    if pairs:
        numbers |= _read_pairs(pairs, numbers)
    else:
        numbers |= _choose_numbering(
            {cell for cell in distinct - set(numbers) if _WHOLE.fullmatch(cell)}, labels, table
        )
    result = {}
    for name, values in cells.items():
        found = values.replace_strict(numbers, default=None, return_dtype=pl.Int64)
        unknown = (found.is_null() & values.is_not_null()).arg_true()
        if len(unknown) and pairs:
            raise _explain_unnamed(given[name].gather(unknown), table)
        if len(unknown):
            # Where one number is strange, none has a meaning: name the one.
            places = [str(place) for place in range(len(labels))]
            row = next((row for row in unknown if values[row] not in places), unknown[0])
            raise _explain_unknown(row, given[name], labels, table)
        result[name] = found.fill_null(NO_LABEL).to_numpy()
    return result


def note_absent_labels(numbers: npt.NDArray[np.int64], labels: Sequence[str], posts: str) -> tuple[str, ...]:
    """Return a note about the `labels` that none of the `posts` has; none where each is there.

    Args:
        numbers: the labels of the posts, int64 (posts,), or NO_LABEL.
        labels: in the order of the numbers.
        posts: what to call one of them: `post to train on`.
    """
    counts = np.bincount(numbers[numbers >= 0], minlength=len(labels))
    absent = [repr(label) for label, count in zip(labels, counts, strict=True) if not count]
    if not absent:
        return ()
    which = f"the label {absent[0]}" if len(absent) == 1 else f"one of the labels {', '.join(absent)}"
    return (f"No {posts} has {which}.",)


def describe_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """Return the label that each value of --labels stands for, as they were written."""
    sides = [pair.rpartition("=") for pair in pairs]
    return {value.strip(): label.strip() for value, _, label in sides}


def _read_pairs(pairs: Sequence[str], names: Mapping[str, int]) -> dict[str, int]:
    """Return the number of the label that each value of --labels stands for; `names` has those of the labels.

    Raises:
        UsageError: two pairs give one value different labels.
    """
    sides = [pair.rpartition("=") for pair in pairs]
    values = _simplify_cells(pl.Series([value for value, _, _ in sides], dtype=pl.String)).to_list()
    found: dict[str, int] = {}
    for value, (_, _, label) in zip(values, sides, strict=True):
        number = names[label.strip().lower()]
        if found.setdefault(value, number) != number:
            raise UsageError(f"--labels gives {value!r} two labels: name it once.")
    return found


def _explain_unnamed(cells: pl.Series, table: str) -> ColumnError:
    """Return the error for cells whose values the pairs of --labels do not name."""
    values = cells.cast(pl.String).str.strip_chars().str.replace(_FRACTION, "$1")
    counts = values.alias("value").value_counts().sort("count", "value", descending=[True, False])
    listed = [
        f"{shorten_name(value)!r} ({'1 post' if count == 1 else f'{count:,} posts'})"
        for value, count in counts.head(_SHOWN_VALUES).iter_rows()
    ]
    more = [f"{len(counts) - _SHOWN_VALUES} more"] if len(counts) > _SHOWN_VALUES else []
    return ColumnError(
        f"{table} has labels in the column {cells.name!r} that --labels does not name: {', '.join(listed + more)}. "
        "Add to --labels what they stand for, as VALUE=LABEL."
    )


def _explain_unknown(row: int, column: pl.Series, labels: Sequence[str], table: str) -> ColumnError:
    """Return the error for the cell of a column in this row, which is no label."""
    cell = shorten_name(str(column[row]))
    given = column.fill_nan(None) if column.dtype.is_float() else column
    values = given.cast(pl.String).str.strip_chars().str.replace(_FRACTION, "$1")
    guess = guess_labels(values.filter(values != "").unique().to_list())
    is_offered = guess and set(guess.values()) <= {label.lower() for label in labels}
    pairs = shlex.quote(",".join(f"{value}={label}" for value, label in guess.items()))
    say = f", such as --labels {pairs}" if is_offered else " with --labels"
    return ColumnError(
        f"{table}, row {row} (from 0): {cell!r} in column {column.name!r} is not one of the labels "
        f"{', '.join(labels)}: name the table's labels{say}."
    )


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
    cells = _simplify_cells(values.cast(pl.String))
    return cells.set(cells == "", None)


def _simplify_cells(cells: pl.Series) -> pl.Series:
    return cells.str.strip_chars().str.to_lowercase().str.replace(_FRACTION, "$1")


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
