"""Words for nothing (NA, NULL, nan, \\N) in columns of numbers, ids and images."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus import is_found
from tests.support.posts.reading import read_all, survey

WORDS = ["NA", "NULL", "nan", "None", "\\N"]
FORMATS = pytest.mark.parametrize("suffix", ["csv", "tsv", "ndjson", "parquet", "arrow"])


def write(folder: Path, suffix: str, columns: dict[str, list[object]]) -> Path:
    path = folder / f"posts.{suffix}"
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    strings = pl.DataFrame(
        {name: [None if each is None else str(each) for each in cells] for name, cells in columns.items()}
    )
    match suffix:
        case "csv" | "tsv":
            strings.write_csv(path, separator="\t" if suffix == "tsv" else ",")
        case "ndjson":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case "parquet":
            strings.write_parquet(path)
        case _:
            strings.write_ipc(path)
    return path


@FORMATS
@pytest.mark.parametrize("column", ["id", "image"])
def test_words_for_nothing_find_no_image(tmp_path: Path, suffix: str, column: str) -> None:
    (tmp_path / "images").mkdir()
    for name in (*WORDS, "-", "7"):
        (tmp_path / "images" / f"{name}.jpg").touch()
    cells = [*WORDS, "-", "7"]
    path = write(tmp_path, suffix, {column: cells, "text": list("abcdefg")})
    for null_values, expected in ((None, 2), (("-",), 1), ((), 2)):
        options = {"images": tmp_path / "images", "null_values": null_values}
        found = survey(path, **options)
        read = read_all(path, **options)
        assert (found.images_named, found.images_found) == (expected, expected)
        assert sum(map(is_found, read.images)) == expected
        assert read.images[0] is None
        assert read.frame[column].to_list() == cells  # as they came


@pytest.mark.parametrize("suffix", ["csv", "tsv", "ndjson"])
@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([3, "NA", 4, None], pl.Int64(), [3, None, 4, None]),
        ([0.5, "NA", -999, 2.5], pl.Float64(), [0.5, None, None, 2.5]),
        (["NA", "NA", None, "NA"], pl.String(), ["NA", "NA", None, "NA"]),
        (["x", "NA", None, "y"], pl.String(), ["x", "NA", None, "y"]),
        ([1, "NA", "x", 2], pl.String(), ["1", "NA", "x", "2"]),
        ([1, "NULL", "NA", 2], pl.String(), ["1", "NULL", "NA", "2"]),
    ],
)
def test_words_that_are_named_are_null_among_numbers(
    tmp_path: Path, suffix: str, values: list[object], dtype: pl.DataType, expected: list[object]
) -> None:
    path = write(tmp_path, suffix, {"text": list("abcd"), "n": values})
    column = read_all(path, null_values=("NA", "-999")).frame["n"]
    assert (column.dtype, column.to_list()) == (dtype, expected)
    strings = [None if each is None else str(each) for each in values]
    assert read_all(path, null_values=("NA", "-999"), infer_types=False).frame["n"].to_list() == strings


@pytest.mark.parametrize("suffix", ["csv", "tsv", "ndjson"])
def test_words_that_are_not_named_stay(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, suffix, {"text": list("abc"), "n": [3, "NA", 4]})
    assert read_all(path).frame["n"].to_list() == ["3", "NA", "4"]
    assert read_all(path, null_values=()).frame["n"].to_list() == ["3", "NA", "4"]


def test_strings_of_json_stay_strings(tmp_path: Path) -> None:
    path = write(tmp_path, "ndjson", {"text": list("abc"), "n": ["007", "NA", "4"]})
    assert read_all(path, null_values=("NA",)).frame["n"].to_list() == ["007", "NA", "4"]


@pytest.mark.parametrize("suffix", ["csv", "ndjson"])
def test_words_in_one_file_take_the_type_of_another(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "b").mkdir()
    one = write(tmp_path, suffix, {"text": ["a"], "n": ["NA"]})
    two = write(tmp_path / "b", suffix, {"text": ["b"], "n": [3]})
    assert read_all(one, two, null_values=("NA",)).frame["n"].to_list() == [None, 3]
