"""Records that are all longer or shorter than the header: read where that is plain, an error where none can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import fail
from tests.support.posts.reading import read_all, survey, write


def write_table(folder: Path, suffix: str, *lines: str) -> Path:
    mark = "\t" if suffix.startswith(".tsv") else ","
    return write(folder / f"posts{suffix}", "".join(line.replace("|", mark) + "\n" for line in lines))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz"])
def test_an_empty_field_at_the_end_of_every_record_is_a_column(tmp_path: Path, suffix: str) -> None:
    path = write_table(tmp_path, suffix, "id|text", "1|good|", "2|bad|")
    assert read_all(path).texts.to_list() == ["good", "bad"]
    found = survey(path)
    assert list(found.schema) == ["id", "text", "column_3"]
    (note,) = found.notes
    assert "one field more in every record" in note


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.zst"])
@pytest.mark.parametrize("quote", ['"', ""])
def test_names_of_rows_as_r_writes_them_are_a_column(tmp_path: Path, suffix: str, quote: str) -> None:
    lines = [f"{quote}{n}{quote}|{n + 100}|{quote}text {n}{quote}" for n in range(1, 5)]
    path = write_table(tmp_path, suffix, f"{quote}id{quote}|{quote}text{quote}", *lines)
    assert read_all(path).texts.to_list() == [f"text {n}" for n in range(1, 5)]
    assert list(survey(path).schema) == ["column_1", "id", "text"]
    assert "as R writes it" in survey(path).notes[0]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_table_without_a_readable_record_is_an_error(
    tmp_path: Path, suffix: str, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_table(tmp_path, suffix, "id|text", "1|good| you", "2|bad| you")
    code, message = fail(capsys, "score", path, "--model", tiny_bundle, "-o", tmp_path / "out.parquet")
    assert code == 2
    assert f"No record of {path} can be read as a row" in message and "has 3 fields where the header has 2" in message
    fixed = write_table(tmp_path, suffix, "id|text|more", "1|good| you", "2|bad| you")
    assert read_all(fixed).texts.to_list() == ["good", "bad"]


def test_one_record_that_fits_is_enough(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", "id,text\n1,good,\n2,bad\n")
    assert read_all(path).texts.to_list() == [None, "bad"]
