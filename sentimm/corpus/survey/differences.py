"""Inputs whose columns differ: which must agree, what a person is told, and how the others are filled with null."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace

import polars as pl

from sentimm.corpus.chunks import is_output_column
from sentimm.corpus.columns.choice import ColumnChoice, list_used
from sentimm.corpus.tables.base import Block, Table
from sentimm.corpus.wording import list_names
from sentimm.errors import ColumnError
from sentimm.options import CorpusOptions

_SHOWN_TABLES = 3
_PROPOSED_COLUMNS = 6


def check_agreement(
    tables: Sequence[Table], columns: Sequence[str], choice: ColumnChoice, options: CorpusOptions
) -> None:
    """Check that the tables agree in the columns that matter: those that are kept, and those that posts are read from.

    Several of NDJSON need not, as a missing key is a null there.

    Args:
        tables: the tables.
        columns: those of all of them.
        choice: the columns that posts are read from.
        options: what is kept; with `union`, a table needs no more than a column of texts or of images.

    Raises:
        ColumnError: a table lacks a column; the message names the options that help.
    """
    if all(table.grows for table in tables) and not options.union:
        return
    for table in tables:
        _check_posts(table, choice)
    if options.union:
        return
    used = list_used(replace(choice, ignored_image=None))
    needed = [name for name in columns if name in used or is_output_column(name, options)]
    lacking = {table: [name for name in needed if name not in table.columns] for table in tables}
    if any(lacking.values()):
        raise _explain_differences(tables, lacking, used, options)


def note_filled(tables: Sequence[Table], columns: Sequence[str], choice: ColumnChoice) -> Iterator[str]:
    """Yield notes about columns that some tables lack, which are filled with null."""
    used = list_used(replace(choice, ignored_image=None))
    for name in used:
        if absent := [table for table in tables if name not in table.columns]:
            more = f" and {len(absent) - 1:,} other inputs have" if len(absent) > 1 else " has"
            yield f"{absent[0].path}{more} no column {name!r}, which posts are read from: it is null there."
    if others := [name for name in columns if name not in used and any(name not in each.columns for each in tables)]:
        yield f"Filled with null in the inputs that lack them: {list_names(others)}."


def read_filled(table: Table, columns: Sequence[str], start: int = 0) -> Iterator[Block]:
    """Yield the rows of a table from `start` on with these columns, null (String) where it lacks one."""
    there = [name for name in columns if table.grows or name in table.columns]
    for block in table.read_blocks(there, start):
        if len(there) < len(columns):
            nothing = pl.Series([None], dtype=pl.String).new_from_index(0, block.rows)
            frame = pl.DataFrame(
                {name: block.frame[name] if name in block.frame.columns else nothing for name in columns}
            )
            yield replace(block, frame=frame)
        else:
            yield block


def _check_posts(table: Table, choice: ColumnChoice) -> None:
    sources = [choice.text, choice.short_text, choice.image, choice.id if choice.by_id else None]
    names = [each for name in sources if name is not None for each in choice.roots.get(name, (name,))]
    if table.columns and not any(name in table.columns for name in names):
        raise ColumnError(
            f"{table.path} has no column {' or '.join(map(repr, names))}, which the posts are read from (its columns: "
            f"{list_names(table.columns)}): rename the one that has them, or leave this input out."
        )


def _explain_differences(
    tables: Sequence[Table], lacking: dict[Table, list[str]], used: Sequence[str], options: CorpusOptions
) -> ColumnError:
    """Return the error for tables each of which lacks these columns, of those that matter."""
    clauses = [
        f"{table.path} lacks {list_names(names)}, which {_find_owner(tables, names[0]).path} has"
        for table, names in lacking.items()
        if names
    ]
    if len(clauses) > _SHOWN_TABLES:
        clauses = [*clauses[:_SHOWN_TABLES], f"{len(clauses) - _SHOWN_TABLES:,} more inputs lack columns"]
    begin = f"The inputs' columns differ: {'; '.join(clauses)}. "
    fill = "Use --union to fill what an input lacks with null"
    common = [name for name in tables[0].columns if all(name in table.columns for table in tables)]
    if options.required is not None or not set(used) <= set(common):
        return ColumnError(f"{begin}{fill}.")
    first = [*used, *(name for name in common if name not in used)][:_PROPOSED_COLUMNS]
    proposal = shlex.quote(",".join(name for name in first if "," not in name))
    return ColumnError(f"{begin}{fill}, or --columns to keep only columns that all have, such as --columns {proposal}.")


def _find_owner(tables: Sequence[Table], name: str) -> Table:
    return next(table for table in tables if name in table.columns)
