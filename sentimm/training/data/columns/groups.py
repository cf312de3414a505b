"""The values of the column that an epoch balances, numbered as the posts are read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.corpus.wording import list_names
from sentimm.errors import ColumnError
from sentimm.training.options import split_balance


class ColumnGroups:
    """Numbers the values of a column; posts of a table that lacks it, and those without a value, are groups too.

    Args:
        balance: the option's value; None: no column is balanced, and nothing is numbered.

    Attributes:
        notes: the tables that lack the column, in sentences.
    """

    def __init__(self, balance: str | None) -> None:
        self._column = None if balance is None else split_balance(balance)[0]
        self._numbers: dict[str, int] = {}
        self._rows: list[int] = []
        self._columns: dict[str, list[str]] = {}
        self._lacking: list[str] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The values, by their numbers."""
        return tuple(self._numbers)

    @property
    def notes(self) -> tuple[str, ...]:
        """Which tables lack the column, in sentences."""
        return tuple(
            f"{table} has no column {self._column!r}: for --balance, its posts have one value."
            for table in self._lacking
        )

    def read(self, table: str, frame: pl.DataFrame) -> list[str] | str:
        """Return the names of the groups of a table's rows, or of all of them.

        Raises:
            ColumnError: the column holds lists or objects.
        """
        self._columns[table] = frame.columns
        if self._column is None:
            return ""
        if self._column not in frame.columns:
            if table not in self._lacking:
                self._lacking.append(table)
            return table
        values = frame[self._column]
        if values.dtype.is_nested():
            raise ColumnError(
                f"The column {self._column!r} of {table} holds {str(values.dtype).partition('(')[0].lower()}s, and "
                "--balance needs one value a post: name another column."
            )
        return values.cast(pl.String).fill_null("no value").to_list()

    def add(self, names: list[str] | str, row: int) -> None:
        """Number the group of a row, of what `read` returned."""
        if self._column is not None:
            name = names if isinstance(names, str) else names[row]
            self._rows.append(self._numbers.setdefault(name, len(self._numbers)))

    def check(self) -> None:
        """Check that a table has the column.

        Raises:
            ColumnError: none has.
        """
        if self._lacking and len(self._lacking) == len(self._columns):
            table = self._lacking[0]
            raise ColumnError(
                f"{table} has no column {self._column!r} (its columns: {list_names(self._columns[table])}): name one "
                "with --balance."
            )

    def to_array(self) -> npt.NDArray[np.int64] | None:
        """Return each post's group, int64 (posts,); None where no column is balanced."""
        return None if self._column is None else np.asarray(self._rows, dtype=np.int64)
