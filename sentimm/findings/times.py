"""Columns of times as programs write them: dates and times, texts in many forms, seconds since 1970."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
import polars as pl

from sentimm.errors import ColumnError, UsageError
from sentimm.findings.question import PERIODS, DateOrder

_TIME = pl.Datetime("us", "UTC")
_YEAR_FIRST = r"^\s*[0-9]{4}[-/]"
_YEAR_LAST = r"^\s*([0-9]{1,2})[-/]([0-9]{1,2})[-/]([0-9]{4})\b"
_DOTS = r"^\s*([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})\b"  # 31.3.2024: only written where the day is first
_NUMBER = r"^\s*[0-9]{9,}(\.[0-9]+)?\s*$"
_ZONES = {
    "UTC": "+0000",
    "GMT": "+0000",
    "Z": "+0000",
    "EST": "-0500",
    "EDT": "-0400",
}  # CrowdTangle: EST, EDT
_DATE, _OFFSET = r"^[0-9]+-[0-9]+-[0-9]+", r" [+-][0-9]{4}$"
_CLOCKS = ((r" [0-9]+:[0-9]+:[0-9.]+", "%H:%M:%S%.f"), (r" [0-9]+:[0-9]+", "%H:%M"))
_HALVES = ((r" [0-9]+:[0-9]+:[0-9]+ [AP]M", "%I:%M:%S %p"), (r" [0-9]+:[0-9]+ [AP]M", "%I:%M %p"))
# What a text looks like, once the year is first, and how it is read.
_FORMS = (
    (r"^\w+ \w+ [0-9]", "%a %b %d %H:%M:%S %z %Y"),  # Twitter's API: Wed Oct 10 20:19:24 +0000 2018
    (r"^\w+, ", "%a, %d %b %Y %H:%M:%S %z"),  # e-mail and feeds
    (f"{_DATE}$", "%Y-%m-%d"),
    *((f"{_DATE}{clock}$", f"%Y-%m-%d {form}") for clock, form in (*_CLOCKS, *_HALVES)),
    *((f"{_DATE}{clock}{_OFFSET}", f"%Y-%m-%d {form} %z") for clock, form in (*_CLOCKS, *_HALVES)),
)
# Smaller numbers are no seconds since 1970 (this is 1973), but years, say; above the others are ms, and microseconds.
_LEAST_SECONDS, _LEAST_MS, _LEAST_US = 100_000_000, 100_000_000_000, 100_000_000_000_000
_HEAD = 10_000
_DAYS = 1024  # so that the days of most blocks of posts are in one list


def read_times(posts: pl.LazyFrame, column: str, order: DateOrder | None) -> pl.Expr:
    """Return the times that a column of `posts` holds: Date or Datetime; null: none that can be read.

    Texts are read as UTC where they name no zone.

    Raises:
        ColumnError: the column holds no times.
        UsageError: its dates are written as 03/04/2024, and nothing says what is the day.
    """
    dtype = posts.collect_schema()[column]
    if dtype in (pl.Date, pl.Datetime):
        return pl.col(column)
    if dtype == pl.String:
        is_day_first = _find_order(posts, column, order)
        return pl.col(column).map_batches(
            partial(parse_times, is_day_first=is_day_first), return_dtype=_TIME, is_elementwise=True
        )
    least = posts.select(pl.col(column).min()).collect(engine="streaming").item() if dtype.is_numeric() else None
    if least is None or least < _LEAST_SECONDS:
        raise ColumnError(f"--time names {column!r}, which holds {dtype}, and no dates or times.")
    return _from_numbers(pl.col(column))


def parse_times(texts: pl.Series, *, is_day_first: bool) -> pl.Series:
    """Return times (Datetime, UTC) of texts (String); null: what can't be read."""
    # polars finds one form for all that it is given, and takes 03/04/2024 for April.
    times = texts.set(~texts.str.contains(_YEAR_FIRST).fill_null(True), None)
    times = times.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    left = (texts.is_not_null() & times.is_null()).arg_true()
    if not len(left):
        return times
    written = texts.gather(left)
    rewritten = _rewrite(written, is_day_first)
    numbers = written.set(~written.str.contains(_NUMBER), None).cast(pl.Float64, strict=False)
    found = pl.DataFrame({"number": numbers}).select(_from_numbers(pl.col("number"))).to_series()
    for pattern, form in _FORMS:
        rows = rewritten.str.contains(pattern).arg_true()  # a form that does not fit takes long to fail
        read = rewritten.gather(rows).str.to_datetime(form, time_unit="us", strict=False)
        found = found.scatter(rows, read.cast(_TIME) if "%z" in form else read.dt.replace_time_zone("UTC"))
    return times.scatter(left, found)


def _rewrite(texts: pl.Series, is_day_first: bool) -> pl.Series:
    """Write dates with the year first, and zones as numbers."""
    day, month = ("${1}", "${2}") if is_day_first else ("${2}", "${1}")
    text = texts.str.strip_chars()
    text = text.str.replace(_DOTS, "${3}-${2}-${1}").str.replace(_YEAR_LAST, f"${{3}}-{month}-{day}")
    text = text.str.replace("^([0-9]{4})/([0-9]+)/([0-9]+)", "${1}-${2}-${3}")
    text = text.str.replace("^([0-9-]+)(?:T|,? +)([0-9]{1,2}:)", "${1} ${2}")
    for zone, offset in _ZONES.items():
        text = text.str.replace(f"(:[0-9.]+|[AP]M) ?{zone}$", f"${{1}} {offset}")
    return text.str.replace("(:[0-9.]+|[AP]M) ?([+-][0-9]{2}):?([0-9]{2})$", "${1} ${2}${3}")


def _from_numbers(number: pl.Expr) -> pl.Expr:
    """Return times of seconds, milliseconds or microseconds since 1970, whichever the number is large enough for."""
    number = number.cast(pl.Float64)
    factor = pl.when(number < _LEAST_MS).then(1_000_000).when(number < _LEAST_US).then(1_000).otherwise(1)
    is_time = number.is_between(_LEAST_SECONDS, 1_000_000 * _LEAST_MS)
    return pl.when(is_time).then((number * factor).cast(pl.Int64, strict=False)).cast(_TIME)


def _find_order(posts: pl.LazyFrame, column: str, order: DateOrder | None) -> bool:
    """Check whether the day comes before the month in dates that end with the year: as told, or as the dates show."""
    if order is not None:
        return order == "day-first"
    dates = posts.select(pl.col(column)).filter(pl.col(column).is_not_null())
    if not dates.head(_HEAD).select(pl.col(column).str.contains(_YEAR_LAST).any()).collect().item():
        return True
    parts = [pl.col(column).str.extract(_YEAR_LAST, part).cast(pl.Int16).max().alias(str(part)) for part in (1, 2)]
    first, second = dates.select(parts).collect(engine="streaming").row(0)
    if (first > 12) == (second > 12):
        shown = dates.filter(pl.col(column).str.contains(_YEAR_LAST)).head(1).collect().item()
        raise UsageError(
            f"--time names {column!r}, whose dates are written as {shown}, and nothing shows what is the day: say "
            "--dates day-first or --dates month-first."
        )
    return bool(first > 12)


def begin_periods(times: pl.Expr, every: str) -> pl.Expr:
    """Return the day (Date) on which the period of each time begins; `every` is a key of PERIODS."""
    return times.dt.date().map_batches(partial(_begin_periods, every=every), return_dtype=pl.Date, is_elementwise=True)


def _begin_periods(days: pl.Series, every: str) -> pl.Series:
    """Return the days (Date) on which their periods begin: looked up, which takes a quarter of the time."""
    numbers = days.to_physical()
    first, last = numbers.min(), numbers.max()
    if not isinstance(first, int) or not isinstance(last, int) or last - first >= len(days):
        return days.dt.truncate(PERIODS[every])
    start = first // _DAYS * _DAYS
    begins = _list_begins(start, last // _DAYS * _DAYS + _DAYS, every)
    return begins.gather((numbers - start).cast(pl.UInt32)).alias(days.name)


@lru_cache(maxsize=8)
def _list_begins(start: int, end: int, every: str) -> pl.Series:
    """Return the day on which the period of each day begins, from `start` up to `end`, days since 1970."""
    days = pl.Series(np.arange(start, end, dtype=np.int32)).cast(pl.Date)
    return days.dt.truncate(PERIODS[every])
