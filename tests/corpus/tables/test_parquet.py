from __future__ import annotations

import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentimm.corpus import MISSING, reader
from sentimm.corpus.tables import typed
from sentimm.errors import ColumnError, TableError
from tests.support.posts.reading import read_all, read_chunks, survey, write


def write_posts(path: Path, rows: int = 50, group: int = 7) -> Path:
    frame = pl.DataFrame({"id": range(rows), "text": [f"t{n}" for n in range(rows)]})
    pq.write_table(frame.to_arrow(), path, row_group_size=group)
    return path


def test_types_are_kept(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "text": ["a", None, ""],
            "small": pl.Series([1, None, 3], dtype=pl.Int8),
            "number": ["007", "8", None],
            "time": [datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)] * 3,
            "tags": [["a"], [], None],
            "nothing": pl.Series([None] * 3, dtype=pl.Null),
        }
    )
    frame.write_parquet(tmp_path / "posts.parquet")
    chunk = read_all(tmp_path / "posts.parquet")
    assert chunk.frame.equals(frame)
    assert chunk.frame.schema == frame.schema
    assert chunk.texts.to_list() == ["a", None, ""]


def test_dictionaries_become_strings(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array(["a", "b", "a"]).dictionary_encode()}), tmp_path / "posts.parquet")
    assert read_all(tmp_path / "posts.parquet").frame["text"].to_list() == ["a", "b", "a"]


@pytest.mark.parametrize("start", [0, 1, 6, 7, 8, 21, 48, 50, 51])
def test_a_reader_can_start_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: int) -> None:
    monkeypatch.setattr(typed, "MAX_BLOCK_ROWS", 3)
    path = write_posts(tmp_path / "posts.parquet")
    for rows in (1, 4, 100):
        chunks = list(read_chunks(path, rows=rows, start=start))
        assert [text for chunk in chunks for text in chunk.texts] == [f"t{n}" for n in range(start, 50)]


def test_row_groups_before_the_start_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_posts(tmp_path / "posts.parquet")
    groups: list[int] = []
    iter_batches = pq.ParquetFile.iter_batches

    def spy(self: pq.ParquetFile, *args: object, **options: list[int]) -> object:
        groups.extend(options["row_groups"])
        return iter_batches(self, *args, **options)

    chunks = read_chunks(path, start=45)
    survey(path)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    list(chunks)
    assert groups[-2:] == [6, 7]
    assert groups.count(0) == 1  # by the survey


def test_images_may_be_bytes(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": [1, 2, 3], "image": [b"abc", None, b""]})
    frame.write_parquet(tmp_path / "posts.parquet")
    found = survey(tmp_path / "posts.parquet")
    assert (found.choice.image, found.choice.text, found.images_named, found.images_found) == ("image", None, 2, 2)
    chunk = read_all(tmp_path / "posts.parquet")
    assert chunk.images == [b"abc", None, b""]
    assert chunk.frame.equals(frame)
    assert read_all(tmp_path / "posts.parquet", columns=("id",)).frame.columns == ["id"]


def test_images_may_be_the_structs_of_hugging_face(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    write(images / "b.jpg", "b")
    values = [
        {"bytes": b"abc", "path": "a.jpg"},
        {"bytes": None, "path": "b.jpg"},
        {"bytes": None, "path": "c.jpg"},
        {"bytes": None, "path": None},
        None,
    ]
    schema = {"image": pl.Struct({"bytes": pl.Binary, "path": pl.String}), "text": pl.String}
    path = tmp_path / "posts.parquet"
    pl.DataFrame({"image": values, "text": ["t"] * 5}, schema=schema).write_parquet(path)
    assert read_all(path).images == [b"abc", MISSING, MISSING, None, None]
    assert read_all(path, images=images).images == [b"abc", images / "b.jpg", MISSING, None, None]
    assert read_all(path, only="text").images == [None] * 5


def test_a_chunk_of_large_images_has_fewer_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed, "BLOCK_BYTES", 3000)
    monkeypatch.setattr(reader, "CHUNK_BYTES", 10_000)
    frame = pl.DataFrame({"image": [bytes([n]) * 1000 for n in range(30)]})
    frame.write_parquet(tmp_path / "posts.parquet")
    chunks = list(read_chunks(tmp_path / "posts.parquet", rows=30))
    assert [image for chunk in chunks for image in chunk.images] == frame["image"].to_list()
    assert 1 < len(chunks) < 30


def test_texts_as_bytes_and_numbers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "posts.parquet"
    pl.DataFrame({"text": [b"caf\xc3\xa9", b"caf\xe9", None]}).write_parquet(path)
    assert read_all(path).texts.to_list() == ["café", "caf\ufffd", None]
    pl.DataFrame({"text": [1, 2]}).write_parquet(path)
    assert read_all(path).texts.to_list() == ["1", "2"]
    pl.DataFrame({"text": [["a"], ["b"]]}).write_parquet(path)
    with pytest.raises(ColumnError, match="not text: choose another one with --text-column"):
        survey(path)


def test_strings_that_are_no_utf8_are_replaced_and_said(tmp_path: Path) -> None:
    offsets = pa.py_buffer(bytes([0, 0, 0, 0, 4, 0, 0, 0]))
    texts = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"caf\xe9")])
    path = tmp_path / "posts.parquet"
    pq.write_table(pa.table({"text": texts}), path)
    assert read_all(path).frame["text"].to_list() == ["caf\ufffd"]
    assert "not valid UTF-8" in survey(path).notes[0]


def test_the_types_of_several_files_are_widened(tmp_path: Path) -> None:
    one, two, three = (tmp_path / f"{n}.parquet" for n in "123")
    pl.DataFrame({"text": ["a"], "n": pl.Series([1], dtype=pl.Int32)}).write_parquet(one)
    pl.DataFrame({"n": pl.Series([2], dtype=pl.Int64), "text": ["b"]}).write_parquet(two)
    pl.DataFrame({"text": ["c"], "n": [1.5]}).write_parquet(three)
    assert read_all(one, two).frame["n"].to_list() == [1, 2]
    assert read_all(one, two, three).frame["n"].to_list() == ["1", "2", "1.5"]
    csv = write(tmp_path / "4.csv", "text,n\nd,4\n")
    assert read_all(one, csv).frame["n"].to_list() == [1, 4]
    pl.DataFrame({"text": ["c"], "n": [[1]]}).write_parquet(three)
    with pytest.raises(ColumnError, match=r"The column 'n' is List\(Int64\) in .*3.parquet and Int32 in .*1.parquet"):
        survey(one, three)


def test_no_rows_is_a_table_of_no_posts(tmp_path: Path) -> None:
    pl.DataFrame(schema={"text": pl.String}).write_parquet(tmp_path / "posts.parquet")
    assert survey(tmp_path / "posts.parquet").rows == 0


@pytest.mark.parametrize("content", [b"", b"PAR1", b"id,text\n1,a\n"])
def test_a_file_that_is_no_parquet_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "posts.parquet", content)
    with pytest.raises(TableError, match=f"^{path} can't be read as Parquet: "):
        survey(path)


def test_a_damaged_page_is_a_clear_error(tmp_path: Path) -> None:
    path = write_posts(tmp_path / "posts.parquet", rows=5000, group=1000)
    data = bytearray(path.read_bytes())
    data[100:4000] = b"\xff" * 3900
    path.write_bytes(data)
    with pytest.raises(TableError, match="is damaged and can't be read to its end"):
        survey(path)
