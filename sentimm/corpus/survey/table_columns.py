"""The columns of several tables together, as they are in the files and as they are kept for the output."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from sentimm.corpus.chunks import is_output_column, list_output_columns
from sentimm.corpus.columns.choice import holds_bytes
from sentimm.corpus.survey.column_types import TypeInference, merge_types, widen_numbers
from sentimm.corpus.tables.base import Table
from sentimm.errors import ColumnError
from sentimm.options import CorpusOptions

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_POST_WORDS = 3  # a name of so many words is a sentence
# What is added with several inputs: the file, and the place in it.
SOURCE, ROW = "source", "row"


def collect_columns(tables: Sequence[Table]) -> dict[str, pl.DataType]:
    """Return all columns of all tables with their types in the files, String where the format has none."""
    types: dict[str, pl.DataType] = {}
    for table in tables:
        for name in table.columns:
            dtype = table.types.get(name, pl.String())
            if name not in types or holds_bytes(dtype):
                types[name] = dtype
    return types


def explain_no_header(tables: Sequence[Table]) -> ColumnError | None:
    """Return the error for a CSV or TSV file whose first line seems to be a post; None: there is none."""
    for table in tables:
        longest = max(table.columns, key=len, default="")
        has_number = any(_NUMBER.fullmatch(name) for name in table.columns)
        if table.may_swallow_rows and has_number and len(longest.split()) >= _POST_WORDS:
            place = table.columns.index(longest) + 1
            return ColumnError(
                f"The first line of {table.path} seems to be a post, as it holds a number and a sentence: if the table "
                f"has no header, add --no-header --text-column column_{place}, else name a column with --text-column."
            )
    return None


def find_schema(
    tables: Sequence[Table],
    inferences: Sequence[TypeInference],
    columns: Mapping[str, pl.DataType],
    options: CorpusOptions,
) -> dict[str, pl.DataType]:
    """Find the columns that are kept for the output, with their types and in their order.

    Args:
        tables: the tables.
        inferences: what their values say of the types of their columns, where the formats have none.
        columns: all columns of all tables.
        options: what to keep.

    Raises:
        ColumnError: a column that is named is not there, has no common type, or is one that is added.
        TableError: a column can't be read.
    """
    names = list_output_columns(list(columns), options)
    for table in tables:
        table.check_readable(names)
    inferred = [inference.find_types() for inference in inferences]
    schema = {}
    for name in names:
        found: list[tuple[object, pl.DataType | None]] = [
            (table.path, table.types.get(name, each.get(name))) for table, each in zip(tables, inferred, strict=True)
        ]
        try:
            schema[name] = merge_types(name, found)
        except ColumnError:
            if is_output_column(name, options):
                raise
            continue  # of a command that writes no columns
        if options.union:
            is_wide = any(name in each.wide for each in inferences) or any(
                table.types.get(name) == pl.Int64 for table in tables
            )
            schema[name] = widen_numbers((dtype for _, dtype in found), is_wide=is_wide) or schema[name]
    if len(tables) > 1:
        for name, dtype in ((SOURCE, pl.String()), (ROW, pl.Int64())):
            added = options.prefix + name
            if added in names:
                raise ColumnError(
                    f"With several inputs a column {added!r} is added, but they already have one: choose another name "
                    "with --prefix, or leave theirs out with --columns."
                )
            schema[added] = dtype
    return schema
