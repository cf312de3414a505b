"""Types for the columns of text formats: only such as every value survives, on the way there and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import polars as pl

from sentimm.corpus.tables.base import Block
from sentimm.corpus.text_repairs import find_words
from sentimm.errors import ColumnError, TableError

_TRIAL_ROWS = 64  # tried before a whole block: a column of words is found out at once
_MAX_EXACT = 2**53  # every integer up to it is a float
_JSON_NUMBER = r"^-?\d+(\.\d+)?([eE][+-]?\d+)?$"
_DATE = "%Y-%m-%d"

# In order of preference: "1" is an integer, though as a float it would survive in its way.
_TYPES: tuple[pl.DataType, ...] = (pl.Int64(), pl.Float64(), pl.Boolean(), pl.Date())


class TypeInference:
    """Finds the types of a text format's columns, a block at a time.

    Args:
        finds_wide: look for integers beyond 2**53.
        null_words: values that decide nothing, either.

    Attributes:
        wide: the columns that have such.
    """

    def __init__(self, *, finds_wide: bool = False, null_words: Sequence[str] = ()) -> None:
        self.wide: set[str] = set()
        self._finds_wide = finds_wide
        self._null_words = null_words
        self._alive: dict[str, list[pl.DataType]] = {}
        self._kinds: dict[str, set[str]] = {}
        self._valued: set[str] = set()

    def add(self, block: Block) -> None:
        """Take the values of a block's columns into account: empty ones decide nothing."""
        if block.kinds:
            for name, kinds in block.kinds.items():
                if self._null_words and "string" in kinds and self._are_numbers(block.frame[name], kinds):
                    kinds = kinds - {"string"}
                self._kinds.setdefault(name, set()).update(kinds)
                self.wide |= {name} if "wide" in kinds else set()
            return
        for series in block.frame:
            alive = self._alive.setdefault(series.name, list(_TYPES))
            if not alive and series.name in self._valued:
                continue
            values = self._list_values(series)
            if len(values):
                self._valued.add(series.name)
            for dtype in list(alive):
                if not (_survives(values.head(_TRIAL_ROWS), dtype) and _survives(values, dtype)):
                    alive.remove(dtype)
            if self._finds_wide and len(values) and pl.Int64() in alive:
                numbers = values.cast(pl.Int64)
                self.wide |= {series.name} if not numbers.is_between(-_MAX_EXACT, _MAX_EXACT).all() else set()

    def _list_values(self, series: pl.Series) -> pl.Series:
        values = series.filter(series.is_not_null() & (series != ""))
        return values.filter(~values.is_in(list(self._null_words))) if self._null_words else values

    def _are_numbers(self, series: pl.Series, kinds: frozenset[str]) -> bool:
        """Check whether a block's strings are words for nothing, beside numbers where there are such."""
        values = self._list_values(series)
        return not len(values) or (len(kinds) > 1 and bool(values.str.contains(_JSON_NUMBER).all()))

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


def widen_numbers(types: Iterable[pl.DataType | None], *, is_wide: bool) -> pl.DataType | None:
    """Find the type of numbers that holds the values of all these types; None: they have one, or there is none.

    `is_wide`: some 64-bit integers may be beyond 2**53, where not each is a float.
    """
    distinct = set(types) - {None, pl.Null()}
    if len(distinct) < 2 or not all(dtype in _BITS for dtype in distinct):
        return None
    bits = {dtype: _FLOAT_BITS if dtype == pl.Int64 and not is_wide else _BITS[dtype] for dtype in distinct if dtype}
    is_float, is_signed = (any(getattr(dtype, each)() for dtype in bits) for each in ("is_float", "is_signed_integer"))
    holders = [pl.Float64()] if is_float else [*_INTEGERS, pl.Float64()] if is_signed else [*_UNSIGNED]
    return next((holder for holder in holders if max(bits.values()) <= _BITS[holder]), None)


def convert_series(series: pl.Series, dtype: pl.DataType, path: object, null_words: Sequence[str] = ()) -> pl.Series:
    """Convert the values of a column to the type that the survey found; `null_words` are null where that is no text.

    Raises:
        TableError: a value does not fit, so the file at `path` changed since the survey.
    """
    if series.dtype == dtype:
        return series
    if series.dtype != pl.String:
        return series.cast(dtype)
    if null_words and len(rows := find_words(series, null_words)):
        series = series.scatter(rows, None)
    if series.null_count() == len(series):
        return pl.Series(series.name, [None], dtype=dtype).new_from_index(0, len(series))
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
    kinds = kinds - {"nan"}  # which is a float, too
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


_FLOAT_BITS = 53
_UNSIGNED: list[pl.DataType] = [pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64()]
_INTEGERS: list[pl.DataType] = [pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64()]
_FLOATS: list[pl.DataType] = [pl.Float32(), pl.Float64()]
# How many binary digits the numbers of a type have at most.
_BITS: dict[pl.DataType, int] = {
    **dict(zip(_UNSIGNED, (8, 16, 32, 64), strict=True)),
    **dict(zip(_INTEGERS, (7, 15, 31, 63), strict=True)),
    **dict(zip(_FLOATS, (24, _FLOAT_BITS), strict=True)),
}
_CONVERSIONS: Mapping[pl.DataType, Callable[[pl.Series], pl.Series]] = {
    pl.Int64(): lambda values: values.cast(pl.Int64, strict=False),
    pl.Float64(): lambda values: values.cast(pl.Float64, strict=False),
    pl.Boolean(): _to_boolean,
    pl.Date(): lambda values: values.str.to_date(_DATE, strict=False),
}
