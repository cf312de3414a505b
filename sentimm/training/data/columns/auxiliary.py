"""Auxiliary columns: what an encoder learns beside the labels, such as emotions or ratings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.errors import ColumnError, UsageError

Floats = npt.NDArray[np.float64]

_MOST_NAMES = 1000
_MOST_WHOLE = 50  # different whole numbers that are names of classes; ratings have fewer, counts more


@dataclass(frozen=True)
class AuxiliaryColumn:
    """A column that a head on the `modality`'s encoder learns.

    Attributes:
        names: the values, in the order of their numbers; none where the column holds numbers.
    """

    modality: str
    column: str
    names: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its name in messages."""
        return f"--auxiliary {self.modality}:{self.column}"


class AuxiliaryCells:
    """The cells of auxiliary columns, collected as tables are read.

    Args:
        columns: the values of --auxiliary.
        modalities: those that the model reads.
    """

    def __init__(self, columns: Sequence[str], modalities: Sequence[str]) -> None:
        self._columns = [parse_auxiliary(value, modalities) for value in columns]
        self._names: set[str] = set()
        self._cells: list[list[str | None]] = [[] for _ in columns]

    def read_rows(self, frame: pl.DataFrame) -> list[tuple[str | None, ...]]:
        """Return the cells of each row of a table; of columns that it lacks, None."""
        cells = []
        for _, name in self._columns:
            if name in frame.columns:
                self._names.add(name)
            cells.append(_read_cells(frame[name]) if name in frame.columns else [None] * len(frame))
        return list(zip(*cells, strict=True)) if cells else [()] * len(frame)

    def add(self, row: Sequence[str | None]) -> None:
        """Add the cells of a post that is used."""
        for cells, value in zip(self._cells, row, strict=True):
            cells.append(value)

    def to_columns(self) -> tuple[tuple[AuxiliaryColumn, ...], Floats | None]:
        """Return the columns, and each post's numbers or numbers of names: float64 (posts, columns), NaN for none.

        Raises:
            ColumnError: no table has one of them, or it holds too many different names.
        """
        columns, values = [], []
        for (modality, name), cells in zip(self._columns, self._cells, strict=True):
            if name not in self._names:
                raise ColumnError(f"--auxiliary {name}: no table has this column: name one that is there.")
            names, numbers = _number_cells(name, pl.Series(cells, dtype=pl.String))
            columns.append(AuxiliaryColumn(modality, name, names))
            values.append(numbers)
        return tuple(columns), np.stack(values, axis=1) if values else None


def parse_auxiliary(value: str, modalities: Sequence[str]) -> tuple[str, str]:
    """Return the modality and the column that a value of --auxiliary names.

    Raises:
        UsageError: the model does not read that modality, or reads both and none is named.
    """
    modality, colon, column = value.partition(":")
    if not colon or modality not in ("text", "image"):
        if len(modalities) > 1:
            raise UsageError(
                f"--auxiliary {value}: the model reads texts and images: say which encoder learns it, such as "
                f"image:{value}."
            )
        return modalities[0], value
    if modality not in modalities:
        raise UsageError(f"--auxiliary {value}: the model has no {modality} encoder.")
    return modality, column


def note_auxiliary(columns: Sequence[AuxiliaryColumn], values: Floats | None) -> Iterator[str]:
    """Yield what is learnt of each auxiliary column; `values` as in `AuxiliaryCells.to_columns`."""
    for place, each in enumerate(columns):
        assert values is not None
        own = values[~np.isnan(values[:, place]), place]
        what = f"{len(each.names)} names" if each.names else f"numbers from {own.min():g} to {own.max():g}"
        yield f"{each.title}: {len(own):,} of {len(values):,} posts to train on have it: {what}."


def _read_cells(column: pl.Series) -> list[str | None]:
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        raise ColumnError(f"--auxiliary {column.name}: the column holds {column.dtype}, not one value per row.")
    given = column.fill_nan(None) if column.dtype.is_float() else column
    cells: list[str | None] = given.cast(pl.String).str.strip_chars().replace("", None).to_list()
    return cells


def _number_cells(name: str, cells: pl.Series) -> tuple[tuple[str, ...], Floats]:
    """Return the names among the cells, none where they are numbers, and float64 (cells,)."""
    has = cells.is_not_null()
    numbers = cells.cast(pl.Float64, strict=False)
    numbers = numbers.set(~numbers.is_finite(), None)
    if has.any() and (numbers.is_not_null() == has).all():
        is_whole = bool((numbers.drop_nulls() % 1 == 0).all())
        if not is_whole or numbers.n_unique() > _MOST_WHOLE:
            return (), numbers.fill_null(np.nan).to_numpy()
        cells = numbers.cast(pl.Int64).cast(pl.String)  # 1 and 1.0 are one
    names = tuple(sorted(cells.drop_nulls().unique().to_list()))
    if len(names) > _MOST_NAMES:
        raise ColumnError(
            f"--auxiliary {name}: the column holds {len(names):,} different values, more than {_MOST_NAMES:,} names: "
            "name a column of classes or numbers."
        )
    places = dict(zip(names, map(float, range(len(names))), strict=True))
    return names, cells.replace_strict(places, default=None, return_dtype=pl.Float64).fill_null(np.nan).to_numpy()
