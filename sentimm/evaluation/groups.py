"""Posts by the values of a column, for figures of each value."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.corpus.wording import list_names
from sentimm.errors import ColumnError
from sentimm.metrics.report import Report

NO_VALUE = "(none)"  # of posts whose cell is empty
_MOST_VALUES = 500

Values = npt.NDArray[np.object_]


def check_column(table: str, schema: Collection[str], by: str | None) -> None:
    """Check that a table has the column of --by.

    Raises:
        ColumnError: it has not.
    """
    if by is not None and by not in schema:
        raise ColumnError(
            f"{table} has no column {by!r} (its columns: {list_names(list(schema))}): name one with --by."
        )


def check_values(frame: pl.DataFrame, by: str) -> None:
    """Check that the values of a column are groups of posts.

    Raises:
        ColumnError: there are too many, or see `read_values`.
    """
    count = len(set(read_values(frame, by)))
    if count > _MOST_VALUES:
        raise ColumnError(
            f"The column {by!r} has {count:,} values, and --by takes at most {_MOST_VALUES}: name another column."
        )


def read_values(frame: pl.DataFrame, by: str | None) -> Values:
    """Return the value of each post as a string, object (posts,); an empty array where no column is asked for.

    Raises:
        ColumnError: the column holds lists or objects.
    """
    if by is None:
        return np.empty(0, dtype=np.object_)
    if frame[by].dtype.is_nested():
        raise ColumnError(f"The column {by!r} holds lists or objects, and --by needs one value a post: name another.")
    return frame[by].cast(pl.String).fill_null(NO_VALUE).to_numpy().astype(np.object_)


def measure_values(
    values: Values, counted: npt.NDArray[np.bool_], by: str | None, measure: Callable[[Any], Report]
) -> dict[str, Report]:
    """Return a report for each value, the one of most posts first; of posts that are not `counted`, none."""
    if by is None:
        return {}
    names, sizes = np.unique(values[counted].astype(str), return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    return {str(name): measure(counted & (values == name)) for name in names[order]}
