"""Folders that consist of tables of one text format, as Spark and Slack write them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from sentimm.corpus.inputs.find import expand_inputs
from tests.support.posts.reading import read_all

POSTS = {
    ".csv": b"id,text\n1,good\n",
    ".tsv": b"id\ttext\n1\tgood\n",
    ".json": b'{"id": 1, "text": "good"}\n',
    ".json.gz": gzip.compress(b'{"id": 1, "text": "good"}\n'),
    ".csv.gz": gzip.compress(b"id,text\n1,good\n"),
}


@pytest.mark.parametrize("suffix", POSTS)
def test_the_parts_that_spark_writes_are_read(tmp_path: Path, suffix: str) -> None:
    for part in ("part-00001", "part-00000"):
        (tmp_path / f"{part}{suffix}").write_bytes(POSTS[suffix])
    for name in ("_SUCCESS", "_committed_12", f".part-00000{suffix}.crc"):
        (tmp_path / name).touch()
    chunk = read_all(tmp_path)
    assert chunk.texts.to_list() == ["good", "good"]
    assert chunk.frame["source"].to_list() == [str(tmp_path / f"part-0000{part}{suffix}") for part in (0, 1)]


def test_the_days_of_a_channel_of_slack_are_read(tmp_path: Path) -> None:
    for day, text in (("2024-01-02", "bad"), ("2024-01-01", "good")):
        (tmp_path / f"{day}.json").write_text(json.dumps([{"type": "message", "text": text}], indent=1))
    assert read_all(tmp_path).texts.to_list() == ["good", "bad"]


def test_tables_of_several_kinds_are_not_taken_for_one(tmp_path: Path) -> None:
    for name in ("a.csv", "b.tsv"):
        (tmp_path / name).touch()
    assert expand_inputs([str(tmp_path)]) == [tmp_path]


def test_what_describes_a_table_is_no_table(tmp_path: Path) -> None:
    for name in ("tweets.csv", "dataset-metadata.json", "README.md"):
        (tmp_path / name).touch()
    assert expand_inputs([str(tmp_path)]) == [tmp_path / "tweets.csv"]
