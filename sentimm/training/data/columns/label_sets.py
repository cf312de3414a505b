"""Sets of posts that were labelled with some of the labels only: which labels the posts of each set have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.corpus.labels import LABEL_COLUMNS
from sentimm.errors import ColumnError
from sentimm.training.post_options import BY_TABLE

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LabelSets:
    """Sets of posts, and the labels that occur in each.

    Attributes:
        names: what to call each set, such as `photos.csv` or `photos.csv with source fi`.
        labels: which labels occur in the column `label`, `text_label` or `image_label`, bool (sets, 3, labels).
    """

    names: tuple[str, ...]
    labels: BoolArray

    def fill_labels(self, sets: Int64Array, column: int) -> LabelSets:
        """Return the sets, of which `sets` (int64) take the labels of `column` as those of whole posts."""
        labels = self.labels.copy()
        labels[sets, 0] |= labels[sets, column]
        return replace(self, labels=labels)


class SetNumbers:
    """Numbers for the sets of posts, as tables are read: a table's posts, or those with one value of a column."""

    def __init__(self, by: str | None) -> None:
        self.column = None if by in (None, BY_TABLE) else by
        self._numbers: dict[tuple[int, str | None], int] = {}
        self._is_found = self.column is None

    def number_rows(self, frame: pl.DataFrame, table: int) -> list[int]:
        """Return the number of the set of each row of a table."""
        values: Sequence[str | None] = [None] * len(frame)
        if self.column is not None and self.column in frame.columns:
            self._is_found = True
            values = _read_values(frame[self.column])
        return [self._numbers.setdefault((table, value), len(self._numbers)) for value in values]

    def check_column(self) -> None:
        """Check that one of the tables had the column.

        Raises:
            ColumnError: none had it.
        """
        if not self._is_found:
            raise ColumnError(f"--labels-by {self.column}: no table has this column: name one that is there.")

    def to_sets(self, tables: Sequence[str], posts: Mapping[str, Int64Array], labels: int) -> LabelSets:
        """Return the sets; `posts` are the columns of labels and `label_set`, int64 (posts,) each."""
        names = [
            tables[table] if value is None else f"{tables[table]} with {self.column} {value}"
            for table, value in self._numbers
        ]
        return LabelSets(tuple(names), _flag_labels(posts, posts["label_set"], len(names), labels))


def note_label_sets(
    sets: LabelSets | None, tables: Sequence[str], posts: Mapping[str, Int64Array], labels: Sequence[str]
) -> Iterator[str]:
    """Yield notes about sets of posts that lack labels which others have, or without sets about such tables.

    Args:
        sets: the sets of posts, None: a post's loss runs over all labels.
        tables: the names of the tables.
        posts: columns of labels that are learnt and `table`, int64 (posts,) each.
        labels: all labels, in the order of the numbers.
    """
    names = tables if sets is None else sets.names
    flags = _flag_labels(posts, posts["table"], len(tables), len(labels)) if sets is None else sets.labels
    for place, column in enumerate(LABEL_COLUMNS):
        if column not in posts:
            continue
        is_taught = flags[:, place].any(axis=0)
        for name, own in zip(names, flags[:, place], strict=True):
            absent = " or ".join(label for label, lacks in zip(labels, is_taught & ~own, strict=True) if lacks)
            has = [label for label, is_own in zip(labels, own, strict=True) if is_own]
            where = "" if place == 0 else f" in {column}"
            if not absent or not has:
                continue
            if sets is not None and len(has) == 1:
                yield f"{name} has {has[0]} alone{where}, so that nothing can be learnt from it among its labels."
            elif sets is not None:
                yield f"{name} has no {absent}{where}: its posts are learnt, and validated, among {', '.join(has)}."
            elif len(has) > 1:
                yield (
                    f"{name} has no {absent}{where}, which other tables have: if nobody looked for it there, use "
                    f"--labels-by {BY_TABLE}."
                )


def _flag_labels(posts: Mapping[str, Int64Array], group: Int64Array, groups: int, labels: int) -> BoolArray:
    """Return which labels occur in each group's posts: bool (groups, 3, labels)."""
    flags = np.zeros((groups, len(LABEL_COLUMNS), labels), dtype=bool)
    for place, column in enumerate(LABEL_COLUMNS):
        if column in posts:
            has = posts[column] >= 0
            flags[group[has], place, posts[column][has]] = True
    return flags


def _read_values(column: pl.Series) -> list[str | None]:
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        raise ColumnError(f"--labels-by {column.name}: the column holds {column.dtype}, not one value per row.")
    values: list[str | None] = column.cast(pl.String).str.strip_chars().replace("", None).to_list()
    return values
