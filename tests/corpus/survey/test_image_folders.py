"""Image folders as Hugging Face has them: a table in the folder names the images beside it."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus import expand_inputs
from sentimm.errors import InputError
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job import run_job
from sentimm.storage import RemoteFile, to_path
from tests.support.commands import fail, run
from tests.support.posts.corpora import make_images
from tests.support.posts.reading import read_all, survey
from tests.support.stores.file_systems import MemoryStore

TABLES = pytest.mark.parametrize("table", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])


def write_metadata(path: Path, columns: dict[str, list[object]]) -> Path:
    frame = pl.DataFrame(columns)
    if path.suffix == ".csv":
        path.write_text(frame.write_csv())
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dicts()))
    else:
        with path.open("wb") as file:
            frame.write_parquet(file)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = make_images(tmp_path / "data")
    (folder / "deep").mkdir()
    (folder / "2.png").rename(folder / "deep" / "2.png")
    return folder


@TABLES
@pytest.mark.parametrize("column", ["file_name", "photo_file_name"])
def test_a_folder_stands_for_the_table_that_names_its_images(folder: Path, table: str, column: str) -> None:
    names = ["0.png", "deep/2.png", "gone.png"]
    path = write_metadata(folder / table, {column: names, "text": list("abc"), "image": ["1", "2", "3"]})
    found = survey(folder)
    assert [source.path for source in found.sources] == [path]
    assert (found.texts, found.images_named, found.images_found) == (3, 3, 2)
    assert f"image: column {column!r} (of an image folder)" in found.choice.reasons
    assert found.notes[0] == f"{path} names images in the folder beside it, which are read."
    assert found.stray_images > 0
    chunk = read_all(folder)
    assert chunk.images[:2] == [folder / "0.png", folder / "deep" / "2.png"]
    assert chunk.frame.columns == [column, "text", "image"]


@pytest.mark.parametrize("table", ["metadata.jsonl", "metadata.parquet"])
def test_a_post_may_name_a_list_of_images(folder: Path, table: str) -> None:
    write_metadata(folder / table, {"file_names": [["0.png", "1.png"], ["deep/2.png"]], "text": ["a", "b"]})
    assert read_all(folder).images == [(folder / "0.png", folder / "1.png"), folder / "deep" / "2.png"]


@TABLES
def test_sub_folders_may_be_image_folders(tmp_path: Path, table: str) -> None:
    for split in ("train", "test"):
        make_images(tmp_path / "data" / split)
        write_metadata(tmp_path / "data" / split / table, {"file_name": ["1.png"], "text": [split]})
    chunk = read_all(tmp_path / "data")
    assert chunk.texts.to_list() == ["test", "train"]
    assert chunk.images == [tmp_path / "data" / split / "1.png" for split in ("test", "train")]
    assert "name images in the folder beside them" in survey(tmp_path / "data").notes[0]


def test_the_folder_that_is_named_goes_before_that_of_the_table(folder: Path, tmp_path: Path) -> None:
    write_metadata(folder / "metadata.csv", {"file_name": ["1.png"], "text": ["a"]})
    other = make_images(tmp_path / "other")
    assert read_all(folder, images=other).images == [other / "1.png"]


def test_a_table_of_another_kind_leaves_a_folder_one_of_posts(folder: Path) -> None:
    write_metadata(folder / "metadata.csv", {"id": ["1"], "text": ["a"]})
    assert survey(folder).sources[0].format == "folder"


def test_a_table_without_its_images_is_one_of_texts(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = write_metadata(tmp_path / "data" / "metadata.csv", {"file_name": ["1.png"], "text": ["a"]})
    found = survey(path)
    assert (found.images_named, found.sources[0].images) == (0, None)
    assert "give their folder with --images" in found.notes[0]


def test_two_tables_of_one_folder_are_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for table in ("metadata.csv", "metadata.jsonl"):
        write_metadata(folder / table, {"file_name": ["1.png"], "text": ["a"]})
    code, message = fail(capsys, "score", folder)
    assert (code, f"such as {folder / 'metadata.csv'}" in message) == (2, True)
    assert survey(folder / "metadata.csv").images_found == 1
    with pytest.raises(InputError, match="each of which may name its images"):
        expand_inputs([str(folder)])


def test_two_columns_of_images_are_an_error_that_says_what_to_do(folder: Path) -> None:
    columns = {"a_file_name": ["1.png"], "b_file_name": ["0.png"], "text": ["a"]}
    path = write_metadata(folder / "metadata.csv", columns)
    with pytest.raises(InputError, match=f"pass that table with --image-column and --images {folder}"):
        survey(folder)
    assert read_all(path, images=folder, image_column="b_file_name").images == [folder / "0.png"]
    assert read_all(path).images == [None]


def test_an_image_folder_in_object_storage_is_read(memory: MemoryStore, folder: Path) -> None:
    root = to_path(f"{memory.url}/data")
    (root / "1.png").write_bytes((folder / "1.png").read_bytes())
    (root / "metadata.csv").write_text("file_name,text\n1.png,a\n")
    assert read_all(root).images == [RemoteFile(f"{memory.url}/data/1.png")]


def test_the_command_scores_texts_and_images(
    folder: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["0.png", "deep/2.png"]
    write_metadata(folder / "metadata.csv", {"file_name": names, "text": ["good", "bad"], "label": ["pos", "neg"]})
    output = folder.parent / "scored.parquet"
    done = run(capsys, "score", folder, "--model", tiny_bundle, "-o", output)
    assert done.code == 0, done.err
    scored = pl.read_parquet(output)
    assert scored["modality"].to_list() == ["text+image"] * 2
    assert scored["file_name"].to_list() == names


def test_a_job_whose_images_lay_elsewhere_is_another_one(folder: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    path = write_metadata(folder / "metadata.csv", {"file_name": ["0.png"], "text": ["good"]})
    output = tmp_path / "scored.parquet"
    run_job(ScoreOptions((str(folder),), CorpusOptions(), output, tiny_bundle), lambda _: None)
    run_job(ScoreOptions((str(path),), CorpusOptions(), output, tiny_bundle), lambda _: None)
    with pytest.raises(Exception, match="--images was beside the table"):
        run_job(ScoreOptions((str(path),), CorpusOptions(make_images(tmp_path / "other")), output, tiny_bundle), print)
