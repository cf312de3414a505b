"""Tables in folders `key=value`, as Hive, Spark, pandas and DuckDB write them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus import Chunk, CorpusReader, is_found, survey_corpus
from sentimm.corpus.inputs.partitions import find_partitions
from sentimm.errors import ColumnError, InputError
from sentimm.options import CorpusOptions
from sentimm.training.data.tables import load_posts
from sentimm.training.options import TrainOptions

SUFFIXES = pytest.mark.parametrize("suffix", ["csv", "tsv", "ndjson", "parquet", "arrow"])
PLACES = ("lang=de/year=2023", "lang=en/year=2023", "lang=en/year=2024")


def write_table(path: Path, columns: dict[str, list[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame(columns)
    writers: dict[str, Callable[..., object]] = {
        ".csv": frame.write_csv,
        ".tsv": lambda path: frame.write_csv(path, separator="\t"),
        ".ndjson": frame.write_ndjson,
        ".parquet": frame.write_parquet,
        ".arrow": frame.write_ipc,
    }
    writers[path.suffix](path)
    return path


def write_folder(folder: Path, suffix: str) -> Path:
    for number, place in enumerate(PLACES):
        write_table(folder / place / f"x.{suffix}", {"id": [number], "text": [f"post {number}"]})
        (folder / place / "_SUCCESS").write_text("")
    return folder


def read(*inputs: object, start: int = 0, **options: object) -> Chunk:
    asked = CorpusOptions(**options)  # type: ignore[arg-type]
    survey = survey_corpus(list(map(str, inputs)), asked)
    chunk = CorpusReader(survey, asked, start).read(1000)
    assert chunk is not None and dict(chunk.frame.schema) == survey.schema
    return chunk


def notes(*inputs: object, **options: object) -> tuple[str, ...]:
    return survey_corpus(list(map(str, inputs)), CorpusOptions(**options)).notes  # type: ignore[arg-type]


@SUFFIXES
def test_partitions_at_all_levels_are_columns(tmp_path: Path, suffix: str) -> None:
    folder = write_folder(tmp_path / "data", suffix)
    frame = read(folder).frame
    assert frame.columns == ["id", "text", "lang", "year", "source", "row"]
    assert frame["lang"].to_list() == ["de", "en", "en"]
    assert frame["year"].to_list() == [2023, 2023, 2024]
    assert frame["text"].to_list() == ["post 0", "post 1", "post 2"]
    assert "The names of folders give the values of lang, year." in notes(folder)
    for start in range(3):
        assert read(folder, start=start).frame.equals(frame.slice(start))
    assert read(folder, infer_types=False).frame["year"].to_list() == ["2023", "2023", "2024"]
    assert read(folder, columns=("year",)).frame.columns == ["year", "source", "row"]


@SUFFIXES
def test_globs_and_names_give_the_same_columns(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "data", suffix)
    expected = read(folder).frame.drop("source")
    names = [folder / place / f"x.{suffix}" for place in PLACES]
    for inputs in (
        [folder / "*" / "*" / f"x.{suffix}"],
        [folder / "**" / f"*.{suffix}"],
        [folder / "lang=*"],
        [f"{folder}/lang={{de,en}}/"],
        [folder / "lang=de", folder / "lang=en"],  # as a shell expands lang=*
        names,
    ):
        assert read(*inputs).frame.drop("source").equals(expected)
    monkeypatch.chdir(folder)
    assert read(".").frame.drop("source").equals(expected)
    assert read("*/*/x.*").frame.drop("source").equals(expected)


@SUFFIXES
def test_what_was_named_itself_is_no_partition(tmp_path: Path, suffix: str) -> None:
    folder = write_folder(tmp_path / "run=1" / "data", suffix)
    assert read(folder / PLACES[0] / f"x.{suffix}").frame.columns == ["id", "text"]
    assert read(folder / PLACES[0]).frame.columns == ["id", "text"]
    assert "lang" not in read(folder / "lang=en").frame.columns
    assert "run" not in read(folder).frame.columns
    other = write_table(tmp_path / f"other.{suffix}", {"id": [9], "text": ["other"]})
    assert read(folder / PLACES[0] / f"x.{suffix}", other).frame.columns == ["id", "text", "source", "row"]


def test_values_are_decoded_and_may_be_null(tmp_path: Path) -> None:
    for number, name in enumerate(("a%2Fb%20c", "__HIVE_DEFAULT_PARTITION__", "ü", "x=y")):
        write_table(tmp_path / f"my%20key={name}" / "x.csv", {"text": [f"post {number}"]})
    found = read(tmp_path).frame
    assert dict(zip(found["text"], found["my key"], strict=True)) == {
        "post 0": "a/b c",
        "post 1": None,
        "post 2": "ü",
        "post 3": "x=y",
    }
    assert read(tmp_path / "*" / "x.csv").frame.equals(found)


def test_types_are_those_that_all_values_survive(tmp_path: Path) -> None:
    for name in ("month=05/n=1/day=2024-01-01", "month=11/n=__HIVE_DEFAULT_PARTITION__/day=2024-01-02"):
        write_table(tmp_path / name / "x.parquet", {"text": ["a"]})
    schema = read(tmp_path).frame.schema
    assert (schema["month"], schema["n"], schema["day"]) == (pl.String(), pl.Int64(), pl.Date())


@SUFFIXES
def test_a_column_of_the_file_goes_before_its_folder(tmp_path: Path, suffix: str) -> None:
    write_table(tmp_path / "year=2023" / f"x.{suffix}", {"text": ["a", "b"], "year": [2023, 2023]})
    path = write_table(tmp_path / "year=2024" / f"x.{suffix}", {"text": ["c", "d"], "year": [2024, 1999]})
    found = read(tmp_path)
    assert found.frame["year"].to_list() == [2023, 2023, 2024, 1999]
    said = [note for note in notes(tmp_path) if "other than" in note]
    assert said == [f"The column 'year' of {path} has 1 values other than the '2024' of its folder: its own are read."]


@SUFFIXES
def test_levels_that_differ_are_an_error_that_union_solves(tmp_path: Path, suffix: str) -> None:
    folder = write_folder(tmp_path / "data", suffix)
    write_table(folder / "lang=fr" / f"x.{suffix}", {"id": [3], "text": ["post 3"]})
    if suffix != "ndjson":
        with pytest.raises(ColumnError, match="lacks year, which"):
            read(folder)
    assert read(folder, union=True).frame["year"].to_list() == [2023, 2023, 2024, None]


def test_posts_may_be_read_from_a_partition(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "b.jpg").write_bytes(b"")
    for suffix, name in (("csv", "a"), ("parquet", "b")):
        write_table(tmp_path / "data" / f"id={name}" / f"x.{suffix}", {"text": [name]})
    found = read(tmp_path / "data", images=tmp_path / "images")
    assert [is_found(image) for image in found.images] == [False, True]
    assert found.names is not None and found.names["id"].to_list() == ["a", "b"]


def test_what_lies_beside_partitions_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", "parquet")
    write_table(folder / "all.parquet", {"text": ["x"]})
    write_table(folder / "old" / "x.parquet", {"text": ["x"]})
    assert f"Not read, as they lie beside the partitions of {folder}: all.parquet, old." in notes(folder)
    path = write_table(folder / PLACES[0] / "part-1" / "x.parquet", {"id": [7], "text": ["x"]})
    with pytest.raises(InputError, match=rf"{path} is in a partition, but part-1 is none: name all tables with a glob"):
        read(folder)
    assert read(folder / "lang=*" / "**" / "x.parquet").frame["lang"].to_list() == ["de", "de", "en", "en"]


def test_partitions_may_be_folders_of_posts(tmp_path: Path) -> None:
    for number, place in enumerate(PLACES):
        (tmp_path / "data" / place).mkdir(parents=True)
        (tmp_path / "data" / place / f"{number}.txt").write_text(f"post {number}")
    frame = read(tmp_path / "data").frame
    assert frame["text"].to_list() == ["post 0", "post 1", "post 2"]
    assert frame["lang"].to_list() == ["de", "en", "en"] and frame["year"].to_list() == [2023, 2023, 2024]


def test_a_folder_of_partitions_beside_another_one_keeps_its_columns(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", "parquet")
    other = write_table(tmp_path / "other" / "x.parquet", {"id": [9], "text": ["other"]})
    with pytest.raises(ColumnError, match=rf"{other} lacks lang, year, which"):
        read(folder, other.parent)
    assert read(folder, other.parent, union=True).frame["lang"].to_list() == ["de", "en", "en", None]


def test_a_partition_whose_name_is_no_utf8_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "lang=en" / "x.csv", {"text": ["a"]})
    shutil.copytree(tmp_path / "lang=en", Path(os.fsdecode(os.fsencode(tmp_path) + b"/lang=\xff")))
    with pytest.raises(InputError, match="is not valid UTF-8, as an output requires: rename it"):
        read(tmp_path)


def test_a_delta_table_and_a_circle_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", "parquet")
    (folder / "_delta_log").mkdir()
    with pytest.raises(InputError, match="is a Delta table, whose folders hold files that are no longer"):
        read(folder)
    shutil.rmtree(folder / "_delta_log")
    (folder / "lang=en" / "up=1").symlink_to(folder / "lang=en", target_is_directory=True)
    with pytest.raises(InputError, match="does a link lead in a circle"):
        read(folder)


@SUFFIXES
def test_a_label_may_be_a_partition(tmp_path: Path, suffix: str) -> None:
    for label in ("negative", "positive"):
        write_table(tmp_path / "data" / f"label={label}" / f"x.{suffix}", {"text": [f"a {label} day"]})
    for name in (tmp_path / "data", tmp_path / "data" / "*" / f"*.{suffix}"):
        options = TrainOptions((str(name),), fusion="bert")
        assert load_posts(options.inputs, options, ["text"], 32).label.tolist() == [0, 2]


def test_partitions_are_read_from_names_alone() -> None:
    paths = [Path(f"store/data/lang={lang}/x.csv") for lang in ("de", "en")]
    assert find_partitions([("store/data", paths)]) == {paths[0]: {"lang": "de"}, paths[1]: {"lang": "en"}}
    assert find_partitions([(str(path), [path]) for path in paths])[paths[1]] == {"lang": "en"}
