"""The questions and ids that Qualtrics writes under the header of a CSV or TSV file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.support.posts.reading import read_all, survey, write

HEADER = ["StartDate", "ResponseId", "Q1", "Comment"]
QUESTIONS = ["Start Date", "Response ID", "How was your\nvisit, all in all?", "Anything else?"]
IDS = ['{"ImportId":"startDate","timeZone":"America/Denver"}', *(f'{{"ImportId":"QID{n}"}}' for n in range(3))]
POSTS = [["2023-01-01", "R_1", "7", "good, really"], ["2023-01-02", "R_2", "1", "bad"]]


def write_rows(path: Path, rows: list[list[str]]) -> Path:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows(rows)
    encoding = "utf-16" if path.suffix == ".tsv" else "utf-8-sig"  # as Qualtrics has it
    return write(path, file.getvalue().encode(encoding))


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_they_are_left_out(tmp_path: Path, kind: str) -> None:
    path = write_rows(tmp_path / f"survey.{kind}", [HEADER, QUESTIONS, IDS, *POSTS])
    chunk = read_all(path)
    assert chunk.texts.to_list() == ["good, really", "bad"]
    assert chunk.frame["Q1"].to_list() == [7, 1]
    assert read_all(path, start=1).texts.to_list() == ["bad"]
    assert "from Qualtrics: they are left out" in survey(path).notes[0]


@pytest.mark.parametrize("rows", [[HEADER, IDS, *POSTS], [HEADER, POSTS[0], POSTS[1], IDS]])
def test_ids_in_another_place_are_a_record(tmp_path: Path, rows: list[list[str]]) -> None:
    assert survey(write_rows(tmp_path / "survey.csv", rows)).rows == 3
