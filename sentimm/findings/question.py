"""What is asked about a corpus: which posts, and how they are divided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from sentimm.option_fields import Panel, check_options, option

PERIODS = {"day": "1d", "week": "1w", "month": "1mo", "quarter": "1q", "year": "1y"}  # as polars truncates times

DateOrder = Literal["day-first", "month-first"]

NO_VALUE = "(none)"  # the group or period of posts that have none

Cells = tuple[tuple[str | None, str | None], ...]  # groups and periods; None: it is not told apart, or not given


@dataclass(frozen=True)
class Question:
    """Which posts are asked about, and how they are divided.

    Attributes:
        where: a condition in SQL that posts must meet.
        by: a column whose values are groups.
        time: a column of dates or times.
        every: the length of a period: a key of PERIODS.
        dates: what comes first in dates such as 03/04/2024; None: what the column shows.

    Raises:
        UsageError: there is no such period.
    """

    where: Annotated[
        str | None, option(Panel.QUESTION, 'Only posts that meet this condition in SQL: "likes > 10".', metavar="SQL")
    ] = None
    by: Annotated[str | None, option(Panel.QUESTION, "A column of groups, such as party or topic.", metavar="C")] = None
    time: Annotated[
        str | None, option(Panel.QUESTION, "A column of dates or times, for shares by period.", metavar="C")
    ] = None
    every: Annotated[
        Literal["day", "week", "month", "quarter", "year"], option(Panel.QUESTION, "The length of a period.")
    ] = "month"
    dates: Annotated[
        DateOrder | None,
        option(Panel.QUESTION, "How 03/04/2024 is meant.", shown="as other dates of the column show"),
    ] = None

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of `population.divide` that tell cells apart: of `group` and `period`."""
        return tuple(name for name, asked in (("group", self.by), ("period", self.time)) if asked is not None)

    @property
    def without_condition(self) -> Question:
        """The same groups and periods, of all posts."""
        return Question(by=self.by, time=self.time, every=self.every, dates=self.dates)

    def name_missing(self, cells: Cells) -> Cells:
        """Return cells in which posts without a group or period have NO_VALUE: None is all of them."""
        group, period = (None if asked is None else NO_VALUE for asked in (self.by, self.time))
        return tuple((group if a is None else a, period if b is None else b) for a, b in cells)
