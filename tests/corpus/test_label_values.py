"""Labels in spellings of a data set's own, which `--labels VALUE=LABEL,...` names."""

from __future__ import annotations

import re
import shlex

import polars as pl
import pytest

from sentimm.corpus.label_guess import guess_labels
from sentimm.corpus.labels import NO_LABEL, note_absent_labels, read_labels
from sentimm.errors import ColumnError, UsageError
from sentimm.evaluation.options import EvaluateOptions
from sentimm.options import SENTIMENTS, split_label_values

_GRADES = "very negative=negative,negative=negative,neutral=neutral,positive=positive,very positive=positive"
_STARS = "1=negative,2=negative,3=neutral,4=positive,5=positive"


def read(cells: list[object], given: str) -> list[str | None]:
    labels, pairs = split_label_values(tuple(given.split(",")))
    numbers = read_labels([pl.Series("label", cells)], labels, "posts.csv", pairs)["label"]
    return [None if number == NO_LABEL else labels[number] for number in numbers]


@pytest.mark.parametrize(
    ("given", "cells", "expected"),
    [
        ("0=negative,2=neutral,4=positive", [0, 4, 2, None], ["negative", "positive", "neutral", None]),
        ("0=negative,4=positive", ["4.0", " 0 ", "0.0", ""], ["positive", "negative", "negative", None]),
        ("0=negative,4=positive", [4.0, float("nan"), 0.0], ["positive", None, "negative"]),
        (_STARS, ["5", "1", "3", "2"], ["positive", "negative", "neutral", "negative"]),
        (_GRADES, ["Very Positive", "NEUTRAL", "very negative "], ["positive", "neutral", "negative"]),
        ("N=negative,P=positive,NEU=neutral", ["p", "neu", "N"], ["positive", "neutral", "negative"]),
        ("LABEL_0=negative,LABEL_2=positive", ["label_2", "LABEL_0"], ["positive", "negative"]),
        ("-1=positive,0=neutral,1=negative", [-1, 0, 1], ["positive", "neutral", "negative"]),
        ("true=joy,false=anger", [True, False], ["joy", "anger"]),
        ("a=b=joy,c=anger", ["a=b", "c"], ["joy", "anger"]),
    ],
)
def test_values_stand_for_what_the_option_says(given: str, cells: list[object], expected: list[str | None]) -> None:
    assert read(cells, given) == expected


def test_a_labels_own_name_needs_no_pair() -> None:
    assert read(["0", "Positive", "neg"], "0=negative,4=positive") == ["negative", "positive", "negative"]
    assert read(["positive", "negative"], "positive=negative,negative=positive") == ["negative", "positive"]


def test_the_three_sentiments_come_in_their_usual_order_and_others_as_they_appear() -> None:
    assert split_label_values(("P=positive", "N=negative", "X=neutral"))[0] == SENTIMENTS
    assert split_label_values(("1=joy", "2=anger", "3=Joy"))[0] == ("joy", "anger")
    assert split_label_values(("joy", "anger")) == (("joy", "anger"), ())


def test_a_value_without_a_pair_is_counted() -> None:
    message = r"'3' \(2 posts\), 'x' \(1 post\)\. Add to --labels what they stand for"
    with pytest.raises(ColumnError, match=rf"posts\.csv has labels in the column 'label' .*: {message}"):
        read(["0", "3.0", "x", "3", "4"], "0=negative,4=positive")
    with pytest.raises(ColumnError, match=r": '1' \(1 post\), .*'5' \(1 post\), 2 more\."):
        read(list(range(8)), "0=negative")


@pytest.mark.parametrize("given", [("0=negative", "positive"), ("=negative", "1=positive"), ("0=", "1=positive")])
def test_pairs_have_two_sides(given: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"--labels has '.*' among pairs: write all as VALUE=LABEL"):
        EvaluateOptions(inputs=("posts.csv",), labels=given)


def test_a_value_has_one_label() -> None:
    with pytest.raises(UsageError, match="--labels gives '4' two labels"):
        read(["4"], "4=positive,4.0=negative")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([0, 4], "--labels 0=negative,4=positive"),
        ([4.0, 0.0, float("nan"), 2.0], "--labels 0=negative,2=neutral,4=positive"),
        (["0", "1", "2", "3", "4"], "--labels 0=negative,1=negative,2=neutral,3=positive,4=positive"),
        ([1, 2, 3, 4, 5], f"--labels {_STARS}"),
        ([1, 5], "--labels 1=negative,5=positive"),
        ([1, 2, 3], "--labels 1=negative,2=neutral,3=positive"),
        ([-2, -1, 0, 1, 2], "--labels -1=negative,-2=negative,0=neutral,1=positive,2=positive"),
        (["LABEL_0", "LABEL_1", "LABEL_2"], "--labels LABEL_0=negative,LABEL_1=neutral,LABEL_2=positive"),
        (["__label__1", "__label__2"], "--labels __label__1=negative,__label__2=positive"),
        (["N", "P", "NEU", "NONE"], "--labels N=negative,NEU=neutral,NONE=neutral,P=positive"),
        (["very negative", "Positive"], "--labels 'very negative=negative,Positive=positive'"),
    ],
)
def test_the_error_offers_what_the_values_are_likely_to_mean(cells: list[object], expected: str) -> None:
    with pytest.raises(ColumnError) as error:
        read_labels([pl.Series("label", cells)], SENTIMENTS, "posts.csv")
    assert str(error.value).endswith(f"such as {expected}.")
    offered = re.search(r"--labels (.*)\.$", str(error.value))
    assert offered is not None
    assert set(read(cells, *shlex.split(offered[1]))) <= {*SENTIMENTS, None}  # followed literally


@pytest.mark.parametrize(
    "values",
    [
        ("positive", "mixed"),
        ("N", "negative", "positive"),
        ("0", "3"),
        ("2", "4"),
        ("4",),
        ("P", "P+"),
        (),
        tuple(map(str, range(20))),
        ("very negative, really", "positive"),
    ],
)
def test_nothing_is_guessed_of_values_that_may_mean_something_else(values: tuple[str, ...]) -> None:
    assert guess_labels(values) == {}


def test_labels_that_no_post_has_are_named() -> None:
    numbers = read_labels([pl.Series("label", [0, 2, None])], SENTIMENTS, "posts.csv")["label"]
    assert note_absent_labels(numbers, SENTIMENTS, "post") == ("No post has the label 'neutral'.",)
    assert note_absent_labels(numbers[:1], SENTIMENTS, "post") == (
        "No post has one of the labels 'neutral', 'positive'.",
    )
