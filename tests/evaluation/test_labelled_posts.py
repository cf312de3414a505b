from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sentimm.corpus import Chunk
from sentimm.corpus.labels import NO_LABEL
from sentimm.errors import ColumnError, UsageError
from sentimm.evaluation.labelled_posts import (
    LabelledChunk,
    LeftOut,
    choose_posts,
    count_input_rows,
    find_label_columns,
    number_labels,
)
from sentimm.evaluation.options import EvaluateOptions

LABELS = ("negative", "neutral", "positive")


def number(frame: pl.DataFrame, *tables: tuple[str, int], labels: tuple[str, ...] | None = None) -> list[int]:
    options = EvaluateOptions(inputs=("posts.csv",), labels=labels)
    found = number_labels(frame, tables or [("posts.csv", len(frame))], {"label": "label"}, LABELS, options)
    return [int(each) for each in found["label"]]


def test_labels_of_sides_are_found_where_they_are() -> None:
    assert find_label_columns("t", ["text", "mood", "text_label"], "mood") == {
        "label": "mood",
        "text_label": "text_label",
    }
    with pytest.raises(ColumnError, match=r"t has no column 'label' \(its columns: text\)"):
        find_label_columns("t", ["text"], "label")


def test_labels_become_indices_in_the_order_of_the_model() -> None:
    frame = pl.DataFrame({"label": ["positive", None, "Negative"]})
    assert number(frame) == [2, NO_LABEL, 0]
    assert number(pl.DataFrame({"label": ["1", "0"]}), labels=("positive", "negative")) == [0, 2]


def test_each_table_spells_labels_in_its_own_way() -> None:
    frame = pl.DataFrame({"label": ["-1", "0", "1", "0", "1", "2"]})
    assert number(frame, ("signed.csv", 3), ("places.csv", 3)) == [0, 1, 2, 0, 1, 2]


def test_a_label_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="--labels names calm, but the model's labels are negative, neutral, positive"):
        number(pl.DataFrame({"label": ["calm"]}), labels=("calm",))


def test_posts_without_a_label_or_row_are_left_out_and_counted() -> None:
    frame = pl.DataFrame({"id": [0, 1, 2]})
    chunk = Chunk(0, frame, pl.Series(["a", "b", "c"]), [None] * 3, np.array([False, False, True]))
    left_out = LeftOut()
    chosen = choose_posts(LabelledChunk(chunk, {"label": np.array([1, NO_LABEL, 0])}), None, left_out)
    assert chosen.chunk.frame["id"].to_list() == [0]
    assert chosen.labels["label"].tolist() == [1]
    assert (left_out.unlabelled, left_out.unreadable, left_out.seen) == (1, 1, 0)


def test_the_files_of_a_glob_are_one_table(tmp_path: Path) -> None:
    for name in ("a-1.csv", "a-2.csv", "b.csv"):
        (tmp_path / name).write_text("text\n")
    inputs = (str(tmp_path / "a-*.csv"), str(tmp_path / "b.csv"))
    assert count_input_rows(inputs, [2, 3, 4]) == [(inputs[0], 5), (inputs[1], 4)]
