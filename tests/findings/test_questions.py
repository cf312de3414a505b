"""Columns of groups and times, and conditions, as people have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from sentimm.errors import ColumnError, SentimmError, UsageError
from sentimm.findings import sample, shares
from sentimm.findings.estimation import count_corpus
from sentimm.findings.question import DateOrder, Question
from sentimm.findings.scored import open_scored
from tests.findings.corpora import label_sheet, make_scored


@pytest.fixture(scope="module")
def scored() -> pl.DataFrame:
    return make_scored()


def test_posts_without_a_group_are_not_taken_for_all(scored: pl.DataFrame) -> None:
    holes = scored.with_columns(party=pl.when(pl.col("party") != "red").then("party"))
    sheet, design = sample(holes, labels=300, by="party", per_group=60)
    for table in (shares(holes, by="party"), shares(holes, label_sheet(sheet, holes), design, by="party")):
        assert table["group"].to_list() == [None] * 3 + ["blue"] * 3 + ["green"] * 3 + ["(none)"] * 3
        posts = dict(table.select("group", "posts").iter_rows())
        assert posts == {None: 2000, **dict(holes["party"].fill_null("(none)").value_counts().iter_rows())}


@pytest.mark.parametrize("written", ["%Y-%m-%dT%H:%M:%S.000Z", "%Y-%m-%d %H:%M:%S", "%a %b %d %H:%M:%S +0000 %Y", "%F"])
def test_times_are_read_as_tools_write_them(scored: pl.DataFrame, written: str) -> None:
    texts = scored.with_columns(pl.col("created_at").cast(pl.Datetime).dt.strftime(written))
    question = {"time": "created_at", "every": "quarter"}
    assert_frame_equal(shares(texts, **question), shares(scored, **question))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "order"),
    [("%d/%m/%Y", None), ("%m/%d/%Y %I:%M %p", None), ("%d.%m.%Y", None), ("%m-%d-%Y", "month-first")],
)
def test_dates_that_end_with_the_year_are_read_as_the_column_shows(
    scored: pl.DataFrame, written: str, order: DateOrder | None
) -> None:
    texts = scored.with_columns(pl.col("created_at").cast(pl.Datetime).dt.strftime(written))
    asked = Question(time="created_at", every="month", dates=order)
    expected = count_corpus(open_scored(scored), Question(time="created_at", every="month")).table
    assert_frame_equal(count_corpus(open_scored(texts), asked).table, expected)


def test_dates_that_could_be_either_are_asked_about(scored: pl.DataFrame) -> None:
    early = scored.with_columns(created_at=pl.format("03/0{}/2024", pl.col("id") % 9 + 1))
    with pytest.raises(UsageError, match=r"03/01/2024, and nothing shows .* --dates day-first or --dates month-first"):
        shares(early, time="created_at")
    for order, periods in (("day-first", 9), ("month-first", 1)):
        found = count_corpus(open_scored(early), Question(time="created_at", dates=order))
        assert found.table["period"].drop_nulls().n_unique() == periods


@pytest.mark.parametrize("factor", [1, 1000, 1_000_000])
def test_numbers_are_seconds_since_1970(scored: pl.DataFrame, factor: int) -> None:
    later = scored.with_columns(pl.col("created_at").dt.offset_by("40y"))
    seconds = pl.col("created_at").cast(pl.Datetime("us")).dt.epoch("s") * factor
    for numbers in (seconds, seconds.cast(pl.String), seconds.cast(pl.Float64)):
        found = shares(later.with_columns(created_at=numbers), time="created_at")
        assert_frame_equal(found, shares(later, time="created_at"))


@pytest.mark.parametrize(("every", "name"), [("day", "%F"), ("week", "%G-W%V"), ("month", "%Y-%m"), ("year", "%Y")])
@pytest.mark.parametrize("days", [900, 90_000])  # fewer and more than the posts
@pytest.mark.parametrize("zone", [None, "Pacific/Auckland"])
def test_posts_are_counted_in_their_periods(
    scored: pl.DataFrame, every: str, name: str, days: int, zone: str | None
) -> None:
    hours = (pl.col("id") * 7919 % (24 * days)) - 10 * days  # before 1970, too
    times = pl.datetime(1970, 1, 1, time_zone=zone and "UTC") + pl.duration(hours=hours)
    posts = scored.with_columns(created_at=times.dt.convert_time_zone(zone) if zone else times)
    found = shares(posts, time="created_at", every=every).filter(pl.col("period").is_not_null())
    counted = posts.group_by(pl.col("created_at").dt.strftime(name)).len().sort("created_at")
    assert found.unique("period", maintain_order=True).select("period", "posts").rows() == counted.rows()


def test_times_that_are_missing_are_named(scored: pl.DataFrame) -> None:
    holes = scored.with_columns(created_at=pl.when(pl.col("id") >= 30).then("created_at"))
    found = count_corpus(open_scored(holes), Question(time="created_at", every="year"))
    assert found.table["period"].unique().to_list().count(None) == 1
    assert dict(found.table.select("period", "posts").iter_rows())["(none)"] == 30
    assert found.notes == ("30 posts have no time that can be read, so they are in the period (none).",)
    with pytest.raises(UsageError, match="none of whose values can be read"):
        shares(scored.with_columns(created_at=pl.lit("long ago")), time="created_at")


def test_posts_without_an_answer_are_named(scored: pl.DataFrame, tmp_path: Path) -> None:
    holes = scored.with_columns(pl.when(pl.col("id") >= 40).then(pl.col("^p_.*$")))
    holes.write_parquet(tmp_path / "scored.parquet")
    expected = ("40 posts have no answer of the model (see their status), so no share counts them.",)
    for opened in (open_scored(holes), open_scored([str(tmp_path / "scored.parquet")])):
        assert count_corpus(opened, Question(by="party")).notes == expected
        assert count_corpus(opened, Question(where="id > 10")).notes == ()


@pytest.mark.parametrize(
    ("ask", "kind", "message"),
    [
        (lambda scored: shares(scored, where="like > 3"), ColumnError, "did you mean 'likes'"),
        (lambda scored: shares(scored, where="likes > avg(likes)"), UsageError, r"asks for avg\(\) of several posts"),
        (lambda scored: shares(scored, time="likes"), ColumnError, "holds Int64, and no dates"),
        (lambda scored: shares(scored, where="likes"), UsageError, "is no condition, but Int64"),
        (lambda scored: shares(scored, where="likes > 'many'"), UsageError, "can't be asked of these columns"),
        (lambda scored: shares(scored.with_columns(party=pl.concat_list("text")), by="party"), ColumnError, "List"),
        (
            lambda scored: shares(pl.concat([scored] * 6).with_columns(id=pl.int_range(12_000)), by="id"),
            UsageError,
            "--by",
        ),
    ],
)
def test_what_can_not_be_asked_is_a_sentence(
    scored: pl.DataFrame, ask: Callable[[pl.DataFrame], object], kind: type[SentimmError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        ask(scored)


def test_the_advice_on_dates_works(scored: pl.DataFrame) -> None:
    with pytest.raises(UsageError, match="a date is written as DATE '2024-05-31'"):
        shares(scored, where="created_at >= '1970-06-01'")
    assert 0 < shares(scored, where="created_at >= DATE '1970-06-01'")["posts"][0] < 2000


def test_numbers_that_are_none_are_no_answer(scored: pl.DataFrame) -> None:
    holes = scored.with_columns(p_negative=pl.when(pl.col("id") >= 100).then("p_negative").otherwise(float("nan")))
    assert shares(holes)["posts"][0] == 1900


@pytest.mark.parametrize("change", [pl.col("likes").cast(pl.Int32), pl.col("likes").cast(pl.String)])
def test_columns_that_files_hold_in_different_types_are_not_there(
    scored: pl.DataFrame, tmp_path: Path, change: pl.Expr
) -> None:
    scored[:500].with_columns(more=1).write_parquet(tmp_path / "a.parquet")
    scored[500:].with_columns(change).write_parquet(tmp_path / "b.parquet")
    opened = open_scored([str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")])
    assert count_corpus(opened, Question(by="party")).table["posts"][0] == 2000
    with pytest.raises(ColumnError, match="--where names 'likes'"):
        count_corpus(opened, Question(where="likes > 3"))
    scored[500:].with_columns(pl.col("p_neutral").cast(pl.Float64)).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(UsageError, match="in different types"):
        open_scored([str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")])
