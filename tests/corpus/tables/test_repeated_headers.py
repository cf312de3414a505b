"""Records that repeat the header, as `cat a.csv b.csv` leaves them: unreadable, and of no weight for types."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus.tables import text_stream as streams
from tests.support.posts.reading import read_all, read_chunks, survey, write
from tests.support.posts.scored_tables import Score


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("header", ["id|text|likes", '"id"|"text"|"likes"', "id|text|"])
@pytest.mark.parametrize("block", [30, 4 << 20])
def test_they_are_unreadable_in_their_places(
    tmp_path: Path, suffix: str, mark: str, header: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", block)
    lines = [mark + header, "1|good|5", "2|bad", mark + header, "3|text|6", header, "4|fine|7"]
    content = "".join(f"{line}\r\n" for line in lines).replace("|", "\t" if "tsv" in suffix else ",")
    path = write(tmp_path / f"posts{suffix}", content)
    chunk = read_all(path)
    assert chunk.texts.to_list() == ["good", None, None, "text", None, "fine"]
    repeated = [problem.row for problem in chunk.problems if problem.reason == "repeats the header"]
    assert repeated == [2, 4]
    schema = survey(path).schema
    assert [schema["id"], list(schema.values())[2]] == [pl.Int64(), pl.Int64()]
    assert [text for part in read_chunks(path, rows=2, start=3) for text in part.texts] == ["text", None, "fine"]


def test_a_post_that_is_named_like_the_only_column_is_one(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", "text\ntext\nother\n")
    assert read_all(path).texts.to_list() == ["text", "other"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_cells_as_long_as_the_name_of_the_first_column_are_posts(tmp_path: Path, suffix: str) -> None:
    lines = ["tweet|likes", "tweek|5", "great|6", '""|7', "|8", "tweet|likes", "tweet|9"]
    content = "".join(f"{line}\n" for line in lines).replace("|", "\t" if "tsv" in suffix else ",")
    chunk = read_all(write(tmp_path / f"posts{suffix}", content))
    assert chunk.texts.to_list() == ["tweek", "great", "", None, None, "tweet"]
    assert [problem.row for problem in chunk.problems] == [4]


def test_they_come_out_with_their_status(tmp_path: Path, score: Score) -> None:
    found = score(write(tmp_path / "posts.csv", "id,text\n1,good\nid,text\n2,bad\n"))
    assert found.statuses == ["ok", "row_unreadable", "ok"]
    assert "row 1 of" in found.notes[-1] and "repeats the header" in found.notes[-1]
