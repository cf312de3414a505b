from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from sentimm.corpus import MISSING, expand_inputs
from sentimm.corpus.tables import typed
from sentimm.errors import ColumnError, InputError, TableError
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job import run_job
from tests.support.posts.awkward_images import encode
from tests.support.posts.reading import read_all, read_chunks, survey, write
from tests.support.profile import IN_CI
from tests.test_fuzz import damage


def encode_table(table: pa.Table, kind: str = "stream", rows: int = 7, compression: str | None = None) -> bytes:
    sink = io.BytesIO()
    new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    with new(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, rows)
    return sink.getvalue()


def make_posts(rows: int = 50, first: int = 0) -> pa.Table:
    numbers = range(first, first + rows)
    return pa.table({"id": list(numbers), "text": [f"t{n}" for n in numbers]})


def save_dataset(folder: Path, names: Sequence[str], rows: int = 5) -> Path:
    """Write posts as `Dataset.save_to_disk` of datasets 5.2 does, spread over files in this order."""
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        write(folder / name, encode_table(make_posts(rows, number * rows)))
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "4300bef25eb575f8",
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text('{"features": {}}')
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["stream", "file"])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("start", [0, 1, 7, 48, 50, 51])
def test_a_reader_can_start_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, compression: str | None, start: int
) -> None:
    monkeypatch.setattr(typed, "MAX_BLOCK_ROWS", 3)
    path = write(tmp_path / "posts.arrow", encode_table(make_posts(), kind, compression=compression))
    assert survey(path).sources[0].format == "arrow"
    for rows in (4, 100):
        chunks = list(read_chunks(path, rows=rows, start=start))
        assert [text for chunk in chunks for text in chunk.texts] == [f"t{n}" for n in range(start, 50)]


def test_a_file_of_one_batch_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sentimm.corpus.tables.arrow import ArrowTable

    monkeypatch.setattr(typed, "BLOCK_BYTES", 100)
    path = write(tmp_path / "posts.feather", encode_table(make_posts(), "file", rows=50))
    blocks = list(ArrowTable(path).read_blocks(["text"]))
    assert sum(block.rows for block in blocks) == 50 and max(block.rows for block in blocks) < 20


def test_types_are_kept_as_polars_has_them(tmp_path: Path) -> None:
    text = ["a", None, ""]
    storage = pa.array([[1.0], [], None], pa.list_(pa.float32()))
    foreign = {"ARROW:extension:name": "datasets.features.features.Array2DExtensionType"}
    columns = {
        pa.field("text", pa.large_string()): pa.array(text, pa.large_string()),
        pa.field("view", pa.string_view()): pa.array(text, pa.string_view()),
        pa.field("kind", pa.dictionary(pa.int8(), pa.string())): pa.array(text)
        .dictionary_encode()
        .cast(pa.dictionary(pa.int8(), pa.string())),
        pa.field("small", pa.int8()): pa.array([1, None, 3], pa.int8()),
        pa.field("key", pa.uuid()): pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)] * 3, pa.binary(16))),
        pa.field("array", storage.type, metadata=foreign): storage,
    }
    table = pa.table(list(columns.values()), schema=pa.schema(list(columns)))
    frame = read_all(write(tmp_path / "posts.ipc", encode_table(table, "file"))).frame
    assert dict(frame.schema) == {
        "text": pl.String,
        "view": pl.String,
        "kind": pl.String,
        "small": pl.Int8,
        "key": pl.Binary,
        "array": pl.List(pl.Float32),
    }
    assert frame["kind"].to_list() == frame["text"].to_list() == frame["view"].to_list() == text


def test_what_polars_writes_is_read(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": ["a", "b"], "n": [1, None]})
    frame.write_ipc(tmp_path / "a.arrow", compression="zstd")
    frame.write_ipc_stream(tmp_path / "b.arrow")
    assert read_all(tmp_path / "a.arrow").frame.equals(frame)
    assert read_all(tmp_path / "b.arrow").frame.equals(frame)


def test_images_may_be_the_structs_of_hugging_face(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    write(images / "b.jpg", "b")
    type_ = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    values = [{"bytes": b"abc", "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}, None]
    table = pa.table({"image": pa.array(values, type_), "text": ["t"] * 3})
    path = write(tmp_path / "posts.arrow", encode_table(table))
    assert read_all(path).images == [b"abc", MISSING, None]
    assert read_all(path, images=images).images == [b"abc", images / "b.jpg", None]


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.string_view()])
def test_strings_that_are_no_utf8_are_replaced_and_said(tmp_path: Path, type_: pa.DataType) -> None:
    binary = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
    texts = pa.array([b"caf\xe9 and what follows", b"good"], binary[type_]).view(type_)
    path = write(tmp_path / "posts.arrow", encode_table(pa.table({"text": texts})))
    assert read_all(path).texts.to_list() == ["caf\ufffd and what follows", "good"]
    assert "not valid UTF-8" in survey(path).notes[0]


@pytest.mark.parametrize(
    "content", [b"", b"ARROW1", b"ARROW1\0\0" + bytes(50), b"id,text\n1,a\n", bytes(8), b"\xff" * 9]
)
def test_a_file_that_is_no_arrow_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "posts.arrow", content)
    with pytest.raises(TableError, match=f"^{path} can't be read as Arrow: "):
        survey(path)


def test_a_file_of_another_format_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.arrow", b"PAR1" + bytes(20))
    with pytest.raises(TableError, match="is a Parquet file, not an Arrow file"):
        survey(path)
    with pytest.raises(TableError, match=r"a Feather V1 file.* pyarrow\.feather\.write_feather"):
        survey(write(tmp_path / "posts.feather", b"FEA1" + bytes(20)))


def test_a_file_that_is_cut_off_is_a_clear_error(tmp_path: Path) -> None:
    whole = encode_table(make_posts())
    with pytest.raises(TableError, match=r"is damaged and can't be read to its end: .* Its first 4\d rows can be read"):
        survey(write(tmp_path / "posts.arrow", whole[:-60]))
    with pytest.raises(TableError, match="can't be read as Arrow"):
        survey(write(tmp_path / "posts.arrow", encode_table(make_posts(), "file")[:-60]))


def test_a_stream_without_an_end_is_read_and_said(tmp_path: Path) -> None:
    whole = encode_table(make_posts())
    assert survey(write(tmp_path / "posts.arrow", whole)).notes == ()
    found = survey(write(tmp_path / "posts.arrow", whole[:-8]))
    assert found.rows == 50
    assert found.notes == (
        f"{tmp_path / 'posts.arrow'} has no end-of-stream mark: if it was cut off, the rest is missing.",
    )


def test_two_columns_of_one_name_are_a_clear_error(tmp_path: Path) -> None:
    table = pa.table([pa.array(["a"]), pa.array(["b"])], ["text", "text"])
    with pytest.raises(TableError, match="more than one column named 'text'"):
        survey(write(tmp_path / "posts.arrow", encode_table(table)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["stream", "file"])
def test_damaged_files_are_all_of_their_posts_or_a_sentence(tmp_path: Path, kind: str) -> None:
    whole = encode_table(make_posts(), kind)
    for seed in range(500 if IN_CI else 150):
        path = write(tmp_path / "posts.arrow", damage(whole, random.Random(seed)))
        try:
            list(read_chunks(path))
        except (TableError, ColumnError) as error:
            assert str(error)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error


def test_a_saved_dataset_is_its_files_in_the_order_of_its_state(tmp_path: Path) -> None:
    names = ["data-00001-of-00002.arrow", "data-00000-of-00002.arrow"]
    folder = save_dataset(tmp_path / "posts", names)
    write(folder / "cache-4300bef25eb575f8.arrow", encode_table(make_posts()))
    assert expand_inputs([str(folder)]) == [folder / name for name in names]
    assert read_all(folder).texts.to_list() == [f"t{n}" for n in range(10)]


@pytest.mark.parametrize("state", [None, "{", "[" * 100_000, "[]", "{}", '{"_data_files": [{"filename": 3}]}'])
def test_a_dataset_whose_state_is_odd_is_its_files_in_the_order_of_names(tmp_path: Path, state: str | None) -> None:
    folder = save_dataset(tmp_path / "posts", ["data-1.arrow", "data-0.arrow"])
    write(folder / "cache-4300bef25eb575f8.arrow", encode_table(make_posts()))
    (folder / "state.json").unlink()
    if state is not None:
        (folder / "state.json").write_text(state)
    assert expand_inputs([str(folder)]) == [folder / "data-0.arrow", folder / "data-1.arrow"]


def test_a_dataset_of_splits_is_these_in_their_order(tmp_path: Path) -> None:
    for split in ("test", "train"):
        save_dataset(tmp_path / "posts" / split, ["data-00000-of-00001.arrow"])
    index = tmp_path / "posts" / "dataset_dict.json"
    index.write_text('{"splits": ["train", "test"]}')
    assert [path.parent.name for path in expand_inputs([str(index.parent)])] == ["train", "test"]
    index.write_text('{"splits": "odd"}')
    assert [path.parent.name for path in expand_inputs([str(index.parent)])] == ["test", "train"]
    index.write_text('{"splits": ["train", "validation"]}')
    with pytest.raises(InputError, match=r"validation', which dataset_dict\.json names, is not there"):
        expand_inputs([str(index.parent)])
    (index.parent / "validation").mkdir()
    with pytest.raises(InputError, match="validation is a split of a dataset but holds no Arrow files"):
        expand_inputs([str(index.parent)])


@pytest.mark.parametrize("name", ["../secret.arrow", "/secret.arrow", "..", "", "a\\b.arrow", "a\0.arrow"])
def test_a_dataset_names_no_file_outside_its_folder(tmp_path: Path, name: str) -> None:
    write(tmp_path / "secret.arrow", encode_table(make_posts()))
    folder = save_dataset(tmp_path / "posts", ["data-0.arrow"])
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(InputError, match=r"state\.json names .*, which is not a file in its folder"):
        expand_inputs([str(folder)])


def test_a_file_that_a_dataset_names_must_be_there(tmp_path: Path) -> None:
    folder = save_dataset(tmp_path / "posts", ["data-0.arrow", "data-1.arrow"])
    (folder / "data-1.arrow").unlink()
    with pytest.raises(InputError, match=r"data-1\.arrow', which state\.json names, is not there"):
        expand_inputs([str(folder)])


def test_a_folder_of_tables_stands_for_them(tmp_path: Path) -> None:
    data = tmp_path / "hub" / "data"
    data.mkdir(parents=True)
    names = ["test-00000-of-00001.parquet", "train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    for name in reversed(names):
        pl.DataFrame({"text": ["a"]}).write_parquet(data / name)
    for other in (data / "_SUCCESS", data / ".gitattributes", data / "README.md", tmp_path / "hub" / "README.md"):
        other.touch()
    assert expand_inputs([str(data)]) == expand_inputs([str(tmp_path / "hub")]) == [data / name for name in names]
    (data / "posts.csv").touch()
    assert expand_inputs([str(data)]) == [data]


def test_a_saved_dataset_is_scored(tmp_path: Path, tiny_bundle: Path) -> None:
    folder = tmp_path / "posts"
    save_dataset(folder, ["data-00000-of-00001.arrow"])
    type_ = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    images = pa.array([{"bytes": encode("JPEG"), "path": None}, {"bytes": b"broken", "path": None}, None], type_)
    table = pa.table({"text": ["good", "bad", "fine"], "image": images, "label": [2, 0, 1]})
    write(folder / "data-00000-of-00001.arrow", encode_table(table))
    output = tmp_path / "scored.parquet"
    options = ScoreOptions((str(folder),), CorpusOptions(), output, tiny_bundle)
    assert run_job(options, lambda _event: None).rows == 3
    assert pl.read_parquet(output)["status"].to_list() == ["ok", "image_unreadable", "ok"]
    assert run_job(options, lambda _event: None).already
