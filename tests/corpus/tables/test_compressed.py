"""Compressed tables: cut off, damaged, of several members, under the suffix of another format."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from sentimm.errors import TableError
from tests.support.reading import survey, write
from tests.support.scored_tables import HEADER, OK, Score, fail

POSTS = HEADER + b"".join(b"%d,post %d\n" % (row, row * 7919 % 65_537) for row in range(20_000))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_file_that_is_cut_off_is_one_sentence(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"posts.csv{suffix}", POSTS)
    data = path.read_bytes()
    for cut in (1, 2, 3, 4, 10, 18, 19, 100, len(data) // 3, len(data) // 2, len(data) - 8, len(data) - 1):
        path.write_bytes(data[:cut])
        message = fail(TableError, path)
        assert message.startswith(f"{path} can't be read to its end") and "cut off or damaged" in message


def test_the_rows_before_a_damage_are_told_and_can_be_scored(
    tmp_path: Path, score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentimm.corpus.tables.text_stream.BLOCK_BYTES", 20_000)
    path = write(tmp_path / "posts.csv.gz", POSTS)
    path.write_bytes(path.read_bytes()[:-9])
    message = fail(TableError, path)
    rows = int(message.rpartition("--limit ")[2].partition(" ")[0])
    assert f"Its first {rows:,} rows can be read" in message
    assert 10_000 < rows < 20_000
    assert score(path, limit=rows).statuses == [OK] * rows


@pytest.mark.parametrize("garbage", [b"garbage", b"\0" * 512, b"\x1f\x8b"])
def test_what_follows_a_compressed_file_is_never_taken_for_its_end(tmp_path: Path, garbage: bytes) -> None:
    path = write(tmp_path / "posts.csv.gz", POSTS)
    path.write_bytes(path.read_bytes() + garbage)
    assert "cut off or damaged" in fail(TableError, path)


@pytest.mark.parametrize("compress", [gzip.compress, lambda data: pa.compress(data, codec="zstd", asbytes=True)])
@pytest.mark.parametrize("size", [3, 1000, 100_000])
def test_all_members_of_a_compressed_file_are_read(
    tmp_path: Path, compress: Callable[[bytes], bytes], size: int
) -> None:
    content = POSTS[: 400 * size]
    parts = [content[first : first + size] for first in range(0, len(content), size)]
    path = tmp_path / "posts.csv.gz"
    path.write_bytes(compress(b"") + b"".join(map(compress, parts)) + compress(b""))
    assert survey(path).rows == survey(write(tmp_path / "plain.csv", content)).rows


def test_what_a_file_holds_counts_and_not_its_suffix(tmp_path: Path) -> None:
    for name, data in (("1.csv.gz", POSTS), ("2.csv", gzip.compress(POSTS)), ("3.csv.zst", gzip.compress(POSTS))):
        (tmp_path / name).write_bytes(data)
        assert survey(tmp_path / name).rows == 20_000
    (tmp_path / "4.csv.gz").write_bytes(gzip.compress(b""))
    assert "is empty" in fail(TableError, tmp_path / "4.csv.gz")
