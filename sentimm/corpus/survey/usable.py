"""Whether a corpus holds anything that can be scored; where it does not, why, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice

import polars as pl

from sentimm.corpus.columns.choice import ColumnChoice, list_used
from sentimm.corpus.survey.post_counter import PostCounter
from sentimm.corpus.tables.base import Table
from sentimm.errors import InputError
from sentimm.options import CorpusOptions

_LOOK_BLOCKS = 16  # read again, to find the column that was meant


def check_readable(tables: Sequence[Table], counter: PostCounter, options: CorpusOptions) -> None:
    """Check that some record can be read as a row.

    Raises:
        InputError: there are records, none of them can, and `--allow-missing` was not given.
    """
    rows = sum(counter.rows)
    if rows and counter.unreadable == rows and not options.allow_missing:
        way = "Make the header and the records agree" if tables[0].format in ("csv", "tsv") else "Mend the file"
        raise InputError(
            f"No record of {_name_tables(tables)} can be read as a row; the first: {counter.first_unreadable}. "
            f"{way}, or use --allow-missing to continue all the same."
        )


def check_usable(
    tables: Sequence[Table], counter: PostCounter, choice: ColumnChoice, images_found: int, options: CorpusOptions
) -> None:
    """Check that some post has a text or an image.

    Raises:
        InputError: there are posts, none has any, and `--allow-missing` was not given.
    """
    rows = sum(counter.rows)
    if not rows or counter.texts or images_found or options.allow_missing:
        return
    what = [f"the column {choice.text!r} holds no text"] if choice.text else []
    what += [f"the column {choice.image!r} holds no image"] if choice.image else []
    what += ["no id names an image"] if choice.by_id else []
    other = _find_fullest(tables, choice) if choice.text else None
    hint = f" If {other!r} holds the texts, name it with --text-column." if other else ""
    raise InputError(
        f"Nothing in {_name_tables(tables)} can be scored: {' and '.join(what)}.{hint} Use --allow-missing to continue "
        "all the same."
    )


def _name_tables(tables: Sequence[Table]) -> str:
    return str(tables[0].path) + (f" and {len(tables) - 1} more" if len(tables) > 1 else "")


def _find_fullest(tables: Sequence[Table], choice: ColumnChoice) -> str | None:
    """Find the column of strings, beside those used, that holds the most letters in the first posts."""
    used, letters = list_used(choice), Counter[str]()
    table = tables[0]
    strings = [name for name in table.columns if name not in used and table.types.get(name, pl.String()) == pl.String]
    for block in islice(table.read_blocks(strings), _LOOK_BLOCKS):
        for series in block.frame:
            letters[series.name] += int(series.str.count_matches(r"\p{L}").sum() or 0)
    found = letters.most_common(1)
    return found[0][0] if found and found[0][1] else None
