"""Text files of a post a line."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus.labels import read_labels
from sentimm.corpus.tables import lines
from sentimm.corpus.tables import text_stream as streams
from sentimm.errors import TableError
from sentimm.options import SENTIMENTS
from tests.support.commands import run
from tests.support.posts.reading import read_all, read_chunks, survey, write
from tests.support.posts.scored_tables import Score, fail


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz", ".txt.bz2", ".txt.xz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("block", [1, 7, 4 << 20])
def test_each_line_is_a_post(
    tmp_path: Path, suffix: str, end: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", block)
    texts = ["good, really", None, 'a "quote"', "schön 😀\tyes", None, "{}", "5"]
    path = write(tmp_path / f"posts{suffix}", end.join(text or "" for text in texts) + end)
    found = survey(path)
    assert (found.rows, found.texts, found.sources[0].format) == (7, 5, "text")
    assert dict(found.schema) == {"text": pl.String()}
    assert found.notes[0] == f"Each line of {path} is a post."
    assert read_all(path).texts.to_list() == texts
    assert [text for chunk in read_chunks(path, rows=2, start=3) for text in chunk.texts] == texts[3:]


def test_the_last_line_needs_no_newline(tmp_path: Path) -> None:
    assert read_all(write(tmp_path / "posts.txt", "good\n\nbad")).texts.to_list() == ["good", None, "bad"]


def test_another_encoding(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.txt", "schön\nübel\n".encode("cp1252") * 20)
    assert read_all(path).texts.to_list() == ["schön", "übel"] * 20
    assert survey(path).sources[0].encoding == "cp1252"


def test_a_line_that_is_too_long_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_RECORD_BYTES", 100)
    monkeypatch.setattr(streams, "BLOCK_BYTES", 64)
    chunk = read_all(write(tmp_path / "posts.txt", "good\n" + "x" * 1000 + "\nbad\n"))
    assert chunk.texts.to_list() == ["good", None, "bad"]
    assert [problem.row for problem in chunk.problems] == [1]


def test_what_is_no_text(tmp_path: Path) -> None:
    assert "is empty: expected one post per line" in fail(TableError, write(tmp_path / "a.txt", b""))
    assert "is not a text file" in fail(TableError, write(tmp_path / "b.txt", b"a\0b\n"))
    assert "is a ZIP archive or an Excel workbook" in fail(TableError, write(tmp_path / "c.txt", b"PK\x03\x04"))


def test_lines_come_out_scored(tmp_path: Path, score: Score) -> None:
    found = score(write(tmp_path / "posts.txt", "good\n\nbad\n"))
    assert found.texts == ["good", None, "bad"] and found.statuses == ["ok", "empty", "ok"]


def test_the_output_is_named_after_it(tmp_path: Path, tiny_bundle: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "score", write(tmp_path / "posts.txt.gz", "good\n"), "--model", tiny_bundle).code == 0
    assert Path("posts.scored.parquet").exists()


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz", ".txt.bz2"])
def test_labels_of_fasttext_are_no_text(tmp_path: Path, suffix: str) -> None:
    lines = ["__label__positive what a day", "__label__a __label__b\tbad ", "", "no label", "__label__negative"]
    path = write(tmp_path / f"train.ft{suffix}", "\n".join(lines))
    chunk = read_all(path)
    assert chunk.texts.to_list() == ["what a day", "bad ", None, "no label", ""]
    assert chunk.frame["label"].to_list() == ["positive", "a b", None, None, "negative"]
    assert read_all(path, start=3).texts.to_list() == ["no label", ""]
    assert survey(path).notes[0] == f"Each line of {path} is a post, and its beginning (__label__) the post's label."


def test_a_line_about_a_label_is_a_text(tmp_path: Path) -> None:
    lines = ["__label__positive is how fastText begins", "good", "bad"]
    assert read_all(write(tmp_path / "posts.txt", "\n".join(lines))).texts.to_list() == lines


def test_labels_of_fasttext_are_learnt_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The labels find their column by themselves."""
    path = write(tmp_path / "train.txt", "__label__positive what a day\n__label__negative bad\n")
    labelled = read_labels([read_all(path).frame["label"]], SENTIMENTS, "train.txt")
    assert labelled["label"].tolist() == [SENTIMENTS.index("positive"), SENTIMENTS.index("negative")]
    code, out, err = run(capsys, "score", str(path), "--dry-run", "--columns", "label")
    assert code == 0, err
    assert "the post's label" in out + err
