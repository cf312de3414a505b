"""Awkward Parquet, end to end: every row comes out once, or one sentence says why none does."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sentimm.errors import ColumnError, SentimmError, TableError
from tests.support.posts.reading import read_all, survey
from tests.support.posts.scored_tables import EMPTY, OK, Score, fail, write_parquet


def test_nested_columns_are_kept(tmp_path: Path, score: Score) -> None:
    columns = {
        "text": ["a", "b"],
        "list": [[1], []],
        "struct": [{"a": 1, "b": ["x"]}] * 2,
        "map": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
        "fixed": pa.array([[1, 2], [3, 4]], pa.list_(pa.int32(), 2)),
        "nothing": pa.nulls(2),
        "far": pa.array([2**31 - 1, -(2**31)], pa.date32()),
        "": ["no", "name"],
    }
    found = score(write_parquet(tmp_path / "posts.parquet", columns))
    assert found.statuses == [OK, OK]
    assert found.frame.columns[: len(columns)] == list(columns)
    assert found.frame["list"].to_list() == [[1], []]
    assert found.frame["struct"].to_list() == [{"a": 1, "b": ["x"]}] * 2
    assert found.frame[""].to_list() == ["no", "name"]


@pytest.mark.parametrize(
    ("values", "statuses"),
    [
        (pa.array([1, None]), [OK, EMPTY]),
        (pa.array([1.5, float("nan")]), [OK, OK]),
        (pa.array([True, None]), [OK, EMPTY]),
        (pa.array([date(2020, 1, 1), None]), [OK, EMPTY]),
        (pa.array([2**31 - 1, 0], pa.date32()), [EMPTY, OK]),
        (pa.array([2**62, 0], pa.timestamp("ms")), [EMPTY, OK]),
        (pa.array([2**62, 0], pa.timestamp("us", "UTC")), [EMPTY, OK]),
        (pa.array([b"a\xff", None]), [OK, EMPTY]),
        (pa.array(["a", None]).dictionary_encode(), [OK, EMPTY]),
        (pa.array([Decimal("1.50"), None]), [OK, EMPTY]),
        (pa.array(["a", "b"], pa.large_string()), [OK, OK]),
        (pa.nulls(2), [EMPTY, EMPTY]),
        (pa.array([" \t\u2003", ""]), [EMPTY, EMPTY]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_texts_of_other_types_are_read_as_written(
    tmp_path: Path, score: Score, values: pa.Array, statuses: list[str]
) -> None:
    found = score(write_parquet(tmp_path / "posts.parquet", {"text": values}))
    assert found.statuses == statuses


@pytest.mark.parametrize(
    "values",
    [[[1], []], [{"a": 1}] * 2, pa.array([[("k", 1)]] * 2, pa.map_(pa.string(), pa.int64())), [timedelta(1)] * 2],
    ids=["list", "struct", "map", "duration"],
)
def test_columns_that_hold_no_text_or_name_are_not_taken_for_one(tmp_path: Path, score: Score, values: object) -> None:
    path = write_parquet(tmp_path / "posts.parquet", {"caption": ["a", "b"], "image": values, "id": values})
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (8, 8)).save(images / "1.png")
    assert score(path).statuses == [OK, OK]
    assert score(path, images=images, allow_missing=True).statuses == [OK, OK]
    assert "not images: choose another" in fail(ColumnError, path, images=images, image_column="image")
    assert "not ids: choose another" in fail(ColumnError, path, images=images, id_column="id")
    path = write_parquet(tmp_path / "posts.parquet", {"text": values})
    assert "not text: choose another" in fail(ColumnError, path)


def test_dates_as_names_and_ids_of_images(tmp_path: Path, score: Score) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (8, 8)).save(images / "2020-01-01.png")
    days = pa.array([date(2020, 1, 1), None]).cast(pa.int32()).to_pylist()
    values = pa.array([days[0], 2**31 - 1], pa.date32())
    path = write_parquet(tmp_path / "posts.parquet", {"text": ["a", "b"], "id": values})
    found = score(path, images=images)
    assert found.frame["modality"].to_list() == ["text+image", "text"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "No text column found (columns: none)"),
        ({"text": ["a"], "a\0b": ["x"]}, "a NUL in the name of the column"),
        ({"text": ["a"], "n": pa.array([Decimal("1.5")], pa.decimal256(50, 2))}, "decimal256(50, 2)"),
    ],
)
def test_parquet_that_cannot_be_carried_over_is_one_sentence(
    tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    assert message in fail(SentimmError, write_parquet(tmp_path / "posts.parquet", columns))


def test_a_column_that_cannot_be_carried_over_can_be_left_out(tmp_path: Path, score: Score) -> None:
    wide = pa.array([Decimal("1.5")], pa.decimal256(50, 2))
    path = write_parquet(tmp_path / "posts.parquet", {"text": ["a"], "id": wide, "n": wide})
    message = fail(TableError, path)
    assert message.startswith(f"{path} has a column 'id' of the type decimal256(50, 2)")
    assert message.endswith("leave it out with --columns.")
    assert score(path, columns=("text",)).texts == ["a"]
    assert "holds Object, not text" in fail(ColumnError, path, text_column="n", columns=("text",))


def test_numbers_that_are_of_two_types_in_two_files_become_text_with_a_note(tmp_path: Path) -> None:
    one = write_parquet(tmp_path / "1.parquet", {"text": ["a"], "likes": [3], "n": [1]})
    two = write_parquet(tmp_path / "2.parquet", {"text": ["b"], "likes": [2.5], "n": [2]})
    found = survey(one, two)
    assert (found.schema["likes"], found.schema["n"]) == (pl.String, pl.Int64)
    assert found.notes == (
        f"The column 'likes' is Int64 in {one} and Float64 in {two}: it is written as text, so that no value changes.",
    )
    assert read_all(one, two).frame["likes"].to_list() == ["3", "2.5"]
    assert survey(one, two, columns=("n",)).notes == ()


def test_no_rows_make_an_output_of_no_rows(tmp_path: Path, score: Score) -> None:
    path = write_parquet(tmp_path / "posts.parquet", {"text": pa.array([], pa.string())})
    assert score(path).frame.shape == (0, 8)
    pq.ParquetWriter(path, pa.schema([("text", pa.string())])).close()
    assert score(path).frame.shape == (0, 8)


def test_a_parquet_file_that_is_cut_off_is_one_sentence(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "posts.parquet", {"text": [f"post {row}" for row in range(5000)]})
    data = path.read_bytes()
    for cut in (0, 3, 4, 8, 100, len(data) // 2, len(data) - 8, len(data) - 1):
        path.write_bytes(data[:cut])
        assert fail(TableError, path).startswith(f"{path} can't be read as Parquet")
    path.write_bytes(data[:200] + b"\xff" * 60 + data[260:])
    assert fail(TableError, path).startswith(f"{path} is damaged")
