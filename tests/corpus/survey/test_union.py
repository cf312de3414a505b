"""Inputs whose columns differ, as monthly exports do: what must agree, and what --union fills."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus import Survey
from sentimm.errors import ColumnError
from tests.support.posts.reading import read_all, read_chunks, survey

SUFFIXES = ("csv", "tsv", "ndjson", "parquet", "arrow")
PAIRS = pytest.mark.parametrize("suffixes", [*((each, each) for each in SUFFIXES), *pairwise(SUFFIXES)])
JANUARY = {"id": [1, 2], "text": ["a", "b"], "likes": [3, None]}
FEBRUARY = {"id": [3, 4], "text": ["c", "d"], "shares": [0.5, 1.5]}


def write_table(folder: Path, name: str, columns: dict[str, list[object]]) -> Path:
    frame, path = pl.DataFrame(columns), folder / name
    match path.suffix:
        case ".csv":
            frame.write_csv(path)
        case ".tsv":
            frame.write_csv(path, separator="\t")
        case ".ndjson":
            frame.write_ndjson(path)
        case ".parquet":
            frame.write_parquet(path)
        case _:
            frame.write_ipc(path)
    return path


def write_months(folder: Path, suffixes: tuple[str, str]) -> tuple[Path, Path]:
    first, second = suffixes
    return write_table(folder, f"1.{first}", JANUARY), write_table(folder, f"2.{second}", FEBRUARY)  # type: ignore[arg-type]


@PAIRS
def test_union_fills_with_null_in_order_of_appearance(tmp_path: Path, suffixes: tuple[str, str]) -> None:
    months = write_months(tmp_path, suffixes)
    read = read_all(*months, union=True)
    assert read.frame.drop("source").to_dict(as_series=False) == {
        "id": [1, 2, 3, 4],
        "text": ["a", "b", "c", "d"],
        "likes": [3, None, None, None],
        "shares": [None, None, 0.5, 1.5],
        "row": [0, 1, 0, 1],
    }
    assert read.frame.schema["likes"] == pl.Int64 and read.frame.schema["shares"] == pl.Float64
    assert read.texts.to_list() == ["a", "b", "c", "d"]
    for start in range(4):
        chunks = list(read_chunks(*months, rows=1, start=start, union=True))
        assert pl.concat([each.frame for each in chunks]).equals(read.frame.slice(start))
    assert "Filled with null in the inputs that lack them: likes, shares." in survey(*months, union=True).notes


@PAIRS
def test_columns_decides_what_must_agree(tmp_path: Path, suffixes: tuple[str, str]) -> None:
    months = write_months(tmp_path, suffixes)
    assert read_all(*months, columns=("id",)).frame["id"].to_list() == [1, 2, 3, 4]
    if suffixes == ("ndjson", "ndjson"):  # a missing key is a null
        return
    with pytest.raises(ColumnError) as raised:
        survey(*months)
    assert str(raised.value) == (
        f"The inputs' columns differ: {months[0]} lacks shares, which {months[1]} has; {months[1]} lacks likes, which "
        f"{months[0]} has. Use --union to fill what an input lacks with null, or --columns to keep only columns that "
        "all have, such as --columns text,id."
    )
    proposed = shlex.split(re.findall(r"--columns (\S+)\.", str(raised.value))[0])[0].split(",")
    assert survey(*months, columns=tuple(proposed)).rows == 4
    with pytest.raises(ColumnError, match=r"2\.\w+ lacks likes, which"):
        survey(*months, columns=("id", "likes"))
    with pytest.raises(ColumnError, match="--columns names 'like'"):
        survey(*months, columns=("id", "like"))
    assert list(survey(*months, columns=("likes", "id"), union=True).schema)[:2] == ["likes", "id"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_column_that_posts_are_read_from_may_not_lack_everywhere(tmp_path: Path, suffix: str) -> None:
    one = write_table(tmp_path, f"1.{suffix}", {"id": [1], "text": ["a"]})
    two = write_table(tmp_path, f"2.{suffix}", {"id": [2], "message": ["b"]})
    for union in (True,) if suffix == "ndjson" else (True, False):
        with pytest.raises(ColumnError, match=r"2\.\w+ has no column 'text', which the posts are read from \(its col"):
            survey(one, two, union=union)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "ndjson"])
def test_a_lacking_id_or_fuller_text_is_named(tmp_path: Path, suffix: str) -> None:
    one = write_table(tmp_path, f"1.{suffix}", {"id": [1], "text": ["a…"], "full_text": ["all"]})
    two = write_table(tmp_path, f"2.{suffix}", {"text": ["b"]})
    if suffix != "ndjson":
        with pytest.raises(
            ColumnError, match=r"2\.\w+ lacks .*\. Use --union to fill what an input lacks with null\.$"
        ):
            survey(one, two, columns=("text",))
    found = survey(one, two, union=True)
    assert f"{two} has no column 'id', which posts are read from: it is null there." in found.notes
    assert read_all(one, two, union=True).texts.to_list() == ["all", "b"]


def types(found: Survey) -> list[pl.DataType]:
    return [dtype for name, dtype in found.schema.items() if name == "n"]


@pytest.mark.parametrize("suffix", ["csv", "ndjson"])
def test_types_of_text_formats_are_found_over_all_files(tmp_path: Path, suffix: str) -> None:
    def write(number: int, values: list[object]) -> Path:
        return write_table(tmp_path, f"{number}.{suffix}", {"text": ["a"] * len(values), "n": values})

    whole, halves, wide, words = write(1, [3, 4]), write(2, [0.5, 1.5]), write(3, [2**53 + 1]), write(4, ["x"])
    nothing = write(5, [None])
    assert types(survey(whole, halves, union=True)) == [pl.Float64()]
    assert read_all(whole, halves, union=True).frame["n"].to_list() == [3, 4, 0.5, 1.5]
    assert types(survey(whole, wide, union=True)) == [pl.Int64()]
    assert types(survey(wide, halves, union=True)) == [pl.String()]
    assert read_all(wide, halves, union=True).frame["n"].to_list() == ["9007199254740993", "0.5", "1.5"]
    assert types(survey(whole, words, union=True)) == [pl.String()]
    assert types(survey(nothing, halves, union=True)) == [pl.Float64()]
    assert types(survey(whole, halves)) == [pl.String()]  # as jobs of earlier versions have it


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (pl.Int8, pl.Int32, pl.Int32),
        (pl.UInt8, pl.UInt16, pl.UInt16),
        (pl.UInt8, pl.Int8, pl.Int16),
        (pl.UInt32, pl.Int8, pl.Int64),
        (pl.UInt64, pl.Int8, pl.String),
        (pl.Int32, pl.Float64, pl.Float64),
        (pl.Float32, pl.Float64, pl.Float64),
        (pl.Int64, pl.Float64, pl.String),
        (pl.Boolean, pl.Int8, pl.String),
    ],
)
def test_types_of_parquet_are_widened_where_that_loses_nothing(
    tmp_path: Path, first: type[pl.DataType], second: type[pl.DataType], expected: type[pl.DataType]
) -> None:
    paths = []
    for number, dtype in enumerate((first, second)):
        paths.append(tmp_path / f"{number}.parquet")
        pl.DataFrame({"text": ["a"], "n": pl.Series([1]).cast(dtype)}).write_parquet(paths[-1])
    assert types(survey(*paths, union=True)) == [expected()]
    read = read_all(*paths, union=True).frame["n"].to_list()
    assert read in ([1, 1], ["1", "1"], ["true", "1"], ["1", "1.0"])


@pytest.mark.parametrize("dtype", [pl.List(pl.Int8), pl.Binary(), pl.Struct({"a": pl.Int8}), pl.Datetime(), pl.UInt8()])
def test_columns_of_every_type_are_filled(tmp_path: Path, dtype: pl.DataType) -> None:
    one = write_table(tmp_path, "1.csv", {"text": ["a"]})
    pl.DataFrame({"text": ["b"], "n": pl.Series([None], dtype=dtype)}).write_parquet(tmp_path / "2.parquet")
    read = read_all(one, tmp_path / "2.parquet", union=True).frame
    assert read.schema["n"] == dtype and read["n"].to_list() == [None, None]
