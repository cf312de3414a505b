"""Dirty tables, end to end: every row comes out once, or one sentence says why none does."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sentimm.corpus.tables import delimited_records as records
from sentimm.corpus.tables import ndjson
from sentimm.corpus.tables.delimited import DelimitedTable
from sentimm.corpus.tables.delimited_records import RecordSplitter
from sentimm.errors import ColumnError, InputError, SentimmError, TableError
from sentimm.events import Surveyed
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job import run_job
from tests.support.reading import read_all, survey, write

HEADER = b"id,text\n"
OK, BAD, EMPTY = "ok", "row_unreadable", "empty"


class Scored:
    """What a job made of a table."""

    def __init__(self, frame: pl.DataFrame, surveyed: Surveyed) -> None:
        self.frame = frame
        self.statuses = frame["status"].to_list()
        self.texts = frame["text"].to_list() if frame.schema.get("text") == pl.String else []
        self.notes = surveyed.notes


Score = Callable[..., Scored]


@pytest.fixture
def score(tiny_bundle: Path, tmp_path: Path) -> Iterator[Score]:
    """Score a table with the tiny bundle: what came out; a second run of the same job must find it done."""

    def score_table(path: Path, **corpus: object) -> Scored:
        events: list[object] = []
        options = ScoreOptions(
            inputs=(str(path),),
            output=tmp_path / "scored.parquet",
            model=tiny_bundle,
            corpus=CorpusOptions(**corpus),  # type: ignore[arg-type]
            threads=1,
            overwrite=True,
        )
        done = run_job(options, events.append)
        frame = pl.read_parquet(tmp_path / "scored.parquet")
        assert len(frame) == done.rows == sum(done.counts.statuses.values())
        assert not (tmp_path / "scored.parquet.job").exists()
        return Scored(frame, next(event for event in events if isinstance(event, Surveyed)))

    yield score_table


def fail(kind: type[SentimmError], path: Path, **options: object) -> str:
    """Survey a table that can't be read: the error, one or two sentences."""
    with pytest.raises(kind) as raised:
        survey(path, **options)
    message = str(raised.value)
    assert "\n" not in message and message.endswith(".") and len(message) < 600
    return message


def write_parquet(path: Path, columns: dict[str, object]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


# Encodings, newlines, quotes, shapes


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"\xef\xbb\xbfid,text\n1,a\n2,b\n", ["a", "b"]),
        (b"\xff\xfe" + "id,text\n1,é😀\n2,b\n".encode("utf-16-le"), ["é😀", "b"]),
        (b"\xfe\xff" + "id,text\n1,é😀\n2,b\n".encode("utf-16-be"), ["é😀", "b"]),
        (b"\xff\xfe" + "id,text\n1,é\n2,b".encode("utf-16-le")[:-1], ["é", "\ufffd"]),
        ("id,text\n1,café\n2,b\n".encode("latin-1"), ["caf\ufffd", "b"]),
        (b"id,text\n1,a\0b\n2,\0\n", ["a\0b", "\0"]),
        (b'id,text\n1,"a\nb\r\nc"\n2,"x\ry"\n', ["a\nb\r\nc", "x\ry"]),
        (b"id,text\r\n1,a\r\n2,b\r\n", ["a", "b"]),
        (b"id,text\r1,a\r2,b\r", ["a", "b"]),
        (b"id,text\r1,a\n2,b\r\n3,c", ["a", "b", "c"]),
        (b"id,text\n", []),
        (b"id,text", []),
        (b'text\n""\n\n"a"\n', ["", None, "a"]),
    ],
)
def test_encodings_and_newlines(tmp_path: Path, score: Score, content: bytes, texts: list[str | None]) -> None:
    found = score(write(tmp_path / "posts.csv", content))
    assert found.texts == texts
    assert found.frame.columns[-1] == "status"


def test_records_of_other_lengths_are_unreadable_in_their_places(tmp_path: Path, score: Score) -> None:
    content = b"id,text,z\n1\n2,a\n3,b,\n4,a,b,c\n,,\n,\n\n\0\n5,e,f"
    found = score(write(tmp_path / "posts.csv", content))
    assert found.statuses == [BAD, BAD, OK, BAD, EMPTY, BAD, BAD, OK]
    assert found.frame["id"].to_list() == [None, None, 3, None, None, None, None, 5]
    assert "row 0 of" in found.notes[-1] and "has 1 field where the header has 3" in found.notes[-1]


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        (b",text,", ["column_1", "text", "column_3"]),
        (b",text,column_1", ["column_1_", "text", "column_1"]),
        (b"column_2,,text", ["column_2", "column_2_", "text"]),
        (b'"a\nb",text,"c,d"', ["a\nb", "text", "c,d"]),
        ("téxt,text,\u202e".encode(), ["téxt", "text", "\u202e"]),
        ("téxt,text,z".encode("latin-1"), ["t\ufffdxt", "text", "z"]),
    ],
)
def test_strange_headers(tmp_path: Path, score: Score, header: bytes, columns: list[str]) -> None:
    found = score(write(tmp_path / "posts.csv", header + b"\n1,a,b\n"))
    assert found.frame.columns[:3] == columns
    assert found.statuses == [OK]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\r\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\xff\xfe", "is empty"),
        (b"id,te\0xt\n1,a\n", "is not a text file"),
        ("id,text\n1,a\n".encode("utf-16-le"), "is not a text file"),
        ("id,text\n1,a\n".encode("utf-32"), "is not a text file"),
        (b"id,text,id\n1,a,b\n", "more than one column named 'id'"),
        (b" ,text, \n1,a,b\n", "more than one column named ' '"),
        (b'id,"text\n1,a\n', "unbalanced quotes in its header"),
        (b"x" * 5_000_000, "a first line of more than 1 MB"),
        (b"x," * 400_000 + b"\n1\n", "more than one column named 'x'"),
        (b"x" * 900_000 + b"," + b"x" * 100_000, "a header that can't be read: field larger"),
        (b'a,"' + b"x\n" * 900_000 + b'",b', "a header that can't be read: field larger"),
        (b"x" * 100_000 + b"," + b"y" * 100_000, "xxx..., yyyyyyyyyy"),
    ],
)
def test_what_is_no_table_is_one_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    began = time.monotonic()
    path = write(tmp_path / "posts.csv", content)
    assert message in fail(SentimmError, path)
    assert time.monotonic() - began < 5


def test_very_long_cells_are_read_up_to_a_limit(tmp_path: Path, score: Score) -> None:
    cells = [b"x" * 10_000_000, b'"' + b"x\n" * 600_000 + b'"', b"y" * 1_200_000, b"z" * 21_000_000, b"good"]
    found = score(write(tmp_path / "posts.csv", HEADER + b"".join(b"1,%b\n" % cell for cell in cells)))
    assert found.statuses == [OK, OK, OK, BAD, OK]
    assert [text and len(text) for text in found.texts] == [10_000_000, 1_200_000, 1_200_000, None, 4]


# Quotes


def test_an_unclosed_quote_costs_its_line_only(tmp_path: Path, score: Score) -> None:
    lines = b"".join(b"%d,line %d\n" % (row, row) for row in range(1, 500))
    for opened in (b'0,"open\n', b'0,"open"\n1,"a"" b\n'):
        found = score(write(tmp_path / "posts.csv", HEADER + opened + lines))
        assert found.statuses.count(BAD) == 1
        assert found.statuses.count(OK) == 498 + opened.count(b"\n")


def test_a_quote_closed_far_below_is_told_with_its_row(tmp_path: Path, score: Score) -> None:
    lines = b"".join(b"%d,line %d\n" % (row, row) for row in range(2000))
    path = write(tmp_path / "posts.csv", HEADER + b'a,good\nb,"open\n' + lines + b'c,closed"\nd,good\n')
    found = score(path)
    assert found.frame["id"].to_list() == ["a", "b", "d"]
    (note,) = found.notes
    assert note.startswith(f"1 cell has more than 1 MB or 1,000 lines; the first: row 1 of {path}. Check the quotes")


@pytest.mark.parametrize(
    ("cell", "noted"),
    [
        (b"x\n" * 999, False),
        (b"x\n" * 1000, True),
        (b"x\r\n" * 1000, True),
        (b"x\r" * 1000, True),
        (b"x" * 1_000_000, False),
        (b"x" * 1_000_001, True),
        ("é".encode() * 500_001, True),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_cells_of_a_megabyte_or_a_thousand_lines_are_told(
    tmp_path: Path, cell: bytes, noted: bool, suffix: str
) -> None:
    separator = b"," if suffix == ".csv" else b"\t"
    rows = [b"0", b'"%b"' % cell], [b'"%b"' % cell, b"t"], [b"2", b"t"]
    content = b"id%btext\n%b\n" % (separator, b"\n".join(separator.join(row) for row in rows))
    found = survey(write(tmp_path / f"posts{suffix}", content))
    assert bool(found.notes) == noted
    if noted:
        assert found.notes[0].startswith("2 cells have") and "the first: row 0 of" in found.notes[0]


def test_long_cells_are_looked_for_in_what_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", b'id,text\n"%b",a\n' % (b"x\n" * 2000))
    assert survey(path).notes
    assert survey(path, infer_types=False, columns=("text",), id_column="text").notes == ()
    lines = b"".join(b'{"text": "a", "long": "%b"}\n' % (b"x" * 2_000_000) for _ in range(2))
    assert survey(write(tmp_path / "posts.ndjson", lines)).notes == ()


def test_a_limit_ends_the_search_for_long_cells(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", HEADER + b"1,a\n" + b"2,%b\n" % (b"x" * 1_100_000))
    assert survey(path, limit=1).notes == ()


@pytest.mark.parametrize(
    "content",
    [
        b'x","y\n' * 60_000,
        b'x","y\n' * 30_000 + b'"junk"x,1\n' + b"1,2\n" * 30_000,
        b'1,"oops\n' + b'2,""\n' * 60_000,
        b'"\n",' * 60_000 + b"\n",
        b'1,"' + b'""' * 100_000 + b"\n",
        b'1,"x\n' * 60_000,
    ],
    ids=["open lines", "open lines before junk", "doubled quotes after a stray one", "one record", "doubled", "open"],
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_quotes_out_of_order_take_no_longer_than_their_bytes(tmp_path: Path, content: bytes, suffix: str) -> None:
    if suffix == ".tsv":
        content = content.replace(b",", b"\t")
    path = write(
        tmp_path / f"posts{suffix}", b"id\ttext\n" * (suffix == ".tsv") + HEADER * (suffix == ".csv") + content
    )
    began = time.monotonic()
    blocks = list(DelimitedTable(path, suffix[1:]).read_blocks(None))
    assert sum(block.rows for block in blocks) > 0
    assert time.monotonic() - began < 5  # hours, where every line was read to the end of the file


def test_damaged_lines_do_not_depend_on_what_was_found_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 13)
    buffer = b'x","y\n,x","y\n1,"\r'
    found = RecordSplitter(",", skip_blank=False, literal_quotes=False).split(buffer, final=False)
    assert (found.good, found.damaged, found.size) == (b"", ((0, b'x","y'),), 6)


# Compressed files

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


# Parquet


def test_nested_columns_are_kept(tmp_path: Path, score: Score) -> None:
    columns = {
        "text": ["a", "b"],
        "list": [[1], []],
        "struct": [{"a": 1, "b": ["x"]}] * 2,
        "map": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
        "fixed": pa.array([[1, 2], [3, 4]], pa.list_(pa.int32(), 2)),
        "nothing": pa.nulls(2),
        "far": pa.array([2**31 - 1, -(2**31)], pa.date32()),
        "": ["no", "name"],
    }
    found = score(write_parquet(tmp_path / "posts.parquet", columns))
    assert found.statuses == [OK, OK]
    assert found.frame.columns[: len(columns)] == list(columns)
    assert found.frame["list"].to_list() == [[1], []]
    assert found.frame["struct"].to_list() == [{"a": 1, "b": ["x"]}] * 2
    assert found.frame[""].to_list() == ["no", "name"]


@pytest.mark.parametrize(
    ("values", "statuses"),
    [
        (pa.array([1, None]), [OK, EMPTY]),
        (pa.array([1.5, float("nan")]), [OK, OK]),
        (pa.array([True, None]), [OK, EMPTY]),
        (pa.array([date(2020, 1, 1), None]), [OK, EMPTY]),
        (pa.array([2**31 - 1, 0], pa.date32()), [EMPTY, OK]),
        (pa.array([2**62, 0], pa.timestamp("ms")), [EMPTY, OK]),
        (pa.array([2**62, 0], pa.timestamp("us", "UTC")), [EMPTY, OK]),
        (pa.array([b"a\xff", None]), [OK, EMPTY]),
        (pa.array(["a", None]).dictionary_encode(), [OK, EMPTY]),
        (pa.array([Decimal("1.50"), None]), [OK, EMPTY]),
        (pa.array(["a", "b"], pa.large_string()), [OK, OK]),
        (pa.nulls(2), [EMPTY, EMPTY]),
        (pa.array([" \t\u2003", ""]), [EMPTY, EMPTY]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_texts_of_other_types_are_read_as_written(
    tmp_path: Path, score: Score, values: pa.Array, statuses: list[str]
) -> None:
    found = score(write_parquet(tmp_path / "posts.parquet", {"text": values}))
    assert found.statuses == statuses


@pytest.mark.parametrize(
    "values",
    [[["a"], []], [{"a": 1}] * 2, pa.array([[("k", 1)]] * 2, pa.map_(pa.string(), pa.int64())), [timedelta(1)] * 2],
    ids=["list", "struct", "map", "duration"],
)
def test_columns_that_hold_no_text_or_name_are_not_taken_for_one(tmp_path: Path, score: Score, values: object) -> None:
    path = write_parquet(tmp_path / "posts.parquet", {"caption": ["a", "b"], "image": values, "id": values})
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (8, 8)).save(images / "1.png")
    assert score(path).statuses == [OK, OK]
    assert score(path, images=images, allow_missing=True).statuses == [OK, OK]
    assert "not images: choose another" in fail(ColumnError, path, images=images, image_column="image")
    assert "not ids: choose another" in fail(ColumnError, path, images=images, id_column="id")
    path = write_parquet(tmp_path / "posts.parquet", {"text": values})
    assert "not text: choose another" in fail(ColumnError, path)


def test_dates_as_names_and_ids_of_images(tmp_path: Path, score: Score) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (8, 8)).save(images / "2020-01-01.png")
    days = pa.array([date(2020, 1, 1), None]).cast(pa.int32()).to_pylist()
    values = pa.array([days[0], 2**31 - 1], pa.date32())
    path = write_parquet(tmp_path / "posts.parquet", {"text": ["a", "b"], "id": values})
    found = score(path, images=images)
    assert found.frame["modality"].to_list() == ["text+image", "text"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "No text column found (columns: none)"),
        ({"text": ["a"], "a\0b": ["x"]}, "a NUL in the name of the column"),
        ({"text": ["a"], "n": pa.array([Decimal("1.5")], pa.decimal256(50, 2))}, "decimal256(50, 2)"),
    ],
)
def test_parquet_that_cannot_be_carried_over_is_one_sentence(
    tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    assert message in fail(SentimmError, write_parquet(tmp_path / "posts.parquet", columns))


def test_a_column_that_cannot_be_carried_over_can_be_left_out(tmp_path: Path, score: Score) -> None:
    wide = pa.array([Decimal("1.5")], pa.decimal256(50, 2))
    path = write_parquet(tmp_path / "posts.parquet", {"text": ["a"], "id": wide, "n": wide})
    message = fail(TableError, path)
    assert message.startswith(f"{path} has a column 'id' of the type decimal256(50, 2)")
    assert message.endswith("leave it out with --columns.")
    assert score(path, columns=("text",)).texts == ["a"]
    assert "holds Object, not text" in fail(ColumnError, path, text_column="n", columns=("text",))


def test_numbers_that_are_of_two_types_in_two_files_become_text_with_a_note(tmp_path: Path) -> None:
    one = write_parquet(tmp_path / "1.parquet", {"text": ["a"], "likes": [3], "n": [1]})
    two = write_parquet(tmp_path / "2.parquet", {"text": ["b"], "likes": [2.5], "n": [2]})
    found = survey(one, two)
    assert (found.schema["likes"], found.schema["n"]) == (pl.String, pl.Int64)
    assert found.notes == (
        f"The column 'likes' is Int64 in {one} and Float64 in {two}: it is written as text, so that no value changes.",
    )
    assert read_all(one, two).frame["likes"].to_list() == ["3", "2.5"]
    assert survey(one, two, columns=("n",)).notes == ()


def test_no_rows_make_an_output_of_no_rows(tmp_path: Path, score: Score) -> None:
    path = write_parquet(tmp_path / "posts.parquet", {"text": pa.array([], pa.string())})
    assert score(path).frame.shape == (0, 8)
    pq.ParquetWriter(path, pa.schema([("text", pa.string())])).close()
    assert score(path).frame.shape == (0, 8)


def test_a_parquet_file_that_is_cut_off_is_one_sentence(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "posts.parquet", {"text": [f"post {row}" for row in range(5000)]})
    data = path.read_bytes()
    for cut in (0, 3, 4, 8, 100, len(data) // 2, len(data) - 8, len(data) - 1):
        path.write_bytes(data[:cut])
        assert fail(TableError, path).startswith(f"{path} can't be read as Parquet")
    path.write_bytes(data[:200] + b"\xff" * 60 + data[260:])
    assert fail(TableError, path).startswith(f"{path} is damaged")


# Values that look like others


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["1.0"], pl.Float64),
        (["1e5"], pl.String),
        (["00123"], pl.String),
        (["12345678901234567890"], pl.String),
        (["NaN"], pl.String),
        (["1.5", "nan"], pl.String),
        (["inf"], pl.String),
        (["9223372036854775807"], pl.Int64),
        (["-0"], pl.String),
        (["1_000"], pl.String),
        ([" 1"], pl.String),
        (["1e400"], pl.String),
        (["0000-01-01"], pl.String),
        (["0001-01-01"], pl.Date),
        (["99999-01-01"], pl.String),
        (["2020-02-30"], pl.String),
    ],
)
def test_ids_come_out_as_they_went_in(tmp_path: Path, score: Score, values: list[str], dtype: pl.DataType) -> None:
    content = HEADER.decode() + "".join(f"{value},good\n" for value in values)
    ids = score(write(tmp_path / "posts.csv", content)).frame["id"]
    assert ids.dtype == dtype
    assert ids.cast(pl.String).to_list() == values
    assert len(ids.to_list()) == len(values)


# NDJSON


def test_every_line_of_ndjson_has_its_row(tmp_path: Path, score: Score) -> None:
    lines = [
        ('{"text": "a"}', OK),
        ('{"text":', BAD),
        ('{"text": NaN}', OK),
        ('{"text": "x", "text": "b"}', OK),
        ('{"text": "\\ud800"}', OK),
        ('{"text": null, "\\u0000": 1, "": 2, "\\ud800": 3}', EMPTY),
        ("[]", BAD),
        ('{"text": ' + "[" * 150 + "]" * 150 + "}", OK),
        ('{"text": ' + "[" * 300 + "]" * 300 + "}", BAD),
        ('{"text": ' + "[" * 985 + "]" * 985 + "}", BAD),
        ('{"text": ' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "}", BAD),
        ('{"text": "' + "[" * 500 + '\\"{"}', OK),
        ('{"text": [' + "[1]," * 500 + "[2]]}", OK),
        ('{"text": "c", "n": ' + "9" * 5000 + "}", BAD),
        ('{"text": "c", "n": 1e999}', OK),
        ("\0\0", BAD),
        ("{'text': 'c'}", BAD),
        ('{"text": "d",}', BAD),
        ('{"text": "e"} {"text": "f"}', BAD),
        ('{"text": "caf\udce9"}', OK),
        ('{"text": "' + "x" * 3_000_000 + '"}', OK),
        ('{"text": "z"}', OK),
    ]
    content = "\ufeff" + "\n".join(line for line, _ in lines)
    found = score(write(tmp_path / "posts.ndjson", content.encode(errors="surrogateescape")))
    assert found.statuses == [status for _, status in lines]
    assert found.texts[2:5] == ["NaN", "b", "?"]
    assert found.frame.columns[:5] == ["text", "\ufffd", "", "?", "n"]


def test_a_line_of_twenty_megabytes_leaves_the_others_alone(tmp_path: Path, score: Score) -> None:
    lines = ['{"text": "a"}', '{"text": "' + "x" * 20_000_000 + '"}', '{"text": "c"}']
    found = score(write(tmp_path / "posts.ndjson", "\n".join(lines)))
    assert (found.statuses[0], found.texts[0]) == (OK, "a")
    assert (found.statuses[2], found.texts[2]) == (OK, "c")


def test_reasons_of_unreadable_lines(tmp_path: Path) -> None:
    lines = ['{"text":', '{"a": ' + "9" * 5000 + "}", "[" * 1000, "7"]
    chunk = read_all(write(tmp_path / "posts.ndjson", "\n".join(['{"text": "a"}', *lines])))
    assert [problem.reason for problem in chunk.problems] == [
        "is not valid JSON (Expecting value: line 1 column 9)",
        "has a number of thousands of digits",
        "is nested too deeply",
        "is not a JSON object",
    ]


@pytest.mark.parametrize(
    "content",
    ['{\n  "text": "a"\n}\n', '{"text": "a"}\r{"text": "b"}\r', "null\n[]\n3\n", '{"text": "a"} {"text": "b"}'],
)
def test_no_object_on_any_line_is_one_sentence(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "posts.json", content)
    assert fail(TableError, path).startswith(f"{path} holds no JSON object: expected one per line, but the first line")


def test_objects_of_many_keys_are_read_a_few_at_a_time(
    tmp_path: Path, score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ndjson, "_MAX_CELLS", 500)
    lines = ["no" if row % 7 == 3 else json.dumps({"text": str(row), f"key-{row % 50}": row}) for row in range(100)]
    found = score(write(tmp_path / "posts.ndjson", "\n".join(lines)))
    assert found.statuses == [BAD if row % 7 == 3 else OK for row in range(100)]
    assert found.texts == [None if row % 7 == 3 else str(row) for row in range(100)]
    assert found.frame["key-49"].drop_nulls().to_list() == [49, 99]


def test_objects_keyed_by_id_are_no_table(tmp_path: Path) -> None:
    lines = (json.dumps({"text": "a", f"id-{row}": 1}) for row in range(12_000))
    assert "more than 10,000 different keys" in fail(TableError, write(tmp_path / "posts.ndjson", "\n".join(lines)))


# Many columns, and what is no file


@pytest.mark.slow
def test_a_table_of_five_thousand_columns(tmp_path: Path, score: Score) -> None:
    header = ",".join([*(f"c{number}" for number in range(4999)), "text"])
    rows = "".join(",".join([*(str(number) for number in range(4999)), "good"]) + "\n" for _ in range(20))
    found = score(write(tmp_path / "posts.csv", f"{header}\n{rows}1,2\n"))
    assert found.statuses == [OK] * 20 + [BAD]
    assert found.frame.width == 5007
    assert found.frame["c4998"].to_list() == [4998] * 20 + [None]


def _bind_socket(path: Path) -> None:
    os.chdir(path.parent)
    socket.socket(socket.AF_UNIX).bind(path.name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "is not a regular file"),
        (_bind_socket, "is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
        (lambda path: path.symlink_to("/dev/null"), "is not a regular file"),
        (lambda path: (os.mkfifo(path.with_name("pipe")), path.symlink_to("pipe")), "is not a regular file"),
        (os.mkdir, "holds no images and no .txt files"),
        (lambda path: path.symlink_to("gone"), "is not there"),
        (lambda path: path.symlink_to(path.name), "can't be read: Too many levels of symbolic links"),
    ],
    ids=["fifo", "socket", "zero", "null", "link to a fifo", "folder", "dangling", "circle"],
)
@pytest.mark.parametrize("name", ["posts.csv", "posts.ndjson", "posts.parquet"])
@pytest.mark.filterwarnings("ignore:unclosed")
def test_what_is_no_file_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object], message: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name)
    assert message in fail(InputError, tmp_path / name)


def test_names_that_cannot_be_looked_up_are_one_sentence(tmp_path: Path) -> None:
    assert "File name too long" in fail(InputError, tmp_path / ("x" * 300 + ".csv"))
    assert "No file matches" in fail(InputError, tmp_path / ("x" * 300 + "*.csv"))
    write(tmp_path / "posts.csv", "text\na\n")
    assert "is not there" in fail(InputError, tmp_path / "posts.csv" / "more.csv")


def test_names_that_are_no_utf8_are_one_sentence(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    write(folder / "posts.csv", "text\na\n")
    for name in (folder / "posts.csv", folder, tmp_path / "*" / "posts.csv"):
        assert "is not valid UTF-8" in fail(InputError, name)
    path = write(tmp_path / "posts.csv", "text\na\n")
    assert "is not valid UTF-8" in fail(InputError, path, images=folder)


def test_a_folder_of_what_is_no_file_has_no_posts_of_it(tmp_path: Path, score: Score) -> None:
    folder = tmp_path / "posts"
    folder.mkdir()
    for name in ("a.txt", "a.jpg"):
        os.mkfifo(folder / name)
    for name, target in {"b.txt": "/dev/zero", "c.png": "/dev/zero", "d.txt": "gone", "e.txt": "e.txt"}.items():
        (folder / name).symlink_to(target)
    (folder / "f.txt").mkdir()
    names = [b"g.txt", b"new\nline.txt", b"\x1b[31m.txt", b"\xff.txt", "\u202e.txt".encode()]
    for name in names:
        with open(os.fsencode(folder) + b"/" + name, "wb") as file:  # noqa: PTH123 (bytes)
            file.write(b"good")
    found = score(folder)
    assert found.statuses == [OK] * len(names)
    assert sorted(found.frame["id"]) == sorted(["g", "new\nline", "\x1b[31m", "?", "\u202e"])


def test_a_format_under_the_suffix_of_another_is_named(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pl.DataFrame({"text": ["a"]}).write_parquet(buffer)
    assert "is a Parquet file, not CSV" in fail(TableError, write(tmp_path / "posts.csv", buffer.getvalue()))
