"""Times as programs write them."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from sentimm.findings.times import parse_times


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-03 14:05",
        "2024-05-03T14:05:00Z",
        "2024-05-03T16:05:00+02:00",
        "2024-05-03T14:05:00.000+0000",
        "2024/05/03 14:05",
        "2024-05-03 10:05:00 EDT",
        "2024-05-03 14:05:00 UTC",
        "03/05/2024, 14:05",
        "3/5/2024 2:05 PM",
        "03.05.2024 14:05:00",
        "Fri May 03 14:05:00 +0000 2024",
        "Fri, 03 May 2024 16:05:00 +0200",
        "1714745100",
        "1714745100.0",
        "1714745100000",
    ],
)
def test_a_time_is_read_beside_others(text: str) -> None:
    beside = ["2024-01-01", "long ago", None, "", "Fri May 03 14:05:00 +0000 2024", "25/12/2023"]
    for texts in ([text, *beside], [*beside, text]):
        times = parse_times(pl.Series(texts), is_day_first=True)
        assert times[texts.index(text)] == datetime(2024, 5, 3, 14, 5, tzinfo=UTC)
        assert times.null_count() == 3


def test_the_month_comes_first_where_it_is_said() -> None:
    (time,) = parse_times(pl.Series(["05/03/2024"]), is_day_first=False)
    assert time == datetime(2024, 5, 3, tzinfo=UTC)
