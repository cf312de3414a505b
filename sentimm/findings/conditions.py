"""Conditions in SQL that posts must meet."""

from __future__ import annotations

import re

import polars as pl

from sentimm.corpus.columns.choice import require_column
from sentimm.errors import UsageError
from sentimm.findings.scored import ScoredPosts

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_OF_SEVERAL_POSTS = re.compile(
    r"\b(avg|sum|min|max|count|first|last|median|std\w*|var\w*|quantile\w*|corr\w*|covar\w*|over|row_number|\w*rank)\s*\(",
    re.IGNORECASE,
)


def check_condition(scored: ScoredPosts, where: str | None) -> pl.Expr:
    """Return the condition as an expression.

    Raises:
        ColumnError: it names a column that is not there.
        UsageError: it is no condition on these columns.
    """
    condition = read_condition(where)
    for column in condition.meta.root_names():
        require_column(column, scored.columns, "--where")
    try:
        dtype = scored.frame.head(0).select(condition).collect().dtypes[0]
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        if "date/datetime/time" in reason:
            reason = "a date is written as DATE '2024-05-31'"
        raise UsageError(f"--where {where!r} can't be asked of these columns: {reason}.") from error
    if dtype != pl.Boolean:
        raise UsageError(f'--where {where!r} is no condition, but {dtype}: write one, as "likes > 10".')
    return condition


def read_condition(where: str | None) -> pl.Expr:
    """Return a condition as an expression, which is false where it has no answer; None: all posts meet it.

    Raises:
        UsageError: it can't be understood, or asks for more than one post.
    """
    if where is None:
        return pl.lit(True)
    if found := _OF_SEVERAL_POSTS.search(_QUOTED.sub("", where)):
        raise UsageError(
            f"--where {where!r} asks for {found[1]}() of several posts: a condition looks at one post alone, such as "
            '"likes > 10".'
        )
    try:
        return pl.sql_expr(where).fill_null(False)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f'--where {where!r} can\'t be understood ({reason}): write it as SQL, as "likes > 10".'
        ) from error
