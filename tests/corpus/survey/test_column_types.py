from __future__ import annotations

import datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentimm.corpus.survey.column_types import TypeInference, convert_series
from sentimm.corpus.tables.base import Block
from tests.support.reading import read_all, write

NUMBERS = st.from_regex(r"[+-]?0?[0-9]{1,20}(\.[0-9]{0,3})?(e[0-9])?", fullmatch=True)
CELLS = (
    NUMBERS
    | st.integers(-(2**63), 2**64).map(str)
    | st.floats().map(str)
    | st.dates().map(str)
    | st.sampled_from(["true", "false", "True", "NaN", "inf", "1_000", " 1", "2026-02-30", "٣", ""])
)


def infer(*values: str | None) -> pl.DataType | None:
    inference = TypeInference()
    inference.add(Block(pl.DataFrame({"a": pl.Series(values, dtype=pl.String)}), len(values)))
    return inference.find_types()["a"]


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(st.lists(CELLS | st.none(), max_size=4))
def test_every_value_survives_its_column_s_type(values: list[str | None]) -> None:
    series = pl.Series("a", values, dtype=pl.String)
    dtype = infer(*values)
    if dtype is None:
        assert set(values) <= {None, ""}
    else:
        back = convert_series(series, dtype, "posts.csv").cast(pl.String).to_list()
        assert back == [value or None for value in values] or (dtype == pl.String and back == values)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["1", "-20", None, ""], pl.Int64),
        (["9223372036854775807"], pl.Int64),
        (["9223372036854775808"], pl.String),
        (["0012345678901234567"], pl.String),
        (["1", "007"], pl.String),
        (["-0"], pl.String),
        (["1.5", "-0.25"], pl.Float64),
        (["1.50"], pl.String),
        (["1", "1.5"], pl.String),
        (["1.0", "1.5"], pl.Float64),
        (["nan"], pl.String),
        (["NaN", "inf"], pl.String),
        (["true", "false", None], pl.Boolean),
        (["True", "False"], pl.String),
        (["2026-05-01", "2024-02-29"], pl.Date),
        (["2026-5-1"], pl.String),
        (["2026-02-30"], pl.String),
        (["2026-05-01T10:00:00"], pl.String),
        (["hello", "1"], pl.String),
        ([" 1"], pl.String),
    ],
)
def test_types(values: list[str | None], dtype: pl.DataType) -> None:
    assert infer(*values) == dtype


def test_columns_without_values_decide_nothing() -> None:
    assert infer(None, "") is None
    assert infer() is None


def test_one_value_far_down_decides() -> None:
    assert infer(*map(str, range(5000)), "x") == pl.String


def test_a_table_gets_its_types_unless_they_are_not_wanted(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", 'id,text,day,likes,empty\n007,a,2026-05-01,3,\n8,"",2026-05-02,"",\n')
    frame = read_all(path).frame
    assert frame.to_dict(as_series=False) == {
        "id": ["007", "8"],
        "text": ["a", ""],
        "day": [datetime.date(2026, 5, 1), datetime.date(2026, 5, 2)],
        "likes": [3, None],
        "empty": [None, None],
    }
    assert set(read_all(path, infer_types=False).frame.dtypes) == {pl.String}


def test_files_are_judged_together(tmp_path: Path) -> None:
    one = write(tmp_path / "1.csv", "text,n,m,k\na,1,1,\n")
    two = write(tmp_path / "2.csv", "text,n,m,k\nb,x,2,3\n")
    assert read_all(one, two).frame.select("n", "m", "k").to_dict(as_series=False) == {
        "n": ["1", "x"],
        "m": [1, 2],
        "k": [None, 3],
    }
