from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from sentimm.findings.drawing import draw_from, find_limit
from sentimm.findings.options import SampleOptions
from sentimm.findings.question import Question
from sentimm.findings.sampling import draw_sheet
from sentimm.findings.scored import ScoredPosts, open_scored
from tests.findings.corpora import LABELS, make_scored


@pytest.fixture
def several(tmp_path: Path) -> ScoredPosts:
    """A corpus in two files of several row groups."""
    scored = make_scored(1000)
    scored[:300].write_parquet(tmp_path / "a.parquet", row_group_size=70)
    scored[300:].write_parquet(tmp_path / "b.parquet", row_group_size=90)
    return open_scored([str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")])


def test_a_label_of_few_posts_is_drawn_whole() -> None:
    rare = pl.col("id") % 20_000 == 0
    p = {"negative": 0.0, "neutral": 0.1, "positive": 0.9}
    scored = make_scored(60_000).with_columns(
        pl.when(rare).then(p[label]).otherwise(p["positive" if label == "negative" else "neutral"]).alias(f"p_{label}")
        for label in LABELS
    )
    design = draw_from(open_scored(scored), 100, Question(), None, 1)
    assert {0, 20_000, 40_000} <= set(design.posts["place"])


def test_a_share_of_all_is_every_random_number() -> None:
    assert find_limit(1.0) == (1 << 64) - 1
    assert find_limit(0.0) == 0


def test_the_same_posts_are_drawn_from_files_as_from_a_frame(several: ScoredPosts) -> None:
    first, second = (
        draw_from(each, 100, Question(), None, 1).posts for each in (several, open_scored(make_scored(1000)))
    )
    assert first["place"].to_list() == second["place"].to_list()


def test_posts_are_taken_in_order_from_the_row_groups_that_hold_them(several: ScoredPosts) -> None:
    whole = make_scored(1000)
    places = pl.Series([999, 3, 300, 299, 69, 70])
    assert several.take(places.to_numpy(), ["text"]).frame.collect()["text"].to_list() == [
        whole["text"][place] for place in sorted(places)
    ]
    assert several.take(places.to_numpy(), []).frame.collect().width == 1


def test_the_design_names_the_file_and_the_row_of_each_post(several: ScoredPosts) -> None:
    posts = draw_sheet(several, SampleOptions(("x",), plan=True, labels=60)).design.posts
    for row in posts.iter_rows(named=True):
        assert Path(row["source"]).name == ("a.parquet" if row["place"] < 300 else "b.parquet")
        assert row["row"] == row["place"] - (0 if row["place"] < 300 else 300)


def test_columns_of_the_user_that_are_called_as_ours_are_none() -> None:
    scored = make_scored(100).with_columns(source=pl.lit("Twitter for iPhone"), row=pl.lit("seven"))
    posts = draw_sheet(open_scored(scored), SampleOptions(("x",), plan=True, labels=60)).design.posts
    assert posts["row"].to_list() == posts["place"].to_list()
    assert set(posts["source"]) == {"the frame"}
