"""Types for the columns of text formats: only such as every value survives, on the way there and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import polars as pl

from sentimm.corpus.tables.base import Block
from sentimm.errors import ColumnError, TableError

_TRIAL_ROWS = 64  # tried before a whole block: a column of words is found out at once
_DATE = "%Y-%m-%d"

# In order of preference: "1" is an integer, though as a float it would survive in its way.
_TYPES: tuple[pl.DataType, ...] = (pl.Int64(), pl.Float64(), pl.Boolean(), pl.Date())


class TypeInference:
    """Finds the types of a text format's columns, a block at a time."""

    def __init__(self) -> None:
        self._alive: dict[str, list[pl.DataType]] = {}
        self._kinds: dict[str, set[str]] = {}
        self._valued: set[str] = set()

    def add(self, block: Block) -> None:
        """Take the values of a block's columns into account: empty ones decide nothing."""
        if block.kinds:
            for name, kinds in block.kinds.items():
                self._kinds.setdefault(name, set()).update(kinds)
            return
        for series in block.frame:
            alive = self._alive.setdefault(series.name, list(_TYPES))
            if not alive and series.name in self._valued:
                continue
            values = series.filter(series.is_not_null() & (series != ""))
            if len(values):
                self._valued.add(series.name)
            for dtype in list(alive):
                if not (_survives(values.head(_TRIAL_ROWS), dtype) and _survives(values, dtype)):
                    alive.remove(dtype)

    def find_types(self) -> dict[str, pl.DataType | None]:
        """Return each column's type; None where a column had no values."""
        found: dict[str, pl.DataType | None] = {name: _judge_kinds(kinds) for name, kinds in self._kinds.items()}
        for name, alive in self._alive.items():
            found[name] = None if name not in self._valued else next(iter(alive), pl.String())
        return found


def merge_types(name: str, types: Iterable[tuple[object, pl.DataType | None]]) -> pl.DataType:
    """Find the type of the column `name` that holds what it has in several tables, given as (table, type).

    Raises:
        ColumnError: there is none.
    """
    given = [(table, dtype) for table, dtype in types if dtype is not None]
    # A column that is empty in one table takes the type that it has in another.
    given = [each for each in given if each[1] != pl.Null] or given
    distinct = list(dict.fromkeys(dtype for _, dtype in given))
    if not distinct:
        return pl.String()
    if len(distinct) == 1:
        return distinct[0]
    if all(dtype.is_signed_integer() for dtype in distinct):
        return max(distinct, key=_INTEGERS.index)
    for table, dtype in given:
        if dtype.is_nested() or dtype == pl.Binary:
            other = next(each for each in given if each[1] != dtype)
            raise ColumnError(
                f"The column {name!r} is {dtype} in {table} and {other[1]} in {other[0]}: score them one by one, "
                "or leave it out with --columns."
            )
    return pl.String()


def convert_series(series: pl.Series, dtype: pl.DataType, path: object) -> pl.Series:
    """Convert the values of a column to the type that the survey found.

    Raises:
        TableError: a value does not fit, so the file at `path` changed since the survey.
    """
    if series.dtype == dtype:
        return series
    if series.dtype != pl.String:
        return series.cast(dtype)
    converted = _CONVERSIONS[dtype](series)
    if converted.null_count() > series.null_count() + int((series == "").sum()):
        raise TableError(f"{path} changed while it was read: a value of {series.name!r} is not {dtype}. Start again.")
    return converted


def _survives(values: pl.Series, dtype: pl.DataType) -> bool:
    converted = _CONVERSIONS[dtype](values)
    if converted.null_count():
        return False
    if dtype == pl.Float64 and not converted.is_finite().all():
        return False
    if dtype == pl.Date and values.str.starts_with("0000").any():  # a year that Python's dates do not have
        return False
    return bool((converted.cast(pl.String) == values).all())


def _judge_kinds(kinds: set[str]) -> pl.DataType | None:
    if not kinds:
        return None
    if kinds == {"boolean"}:
        return pl.Boolean()
    if kinds <= {"integer", "wide"}:
        return pl.Int64()
    if kinds <= {"integer", "float"}:
        return pl.Float64()
    return pl.String()


def _to_boolean(values: pl.Series) -> pl.Series:
    return values.replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)


_INTEGERS: list[pl.DataType] = [pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64()]
_CONVERSIONS: Mapping[pl.DataType, Callable[[pl.Series], pl.Series]] = {
    pl.Int64(): lambda values: values.cast(pl.Int64, strict=False),
    pl.Float64(): lambda values: values.cast(pl.Float64, strict=False),
    pl.Boolean(): _to_boolean,
    pl.Date(): lambda values: values.str.to_date(_DATE, strict=False),
}
