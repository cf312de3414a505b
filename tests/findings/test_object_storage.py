"""Scored posts on a server, where files are read a row group at a time."""

from __future__ import annotations

import io
import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from sentimm.findings.estimation import count_corpus
from sentimm.findings.question import Question
from sentimm.findings.scored import open_scored
from tests.findings.corpora import label_sheet, make_scored
from tests.support.commands import fail, run
from tests.support.stores.file_systems import MemoryStore

URL = "memory://posts/scored"


@pytest.fixture
def scored(memory: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """Posts that lie in two parts in object storage and in `local.parquet`."""
    import fsspec

    monkeypatch.chdir(tmp_path)
    scored = make_scored(1000)
    for number, rows in enumerate((scored[:300], scored[300:])):
        buffer = io.BytesIO()
        rows.write_parquet(buffer, row_group_size=90)
        fsspec.filesystem("memory").pipe_file(f"posts/scored/part-{number}.parquet", buffer.getvalue())
    scored.write_parquet("local.parquet")
    return scored


@pytest.mark.parametrize(
    "question",
    [
        Question(),
        Question(by="party", time="created_at", every="quarter"),
        Question(where="likes > 50 AND p_positive > 0.5", by="party"),
        Question(where="text LIKE '%7%'"),
    ],
)
def test_shares_are_those_of_local_posts(scored: pl.DataFrame, question: Question) -> None:
    assert_frame_equal(
        count_corpus(open_scored([URL]), question).table, count_corpus(open_scored(["local.parquet"]), question).table
    )


def test_the_first_rows_and_single_columns_of_a_scan(scored: pl.DataFrame) -> None:
    frame = open_scored([URL]).frame
    assert frame.head(350).collect().drop("__place").equals(scored.head(350))
    assert frame.select(pl.len()).collect().item() == 1000
    assert frame.select("likes").collect()["likes"].to_list() == scored["likes"].to_list()


def test_from_scored_posts_on_a_server_to_a_page_there(
    scored: pl.DataFrame, memory: MemoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, source in (("far", URL), ("near", "local.parquet")):
        assert run(capsys, "sample", source, "--labels", 100, "-o", f"{name}.csv").code == 0
        label_sheet(pl.read_csv(f"{name}.csv", infer_schema=False), scored).write_csv(f"{name}.csv")
    far, near = (pl.read_parquet(f"{name}.design.parquet") for name in ("far", "near"))
    assert far["place"].to_list() == near["place"].to_list()
    found = run(capsys, "shares", URL, "--labels", "far.csv", "--by", "party", "-o", "memory://posts/out.csv", "--json")
    assert found.code == 0, found.err
    other = run(capsys, "shares", "local.parquet", "--labels", "near.csv", "--by", "party", "--json")
    for one, two in zip(json.loads(found.out)["shares"], json.loads(other.out)["shares"], strict=True):
        assert one == pytest.approx(two)
    assert memory.read("memory://posts/out.csv").startswith(b"group,period,label")
    outputs = ("-o", "memory://posts/page.html", "--figures", "memory://posts/figures")
    assert run(capsys, "report", URL, "--labels", "far.csv", *outputs).code == 0
    assert memory.read("memory://posts/page.html").startswith(b"<!doctype html>")
    assert "memory://posts/figures/shares.svg" in memory.list_keys()


def test_sheets_lie_on_this_machine(scored: pl.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    assert "copy the sheet" in fail(capsys, "shares", URL, "--labels", "memory://posts/sheet.csv")[1]
    assert "must be a path on this machine" in fail(capsys, "sample", URL, "-o", "memory://posts/sheet.csv")[1]
    assert fail(capsys, "shares", "memory://posts/gone") == (2, "There is no file memory://posts/gone.")
