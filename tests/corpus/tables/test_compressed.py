"""Compressed tables: cut off, damaged, of several members, under the suffix of another format."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from sentimm.errors import InputError, TableError
from tests.support.posts.reading import survey, write
from tests.support.posts.scored_tables import HEADER, OK, Score, fail

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

POSTS = HEADER + b"".join(b"%d,post %d\n" % (row, row * 7919 % 65_537) for row in range(20_000))


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2", ".xz"])
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


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2", ".xz"])
@pytest.mark.parametrize("garbage", [b"garbage", b"\1" * 512, b"\x1f\x8b", b"\x28\xb5", b"BZh9", b"\xfd7zXZ"])
def test_what_follows_a_compressed_file_is_never_taken_for_its_end(tmp_path: Path, suffix: str, garbage: bytes) -> None:
    path = write(tmp_path / f"posts.csv{suffix}", POSTS)
    path.write_bytes(path.read_bytes() + garbage)
    assert "cut off or damaged" in fail(TableError, path)


@pytest.mark.parametrize(
    "compress",
    [gzip.compress, lambda data: pa.compress(data, codec="zstd", asbytes=True), bz2.compress, lzma.compress],
)
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
    for name, data in (
        ("1.csv.gz", POSTS),
        ("2.csv", gzip.compress(POSTS, mtime=0)),
        ("3.csv.zst", gzip.compress(POSTS, mtime=0)),
        ("5.csv", bz2.compress(POSTS)),
        ("6.csv.gz", lzma.compress(POSTS)),
    ):
        (tmp_path / name).write_bytes(data)
        assert survey(tmp_path / name).rows == 20_000
    (tmp_path / "4.csv.gz").write_bytes(gzip.compress(b""))
    assert "is empty" in fail(TableError, tmp_path / "4.csv.gz")


def compress_long(data: bytes) -> bytes:
    """Compress as Pushshift does, whose frames have a window of 2 GB."""
    options = {zstd.CompressionParameter.checksum_flag: 1, zstd.CompressionParameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=options)
    frame = bytearray(compressor.compress(data) + compressor.flush())
    assert not frame[4] & 0x20  # the byte behind is the window's size
    frame[5] = (31 - 10) << 3
    return bytes(frame)


@pytest.mark.parametrize("name", ["RC_2019-01.zst", "RC_2019-01.ndjson.zst", "submissions.2019.zst"])
def test_a_dump_of_pushshift_is_read(tmp_path: Path, name: str) -> None:
    lines = [b'{"id": "%d", "body": "good %d", "score": 1}\n' % (row, row) for row in range(20_000)]
    path = tmp_path / name
    path.write_bytes(compress_long(b"".join(lines[:9000])) + compress_long(b"".join(lines[9000:])))
    found = survey(path)
    assert (found.rows, found.sources[0].format, found.choice.text) == (20_000, "ndjson", "body")
    data = path.read_bytes()
    for cut in (len(data) - 1, len(data) * 3 // 4, len(data) // 4):
        path.write_bytes(data[:cut])
        assert "cut off or damaged" in fail(TableError, path)


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2", ".xz"])
def test_a_compressed_file_of_another_name_is_read_by_its_content(tmp_path: Path, suffix: str) -> None:
    for content, kind in ((POSTS, "csv"), (POSTS.replace(b",", b"\t"), "tsv"), (b'{"text": "good"}\n', "ndjson")):
        assert survey(write(tmp_path / f"posts{suffix}", content)).sources[0].format == kind
    assert "The format of" in fail(InputError, write(tmp_path / f"posts{suffix}", b"hello\nworld\n"))
    message = fail(InputError, write(tmp_path / f"posts.parquet{suffix}", POSTS))
    unpacker = {".gz": "gunzip", ".zst": "unzstd", ".bz2": "bunzip2", ".xz": "unxz"}[suffix]
    assert message.endswith(f"compressed: decompress it (`{unpacker} posts.parquet{suffix}`).")


def test_padding_of_xz_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv.xz"
    path.write_bytes(lzma.compress(POSTS) + b"\0" * 8 + lzma.compress(b"20000,last\n") + b"\0" * 4)
    assert survey(path).rows == 20_001


@pytest.mark.parametrize("header", [b"B", b"BZh", b"BZh9", b"BZh91AY", b"("])
def test_a_text_that_begins_like_a_compressed_file_is_text(tmp_path: Path, header: bytes) -> None:
    assert survey(write(tmp_path / "posts.csv", header + b",text\n1,good\n")).rows == 1
