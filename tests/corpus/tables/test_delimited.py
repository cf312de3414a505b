from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentimm.corpus import CorpusReader
from sentimm.corpus.tables import delimited_records as records
from sentimm.corpus.tables import text_stream as streams
from sentimm.errors import TableError
from sentimm.options import CorpusOptions
from tests.support.posts.reading import read_all, read_chunks, survey, write

# Characters that parsers stumble over, and few others, so that they meet often.
AWKWARD = st.text(st.sampled_from(list('ab",\n\r \t;é😭0\u2028\ufeff')), max_size=6)
FIRST = ("1", "one", "")  # a record that can be read
relaxed = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


def columns_of(path: Path, **options: object) -> dict[str, list[object]]:
    return read_all(path, infer_types=False, **options).frame.to_dict(as_series=False)


@relaxed
@given(
    rows=st.lists(st.tuples(AWKWARD, AWKWARD, AWKWARD), max_size=12),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    block=st.integers(24, 90),
    chunk_rows=st.integers(1, 5),
)
def test_every_record_comes_out_once_and_unchanged(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[tuple[str, str, str]],
    newline: str,
    block: int,
    chunk_rows: int,
) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", block)
    file = io.StringIO()
    csv.writer(file, lineterminator=newline, quoting=csv.QUOTE_ALL).writerows([("id", "text", "image"), *rows])
    path = write(tmp_path / "posts.csv", file.getvalue())
    chunks = list(read_chunks(path, rows=chunk_rows, infer_types=False))
    assert [row for chunk in chunks for row in chunk.frame.rows()] == rows
    assert [chunk.start for chunk in chunks] == list(range(0, len(rows), chunk_rows))


@pytest.mark.slow
@relaxed
@given(
    fields=st.lists(st.lists(AWKWARD, min_size=1, max_size=5), max_size=12),
    block=st.integers(24, 90),
)
def test_a_record_with_another_field_count_is_unreadable_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: list[list[str]], block: int
) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", block)
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("id", "text", "image"), FIRST, *fields])
    path = write(tmp_path / "posts.csv", file.getvalue())
    rows = [row for chunk in read_chunks(path, rows=5, infer_types=False) for row in chunk.frame.rows()]
    assert rows == [FIRST, *(tuple(each) if len(each) == 3 else (None, None, None) for each in fields)]


@relaxed
@given(
    lines=st.lists(st.text(st.sampled_from(list('a",')), min_size=1, max_size=7), max_size=15),
    block=st.integers(24, 90),
)
def test_blocks_do_not_change_what_damaged_quotes_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], block: int
) -> None:
    path = write(tmp_path / "posts.csv", "\n".join(["id,text,image", *lines, "1,end,"]))
    whole = list(read_chunks(path, infer_types=False))
    monkeypatch.setattr(streams, "BLOCK_BYTES", block)
    pieces = list(read_chunks(path, infer_types=False))
    assert [chunk.frame.rows() for chunk in pieces] == [chunk.frame.rows() for chunk in whole]
    assert [chunk.problems for chunk in pieces] == [chunk.problems for chunk in whole]
    assert whole[0].frame.row(-1) == ("1", "end", None)


@pytest.mark.slow
@relaxed
@given(start=st.integers(0, 45), rows=st.integers(1, 9), block=st.integers(30, 200))
def test_a_reader_can_start_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: int, rows: int, block: int
) -> None:
    lines = [f'{n},"t\n{n}"' if n % 3 else f"{n}" for n in range(40)]
    path = write(tmp_path / "posts.csv", "\n".join(["id,text", *lines]))
    monkeypatch.setattr(streams, "BLOCK_BYTES", block)
    chunks = list(read_chunks(path, rows=rows, start=start))
    texts = [text for chunk in chunks for text in chunk.texts]
    assert texts == [f"t\n{n}" if n % 3 else None for n in range(start, 40)]
    assert [problem.row for chunk in chunks for problem in chunk.problems] == [
        n for n in range(start, 40) if n % 3 == 0
    ]
    assert chunks == [] or chunks[0].start == start


def test_null_and_the_empty_string_stay_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", 'id,text,lang\n1,"",\n2,,""\n')
    assert columns_of(path) == {"id": ["1", "2"], "text": ["", None], "lang": [None, ""]}


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.zst", ".CSV", ".Csv.GZ"])
def test_compressed_files_are_read(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"posts{suffix.lower()}", "id,text\n1,hello\n").rename(tmp_path / f"posts{suffix}")
    assert columns_of(path) == {"id": ["1"], "text": ["hello"]}


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz", ".tab"])
def test_tab_separated_files_are_read(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"posts{suffix}", 'id\ttext\n1\thello, you\n2\t"two\nlines"\n')
    assert columns_of(path) == {"id": ["1", "2"], "text": ["hello, you", "two\nlines"]}


def test_quotes_in_tab_separated_files_may_have_no_meaning(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.tsv", 'id\ttext\tlang\n1\t"hello" he said\t\n2\t"unclosed\ten\n3\tfine\t\n')
    assert columns_of(path) == {
        "id": ["1", "2", "3"],
        "text": ['"hello" he said', '"unclosed', "fine"],
        "lang": [None, "en", None],
    }


def test_a_mark_at_the_beginning_and_windows_newlines_are_no_part_of_the_table(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", "\ufeffid,text\r\n1,hello\r\n\r\n2,you\r\n\r\n")
    assert columns_of(path) == {"id": ["1", "2"], "text": ["hello", "you"]}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_with_a_mark_is_read(tmp_path: Path, encoding: str) -> None:
    text = "id,text\n" + "".join(f"{n},é😭\n" for n in range(50))
    mark = "" if encoding == "utf-16" else "\ufeff"
    path = write(tmp_path / "posts.csv", (mark + text).encode(encoding))
    assert columns_of(path)["text"] == ["é😭"] * 50


def test_characters_that_blocks_cut_in_two_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "posts.csv", "id,text\n" + "".join(f"{n},😭é\u20ac{'x' * n}\n" for n in range(40)))
    for size in (17, 18, 19, 20, 21):
        monkeypatch.setattr(streams, "BLOCK_BYTES", size)
        assert columns_of(path)["text"] == [f"😭é\u20ac{'x' * n}" for n in range(40)]


def test_an_unclosed_quote_costs_its_line_only(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", 'id,text\n1,"never closed\n2,fine\n3,"also fine"\n4,"x" y\n5,he said "hi"\n')
    chunk = read_all(path)
    assert chunk.texts.to_list() == [None, "fine", "also fine", None, 'he said "hi"']
    assert [(problem.row, problem.raw) for problem in chunk.problems] == [(0, '1,"never closed'), (3, '4,"x" y')]
    assert "quoted field" in chunk.problems[0].reason


def test_records_may_be_longer_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", 64)
    long = "x" * 500 + "\n" + "y" * 500
    path = write(tmp_path / "posts.csv", f'id,text\n1,a\n2,"{long}"\n3,c\n')
    assert columns_of(path)["text"] == ["a", long, "c"]


@pytest.mark.parametrize("long", ["x" * 3000, '"' + "x" * 3000, '"' + "x\n" * 30 + "x" * 3000])
def test_a_record_that_is_far_too_long_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: str
) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", 64)
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 1000)
    path = write(tmp_path / "posts.csv", f"id,text\n1,a\n2,{long}\n3,c\n4,d\n")
    chunk = read_all(path)
    assert chunk.texts[0] == "a"
    assert chunk.texts[-2:].to_list() == ["c", "d"]
    assert chunk.unreadable[1]
    assert not chunk.unreadable[[0, -2, -1]].any()


def test_blank_lines_are_posts_where_there_is_one_column(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", 'text\na\n\n""\nb\n')
    assert read_all(path).texts.to_list() == ["a", None, "", "b"]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_in_the_header_is_seen_and_said(tmp_path: Path, delimiter: str) -> None:
    path = write(tmp_path / "posts.csv", f"id{delimiter}text\n1{delimiter}one, two\n")
    assert columns_of(path) == {"id": ["1"], "text": ["one, two"]}
    assert "is split at" in survey(path).notes[0]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
@pytest.mark.parametrize("line", ["sep={}\n", '"sep={}"\r\n', "\ufeffSEP={}\r\n"])
def test_a_line_for_excel_names_the_delimiter(tmp_path: Path, suffix: str, delimiter: str, line: str) -> None:
    rows = f"id{delimiter}text\n1{delimiter}one\n2{delimiter}two\n"
    path = write(tmp_path / f"posts{suffix}", line.format(delimiter) + rows)
    assert columns_of(path) == {"id": ["1", "2"], "text": ["one", "two"]}
    assert "as its first line says" in survey(path).notes[0]
    assert [chunk.texts.to_list() for chunk in read_chunks(path, start=1)] == [["two"]]


def test_columns_without_a_name_are_named_by_their_place(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", ",text,\n0,hello,x\n")
    assert list(survey(path).schema) == ["column_1", "text", "column_3"]
    assert "without a name" in survey(path).notes[0]


def test_a_header_alone_is_a_table_of_no_posts(tmp_path: Path) -> None:
    for content in ("id,text", "id,text\n", "\n\nid,text\r\n"):
        found = survey(write(tmp_path / "posts.csv", content))
        assert (found.rows, list(found.schema)) == (0, ["id", "text"])
        assert list(read_chunks(tmp_path / "posts.csv")) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "{path} is empty: expected a first line of column names."),
        (b"\n\r\n", "{path} is empty: expected a first line of column names."),
        (b"\xef\xbb\xbf", "{path} is empty: expected a first line of column names."),
        (
            b"id,text,id\n1,a,2\n",
            "{path} has more than one column named 'id': rename one of them, or add --no-header if",
        ),
        (b'id,"text\n1,a\n', "{path} has unbalanced quotes in its header: fix its first line."),
        (b"PK\x03\x04abc", "{path} is a ZIP archive or an Excel workbook, not CSV: export the table as CSV"),
        (b"i\0d,t\n1,2\n", "{path} is not a text file: expected CSV in UTF-8, or give its --encoding."),
        (b"\x1f\x8bnot gzip at all", "{path} can't be read to its end"),
    ],
)
def test_a_file_that_is_no_table_is_a_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "posts.csv"
    path.write_bytes(content)
    with pytest.raises(TableError) as raised:
        survey(path)
    assert str(raised.value).startswith(message.format(path=path))
    assert raised.value.exit_code == 1


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.zst"])
def test_a_compressed_file_that_is_cut_off_is_a_clear_error(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"posts{suffix}", "id,text\n" + "".join(f"{n},{n * n * n}\n" for n in range(5000)))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(TableError, match="cut off or damaged"):
        survey(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\n1,a\n", "shrank while it was read: 1 rows of 2"),
        ("id,text\n1,a\n2,b\n3,c\n", "grew while it was read"),
        ("id,text\nx,a\n2,b\n", "changed while it was read: a value of 'id' is not Int64"),
        ("id,texts\n1,a\n2,b\n", "changed while it was read: it has no column 'text'"),
    ],
)
def test_a_file_that_changes_after_the_survey_is_a_clear_error(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path / "posts.csv", "id,text\n1,a\n2,b\n")
    reader = CorpusReader(survey(path), CorpusOptions())
    write(path, content)
    with pytest.raises(TableError, match=message):
        reader.read(10)
