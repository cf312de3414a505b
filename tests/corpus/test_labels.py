from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from sentimm.corpus.labels import NO_LABEL, read_labels
from sentimm.errors import ColumnError
from sentimm.options import SENTIMENTS


def read(cells: list[object], labels: tuple[str, ...] = SENTIMENTS) -> list[int]:
    return read_labels([pl.Series("label", cells)], labels, "posts.csv")["label"].tolist()


@pytest.mark.parametrize(
    "cells",
    [
        ["negative", "neutral", "positive"],
        ["NEG", " neu ", "Pos"],
        ["0", "1", "2"],
        [0, 1, 2],
        [0.0, 1.0, 2.0],
        ["0.0", "+1", "2."],
        [-1, 0, 1],
        ["-1", "0", "1"],
        ["-1.0", "0.0", "1.0"],
    ],
)
def test_the_usual_spellings_of_three_sentiments_are_understood(cells: list[object]) -> None:
    assert read(cells) == [0, 1, 2]


def test_empty_cells_have_no_label() -> None:
    assert read(["positive", "", None, "  "]) == [2, NO_LABEL, NO_LABEL, NO_LABEL]
    assert read([2.0, None, float("nan")]) == [2, NO_LABEL, NO_LABEL]
    assert read([None, None]) == [NO_LABEL, NO_LABEL]


@pytest.mark.parametrize("cells", [[0, 1], ["1", "0", None], [1.0, 1.0], ["0"]])
def test_a_table_of_zeros_and_ones_is_ambiguous(cells: list[object]) -> None:
    with pytest.raises(ColumnError, match=r"posts\.csv has labels written as numbers, but only .* with --labels"):
        read(cells)


def test_the_columns_of_a_table_decide_together_what_numbers_mean() -> None:
    columns = [pl.Series("label", [-1, 0, 1]), pl.Series("text_label", [0, 1, None])]
    found = read_labels(columns, SENTIMENTS, "posts.csv")
    assert found["label"].tolist() == [0, 1, 2]
    assert found["text_label"].tolist() == [1, 2, NO_LABEL]
    assert found["text_label"].dtype == np.int64


def test_named_labels_are_found_by_name_or_by_place() -> None:
    assert read([0, 1, 1], ("negative", "positive")) == [0, 1, 1]
    assert read(["neg", "POS"], ("negative", "positive")) == [0, 1]
    assert read(["Fear", "joy"], ("joy", "anger", "fear")) == [2, 0]
    assert read([0, 4, 2], ("joy", "anger", "fear", "love", "none")) == [0, 4, 2]
    assert read([1.0, 5.0, 3.0], ("1", "2", "3", "4", "5")) == [0, 4, 2]  # a name goes before a place
    assert read([True, False], ("false", "true")) == [1, 0]
    with pytest.raises(ColumnError, match=r"row 1 \(from 0\): '0' in column 'label' is not one of the labels 1, 2, 3"):
        read([1, 0, 3], ("1", "2", "3"))


@pytest.mark.parametrize("cells", [[["joy"], ["anger", "fear"]], [b"\xff\xfe"], [{"name": "joy"}]])
def test_columns_that_hold_no_labels_are_named(cells: list[object]) -> None:
    with pytest.raises(
        ColumnError, match=r"posts\.csv: the column 'label' holds .*, but a label is one name or number"
    ):
        read(cells)


def test_sentiments_in_another_order_keep_their_meaning() -> None:
    turned = ("positive", "neutral", "negative")
    assert read([-1, 0, 1], turned) == [2, 1, 0]
    assert read([0, 1, 2], turned) == [0, 1, 2]


@pytest.mark.parametrize("cells", [["positive", "great"], [-1, 0, 2], [0, 1, 3], [0.5, 2.0]])
def test_an_unknown_label_is_named_with_its_row(cells: list[object]) -> None:
    with pytest.raises(ColumnError, match=r"'N/A' in column 'label'"):
        read(["positive", "N/A"])
    with pytest.raises(ColumnError, match=r"row 3 \(from 0\): '7' in column 'label'"):
        read([0, 1, 2, 7])
    with pytest.raises(ColumnError, match=r"row \d \(from 0\): '.*' in column 'label' is not one of .*--labels.*\."):
        read(cells)
