"""What is asked about a corpus: which posts, and how they are divided."""

from __future__ import annotations

from dataclasses import dataclass

from sentimm.errors import UsageError

PERIODS = {"day": "1d", "week": "1w", "month": "1mo", "quarter": "1q", "year": "1y"}  # as polars truncates times


@dataclass(frozen=True)
class Question:
    """Which posts are asked about, and how they are divided.

    Attributes:
        where: a condition in SQL that posts must meet.
        by: a column whose values are groups.
        time: a column of dates or times.
        every: the length of a period: a key of PERIODS.

    Raises:
        UsageError: there is no such period.
    """

    where: str | None = None
    by: str | None = None
    time: str | None = None
    every: str = "month"

    def __post_init__(self) -> None:
        if self.every not in PERIODS:
            raise UsageError(f"--every is {self.every!r}, but it must be one of {', '.join(PERIODS)}.")

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of `scored.divide` that tell cells apart: of `group` and `period`."""
        return tuple(name for name, asked in (("group", self.by), ("period", self.time)) if asked is not None)
