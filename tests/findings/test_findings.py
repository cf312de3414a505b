from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from sentimm import findings
from sentimm.errors import ColumnError, InputError, UsageError
from sentimm.findings import sample, shares
from sentimm.findings.drawing import make_random
from sentimm.findings.scored import PLACE
from tests.findings.corpora import LABELS, label_sheet, make_scored
from tests.support.profile import IN_CI


@pytest.fixture(scope="module")
def scored() -> pl.DataFrame:
    return make_scored()


def test_intervals_hold_the_true_shares(scored: pl.DataFrame) -> None:
    sheet, design = sample(scored, labels=400, seed=3)
    table = shares(scored, label_sheet(sheet, scored), design, by="party")
    assert table["group"].to_list() == [None] * 3 + ["blue"] * 3 + ["green"] * 3 + ["red"] * 3
    truth = scored["truth"].value_counts(normalize=True)
    true = dict(truth.iter_rows())
    for row in table.filter(pl.col("group").is_null()).iter_rows(named=True):
        assert row["low"] - 0.01 <= true[row["label"]] <= row["high"] + 0.01
        assert row["posts"] == 2000
        assert row["labels"] == 400
    assert table.group_by("group").agg(pl.col("share").sum())["share"].to_list() == pytest.approx([1.0] * 4, abs=1e-9)


def test_the_functions_stay_functions(scored: pl.DataFrame) -> None:
    # A module of the same name would take their place in the package once they have been called.
    for _ in range(2):
        sheet, design = findings.sample(scored, labels=60)
        assert len(findings.shares(scored, label_sheet(sheet, scored), design)) == 3


@pytest.mark.slow
def test_intervals_cover_what_they_say() -> None:
    # A slice of benchmarks/coverage.py through the public functions: sheets of 150 labels.
    scored = make_scored(1500, seed=7)
    true = dict(scored["truth"].value_counts(normalize=True).iter_rows())
    hits = []
    for seed in range(200 if IN_CI else 60):
        sheet, design = sample(scored, labels=150, seed=seed)
        table = shares(scored, label_sheet(sheet, scored), design)
        hits += [row["low"] <= true[row["label"]] <= row["high"] for row in table.iter_rows(named=True)]
    assert np.mean(hits) >= 0.91


def test_each_text_is_labelled_once_and_counts_for_all_its_drawn_posts(scored: pl.DataFrame) -> None:
    sheet, design = sample(scored, labels=1500)
    assert sheet["text"].n_unique() == len(sheet) < 1500 == len(design.posts)
    assert set(design.posts["sheet_id"]) == set(sheet["sheet_id"])


def test_the_same_seed_draws_the_same_posts_and_a_larger_sheet_holds_the_smaller(scored: pl.DataFrame) -> None:
    first, small = sample(scored, labels=100, seed=5)
    again, _ = sample(scored.lazy(), labels=100, seed=5)
    assert first.equals(again)
    _, other = sample(scored, labels=100, seed=6)
    assert set(other.posts["place"]) != set(small.posts["place"])
    _, large = sample(scored, labels=140, seed=5)  # with as many bins, so in the same strata
    assert len(set(small.posts["place"]) - set(large.posts["place"])) <= 3  # where a stratum gets fewer of more


def test_random_numbers_never_change() -> None:
    # Sheets are extended by the same numbers, perhaps years later.
    expected = [
        8885481569514498392,
        13712827590553679507,
        5845884627912908155,
    ]
    places = pl.DataFrame({PLACE: pl.Series([0, 1, 2], dtype=pl.UInt32)})
    assert places.select(make_random(1)).to_series().to_list() == expected


def test_groups_get_the_labels_that_were_asked_for(scored: pl.DataFrame) -> None:
    _, design = sample(scored, labels=90, by="party", per_group=40)
    drawn = scored.with_row_index("place").join(design.posts.with_columns(pl.col("place").cast(pl.UInt32)), on="place")
    assert drawn["party"].value_counts()["count"].min() >= 40


def test_groups_that_were_drawn_apart_may_be_asked_about_otherwise(scored: pl.DataFrame) -> None:
    sheet, design = sample(scored, labels=300, by="party", per_group=80)
    labelled = label_sheet(sheet, scored)
    true = dict(scored["truth"].value_counts(normalize=True).iter_rows())
    for asked in ({"time": "created_at", "every": "quarter"}, {"by": "party"}, {"where": "likes < 50"}):
        table = shares(scored, labelled, design, **asked)  # type: ignore[arg-type]
        whole = table.filter(pl.col("group").is_null() & pl.col("period").is_null())
        assert whole["share"].sum() == pytest.approx(1, abs=1e-9)
        if "where" not in asked:
            for row in whole.iter_rows(named=True):
                assert row["low"] - 0.02 <= true[row["label"]] <= row["high"] + 0.02


def test_periods_and_conditions(scored: pl.DataFrame) -> None:
    sheet, design = sample(scored, labels=600)
    table = shares(scored, label_sheet(sheet, scored), design, where="likes >= 50", time="created_at", every="quarter")
    assert table["period"].unique().sort().to_list() == [None, "1970-Q1", "1970-Q2", "1970-Q3", "1970-Q4"]
    assert table["posts"][0] == len(scored.filter(pl.col("likes") >= 50))
    assert (table["low"] <= table["share"]).all()


def test_without_labels_no_interval_is_given(scored: pl.DataFrame) -> None:
    table = shares(scored, by="party")
    assert table["share"].null_count() == table["low"].null_count() == len(table)
    counted = dict(scored["sentiment"].value_counts(normalize=True).iter_rows())
    assert dict(table.select("label", "share_counted").head(3).iter_rows()) == pytest.approx(counted)


def test_no_share_is_below_0(scored: pl.DataFrame) -> None:
    # A model that sees 10% of a label that no post has: the correction may take more than that away.
    none = scored.with_columns(p_positive=0.1, truth=pl.lit("negative"))
    for seed in range(5):
        sheet, design = sample(none, labels=60, seed=seed)
        table = shares(none, label_sheet(sheet, none), design)
        assert table.select(pl.all_horizontal(pl.col("low", "share", "high").is_between(0, 1))).to_series().all()
        assert (table["low"] <= table["high"]).all()


def test_a_group_with_few_labels_has_no_interval() -> None:
    scored = make_scored(2000).with_columns(party=pl.when(pl.col("id") < 20).then(pl.lit("rare")).otherwise("party"))
    sheet, design = sample(scored, labels=100)
    table = shares(scored, label_sheet(sheet, scored), design, by="party").filter(pl.col("group") == "rare")
    assert table["share"].null_count() == 3
    assert table["note"][0] is not None and "too few labels" in table["note"][0]


def test_posts_without_an_answer_are_left_out(scored: pl.DataFrame) -> None:
    holes = scored.with_columns(
        pl.when(pl.col("id") < 100).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("sentiment", *(f"p_{label}" for label in LABELS))
    )
    assert shares(holes)["posts"][0] == 1900
    _, design = sample(holes, labels=200)
    assert design.posts["place"].min() >= 100


@pytest.mark.parametrize(
    ("ask", "kind", "message"),
    [
        (lambda scored: shares(scored.drop("p_neutral", "p_negative", "p_positive")), ColumnError, "no probabilities"),
        (lambda scored: shares(scored.drop("sentiment")), ColumnError, "no scored posts"),
        (lambda scored: shares(scored, where="likes > 1000"), InputError, "No scored post meets"),
        (lambda scored: shares(scored, where="likes >"), UsageError, "can't be understood"),
        (lambda scored: shares(scored, by="partei"), ColumnError, "did you mean 'party'"),
        (lambda scored: shares(scored, time="likes"), ColumnError, "no dates or times"),
        (lambda scored: shares(scored, sample(scored)[0]), UsageError, "design"),
        (lambda scored: shares(scored, *sample(scored)), InputError, "no labels yet"),
    ],
)
def test_what_can_not_be_answered_is_a_sentence(scored, ask, kind, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(kind, match=message):
        ask(scored)


def test_unknown_and_double_labels(scored: pl.DataFrame) -> None:
    sheet, design = sample(scored, labels=100)
    labelled = label_sheet(sheet, scored)
    with pytest.raises(ColumnError, match="has the label 'great': write"):
        shares(scored, labelled.with_columns(label=pl.lit("great")), design)
    other = labelled.with_columns(
        label=pl.when(pl.col("label") == "positive").then(pl.lit("neg")).otherwise(pl.lit("pos"))
    )
    with pytest.raises(UsageError, match="twice, and differently"):
        shares(scored, pl.concat([labelled, other.head(1)]), design)
    repeated = shares(scored, pl.concat([labelled, labelled.head(5)]), design)
    assert_frame_equal(repeated, shares(scored, labelled, design))  # sums of many threads differ in the last digit
