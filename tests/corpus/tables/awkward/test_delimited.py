"""Dirty CSV and TSV, end to end: every row comes out once, or one sentence says why none does."""

from __future__ import annotations

import time
from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus.tables import delimited_records as records
from sentimm.corpus.tables.delimited import DelimitedTable
from sentimm.corpus.tables.delimited_records import RecordSplitter
from sentimm.errors import SentimmError
from tests.support.posts.reading import survey, write
from tests.support.posts.scored_tables import BAD, EMPTY, HEADER, OK, Score, fail


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"\xef\xbb\xbfid,text\n1,a\n2,b\n", ["a", "b"]),
        (b"\xff\xfe" + "id,text\n1,é😀\n2,b\n".encode("utf-16-le"), ["é😀", "b"]),
        (b"\xfe\xff" + "id,text\n1,é😀\n2,b\n".encode("utf-16-be"), ["é😀", "b"]),
        (b"\xff\xfe" + "id,text\n1,é\n2,b".encode("utf-16-le")[:-1], ["é", "\ufffd"]),
        ("id,text\n1,café\n2,b\n".encode("latin-1"), ["café", "b"]),
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
        ("téxt,text,z".encode("latin-1"), ["téxt", "text", "z"]),
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
    began = time.process_time()
    path = write(tmp_path / "posts.csv", content)
    assert message in fail(SentimmError, path)
    assert time.process_time() - began < 5


def test_very_long_cells_are_read_up_to_a_limit(tmp_path: Path, score: Score) -> None:
    cells = [b"x" * 10_000_000, b'"' + b"x\n" * 600_000 + b'"', b"y" * 1_200_000, b"z" * 21_000_000, b"good"]
    found = score(write(tmp_path / "posts.csv", HEADER + b"".join(b"1,%b\n" % cell for cell in cells)))
    assert found.statuses == [OK, OK, OK, BAD, OK]
    assert [text and len(text) for text in found.texts] == [10_000_000, 1_200_000, 1_200_000, None, 4]


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
    assert time.monotonic() - began < 60  # hours, where every line was read to the end of the file


def test_damaged_lines_do_not_depend_on_what_was_found_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 13)
    buffer = b'x","y\n,x","y\n1,"\r'
    found = RecordSplitter(",", skip_blank=False, literal_quotes=False).split(buffer, final=False)
    assert (found.good, found.damaged, found.size) == (b"", ((0, b'x","y'),), 6)


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


@pytest.mark.slow
def test_a_table_of_five_thousand_columns(tmp_path: Path, score: Score) -> None:
    header = ",".join([*(f"c{number}" for number in range(4999)), "text"])
    rows = "".join(",".join([*(str(number) for number in range(4999)), "good"]) + "\n" for _ in range(20))
    found = score(write(tmp_path / "posts.csv", f"{header}\n{rows}1,2\n"))
    assert found.statuses == [OK] * 20 + [BAD]
    assert found.frame.width == 5007
    assert found.frame["c4998"].to_list() == [4998] * 20 + [None]
