"""Excel workbooks: the first sheet with posts, cells with their types, numbers that Excel rounded named."""

from __future__ import annotations

import datetime
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter

from sentimm.errors import InputError, MissingExtraError, TableError
from tests.support.commands import run
from tests.support.posts.reading import read_all, read_chunks, survey, write
from tests.support.posts.scored_tables import Score, fail

DAY = datetime.datetime(2024, 1, 2, 3, 4, 5)
POSTS = [
    ["id", "text", "likes", "share", "when", "ok", "mixed"],
    [1, "good", 5, 1 / 3, DAY, True, "a"],
    [2, "two\nlines", 0, 2.0, DAY, False, 7],
    [None, None, None, None, None, None, None],
    [3, None, None, None, None, None, None],
]


def write_workbook(path: Path, sheets: dict[str, Sequence[Sequence[Any]]], first_row: int = 0, left: int = 0) -> Path:
    with xlsxwriter.Workbook(path) as workbook:
        format_ = workbook.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        for name, rows in sheets.items():
            sheet = workbook.add_worksheet(name)
            for row, cells in enumerate(rows, start=first_row):
                for column, cell in enumerate(cells, start=left):
                    if isinstance(cell, datetime.datetime):
                        sheet.write_datetime(row, column, cell, format_)
                    elif cell is not None:
                        sheet.write(row, column, cell)
    return path


@pytest.mark.parametrize("suffix", [".xlsx", ".xlsm"])
@pytest.mark.parametrize("place", [(0, 0), (3, 2)])
def test_cells_have_their_types(tmp_path: Path, suffix: str, place: tuple[int, int], capfd) -> None:
    path = write_workbook(tmp_path / f"posts{suffix}", {"Sheet1": POSTS}, *place)
    found = survey(path)
    assert dict(found.schema) == {
        "id": pl.Int64(),
        "text": pl.String(),
        "likes": pl.Int64(),
        "share": pl.Float64(),
        "when": pl.Datetime("ms"),
        "ok": pl.Boolean(),
        "mixed": pl.String(),
    }
    assert (found.rows, found.texts, found.notes, found.sources[0].format) == (4, 2, (), "excel")
    chunk = read_all(path)
    assert chunk.texts.to_list() == ["good", "two\nlines", None, None]
    assert chunk.frame["id"].to_list() == [1, 2, None, 3]
    assert chunk.frame["share"].to_list()[:2] == [1 / 3, 2.0]
    assert chunk.frame["when"].to_list()[0] == DAY
    assert chunk.frame["mixed"].to_list()[:2] == ["a", "7"]
    assert [text for part in read_chunks(path, rows=1, start=1) for text in part.texts] == ["two\nlines", None, None]
    assert capfd.readouterr() == ("", "")


def test_the_first_sheet_with_posts_is_read(tmp_path: Path) -> None:
    sheets = {"Empty": [], "About": [["made by", "Ann"], ["on", "Monday"]], "Posts": POSTS, "More": POSTS}
    path = write_workbook(tmp_path / "posts.xlsx", sheets)
    found = survey(path)
    assert found.rows == 4
    assert found.notes[0] == f"{path} has 4 sheets: 'Posts' is read, the first one with posts."


def test_without_usual_names_it_is_the_first_that_holds_rows(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "a.xlsx", {"Head": [["x"]], "A": [["Autor", "Beitrag"], ["Ann", "gut"]]})
    assert read_all(path, text_column="Beitrag").texts.to_list() == ["gut"]


@pytest.mark.parametrize("title", [[["My report"]], [["Report:", "of 2024"], [], ["From", "Monday"], []]])
def test_rows_above_the_header_are_left_out(tmp_path: Path, title: list[list[str]]) -> None:
    path = write_workbook(tmp_path / "posts.xlsx", {"Sheet1": [*title, *POSTS]})
    assert read_all(path).texts.to_list() == ["good", "two\nlines", None, None]
    assert "above its header, which are left out" in survey(path).notes[0]


def test_numbers_that_excel_rounded_are_named(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "posts.xlsx", {"A": [["id", "text"], [1593847593847593847, "good"], [1, "bad"]]})
    (note,) = survey(path).notes
    assert "Excel rounded numbers of more than 15 digits" in note and "the column id holds ids" in note
    fixed = write_workbook(tmp_path / "posts.xlsx", {"A": [["id", "text"], ["1593847593847593847", "good"]]})
    assert survey(fixed).notes == ()
    assert read_all(fixed).frame["id"].to_list() == ["1593847593847593847"]


def test_without_a_header_columns_are_named_by_their_places(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "posts.xlsx", {"A": POSTS[1:]})
    assert survey(path, no_header=True, text_column="column_2").rows == 4


def test_columns_without_a_name(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "a.xlsx", {"A": [["id", "", "text", ""], [1, "x", "good", ""]]})
    assert list(survey(path).schema) == ["id", "column_2", "text"]
    path = write_workbook(tmp_path / "b.xlsx", {"A": [["id", "text", "id"], [1, "good", 2]]})
    assert "more than one column named 'id'" in fail(TableError, path)


def test_it_is_scored_beside_other_tables(tmp_path: Path, score: Score) -> None:
    found = score(write_workbook(tmp_path / "posts.xlsx", {"A": POSTS}))
    assert found.statuses == ["ok", "ok", "empty", "empty"]
    first = write_workbook(tmp_path / "a.xlsx", {"A": [["id", "text"], [1, "good"]]})
    assert survey(first, write(tmp_path / "b.csv", "id,text\n2,bad\n")).schema["id"] == pl.Int64()


def test_what_is_no_workbook(tmp_path: Path) -> None:
    assert "is empty: expected a sheet" in fail(TableError, write_workbook(tmp_path / "a.xlsx", {"A": []}))
    assert "is empty: expected a sheet" in fail(
        TableError, write_workbook(tmp_path / "b.xlsx", {"A": [["id", "text"]]})
    )
    data = write_workbook(tmp_path / "c.xlsx", {"A": POSTS}).read_bytes()
    for content in (b"", b"hello", data[:100], data[: len(data) // 2], b"\xd0\xcf\x11\xe0" + b"\0" * 600):
        (tmp_path / "c.xlsx").write_bytes(content)
        assert "can't be read as an Excel workbook" in fail(TableError, tmp_path / "c.xlsx")


def test_under_another_suffix_its_name_is_asked_for(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "posts.xlsx", {"A": POSTS}).rename(tmp_path / "posts.csv")
    assert "give the file the suffix of its format" in fail(TableError, path)
    assert survey(path.rename(tmp_path / "again.xlsx")).rows == 4


def test_without_the_extra_the_message_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    message = fail(MissingExtraError, write_workbook(tmp_path / "posts.xlsx", {"A": POSTS}))
    assert message.endswith("is read with an extra: pip install 'sentimm[excel]'.")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("my posts.xls", ["soffice", "--headless", "--convert-to", "xlsx", "my posts.xls"]),
        ("posts.ods", ["soffice", "--headless", "--convert-to", "xlsx", "posts.ods"]),
        ("posts.7z", ["7z", "x", "posts.7z"]),
        ("posts.rar", ["unrar", "x", "posts.rar"]),
    ],
)
def test_what_is_not_read_is_named_with_the_command_that_converts_it(
    tmp_path: Path, name: str, command: list[str]
) -> None:
    message = fail(InputError, write(tmp_path / name, b"x"))
    found = re.search(r"`(.*)`", message)
    assert found is not None and shlex.split(found[1]) == command


def test_the_output_is_named_after_it(tmp_path: Path, tiny_bundle: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_workbook(Path("posts.xlsx"), {"A": POSTS, "B": []})
    assert run(capsys, "score", "posts.xlsx", "--model", tiny_bundle).code == 0
    assert pl.read_parquet("posts.scored.parquet")["id"].to_list() == [1, 2, None, 3]
