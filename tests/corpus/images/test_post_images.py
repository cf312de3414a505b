from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pytest
from PIL import Image

from sentimm.corpus import MISSING, CorpusReader, list_images, read_chunk, split_names, survey_corpus, write_chunk
from sentimm.corpus.images.image_lookup import ImageFolder
from sentimm.corpus.images.post_images import find_by_names, group_images
from sentimm.errors import InputError
from sentimm.options import CorpusOptions
from tests.support.posts import corpora
from tests.support.posts.reading import read_all

LISTS = [
    "0.png|1.png",
    "0.png, 1.png",
    "0.png;1.png",
    '["0.png", "1.png"]',
    "['0.png', '1.png']",
    "0.png\n1.png",
    "0.png 1.png",
]


@pytest.mark.parametrize("cell", [*LISTS, " 0.png | 1.png |", "0.png,1.png,0.png", '["0.png", null, "", "1.png"]'])
def test_a_cell_may_list_several_names(cell: str) -> None:
    assert split_names(cell) == ("0.png", "1.png")


def test_a_cell_may_list_urls_and_one_name() -> None:
    assert split_names("https://a.org/x?b=1|https://a.org/y") == ("https://a.org/x?b=1", "https://a.org/y")
    assert split_names('["0.png"]') == ("0.png",)
    assert split_names("0.png;") == ("0.png",)
    assert split_names("[]") == ()


@pytest.mark.parametrize(
    "cell",
    ["0.png", "me, myself and I.jpg", "my photo.jpg", "a|b", "[draft] cat.jpg", '[{"a": 1}]', "[1, 2]", "https://a.org/x,y.jpg",
     "", "[" * 5000],
)  # fmt: skip
def test_a_cell_that_is_one_name_is_no_list(cell: str) -> None:
    assert split_names(cell) is None


def test_a_file_that_is_named_like_a_list_is_one_image(tmp_path: Path) -> None:
    folder = corpora.make_images(tmp_path / "images")
    (folder / "0.png, 1.png").write_bytes((folder / "0.png").read_bytes())
    cells = pl.Series(["0.png, 1.png", "0.png,1.png", "0.png,gone.png"])
    assert find_by_names(cells, ImageFolder(folder)) == [
        folder / "0.png, 1.png",
        (folder / "0.png", folder / "1.png"),
        (folder / "0.png", MISSING),
    ]


def test_one_image_is_itself_and_repeats_count_once() -> None:
    assert group_images([]) is None
    assert group_images([None, b"a"]) == b"a"
    assert group_images([b"a", b"b", b"a", MISSING, MISSING]) == (b"a", b"b", MISSING, MISSING)


@pytest.mark.parametrize(
    ("post_id", "names"),
    [
        ("15", ["15_1.jpg", "15_2.jpg", "15_10.jpg"]),
        ("16", ["16.jpg"]),
        ("17", ["17-1.jpg", "17-2.jpg"]),
        ("12345", ["12345-Ab_cd.jpg", "12345-XyZ.jpg"]),
        ("ab_c", ["ab_c_3.jpg"]),
        ("1", []),
        ("ab", []),
    ],
)
def test_images_are_found_by_an_id_and_a_number(tmp_path: Path, post_id: str, names: list[str]) -> None:
    for name in ("15_1", "15_2", "15_10", "16", "16_1", "17-2", "17-1", "12345-XyZ", "12345-Ab_cd", "ab_c_3", "17_big"):
        (tmp_path / f"{name}.jpg").touch()
    folder = ImageFolder(tmp_path)
    assert list_images(folder.find_by_id(post_id)) == tuple(tmp_path / name for name in names)
    assert folder.count_by_id([post_id]) == (bool(names), bool(names), len(names) > 1)


def write_table(path: Path, cells: list[list[str] | None]) -> Path:
    """Write posts with the images of `cells`, as the suffix of `path` asks."""
    texts = [f"post {row}" for row in range(len(cells))]
    frame = pl.DataFrame({"text": texts, "image": cells}, schema={"text": pl.String, "image": pl.List(pl.String)})
    match path.suffix:
        case ".parquet":
            frame.write_parquet(path)
        case ".arrow":
            table = frame.to_arrow()
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dicts()))
        case _:
            joined = [None if names is None else "|".join(names) for names in cells]
            separator = "\t" if path.suffix == ".tsv" else ","
            frame.with_columns(pl.Series("image", joined)).write_csv(path, separator=separator)
    return path


@pytest.mark.parametrize("name", ["posts.csv", "posts.tsv", "posts.jsonl", "posts.parquet", "posts.arrow"])
def test_every_format_may_hold_several_images(tmp_path: Path, name: str) -> None:
    folder = corpora.make_images(tmp_path / "images")
    cells = [["0.png", "1.png"], ["2.png"], None, ["gone.png", "1.png"], ["gone.png"]]
    options = CorpusOptions(images=folder)
    survey = survey_corpus([str(write_table(tmp_path / name, cells))], options)
    assert (survey.images_named, survey.images_found, survey.several_images) == (4, 3, 2)
    assert "2 posts have several images" in " ".join(survey.notes)
    assert survey.to_json()["several_images"] == 2
    chunk = CorpusReader(survey, options).read(10)
    assert chunk is not None
    assert [list_images(images) for images in chunk.images] == [
        (folder / "0.png", folder / "1.png"),
        (folder / "2.png",),
        (),
        (MISSING, folder / "1.png"),
        (MISSING,),
    ]
    assert survey_corpus([str(tmp_path / name)], CorpusOptions()).several_images == 0


@pytest.mark.parametrize("kind", ["bytes", "huggingface"])
def test_parquet_may_hold_lists_of_images(tmp_path: Path, kind: str) -> None:
    one, two = b"1", b"2"
    values = [[one, two], [], None, [two]]
    inner: pl.DataType = pl.Binary()
    if kind == "huggingface":
        inner = pl.Struct({"bytes": pl.Binary, "path": pl.String})
        values = [None if each is None else [{"bytes": data, "path": "x.png"} for data in each] for each in values]
    frame = pl.DataFrame({"text": list("abcd"), "image": pl.Series(values, dtype=pl.List(inner))})
    frame.write_parquet(tmp_path / "posts.parquet")
    survey = survey_corpus([str(tmp_path / "posts.parquet")], CorpusOptions())
    assert (survey.images_named, survey.images_found, survey.several_images) == (2, 2, 1)
    chunk = CorpusReader(survey, CorpusOptions()).read(10)
    assert chunk is not None and chunk.images == [(one, two), None, None, two]


def test_a_staged_chunk_comes_back_with_all_images(tmp_path: Path) -> None:
    folder = corpora.make_images(tmp_path / "images")
    cells = [["0.png", "1.png"], ["2.png"], None, ["gone.png", "1.png"]]
    options = CorpusOptions(images=folder)
    survey = survey_corpus([str(write_table(tmp_path / "posts.csv", cells))], options)
    chunk = CorpusReader(survey, options).read(10)
    assert chunk is not None
    write_chunk(tmp_path / "staged.parquet", chunk)
    assert read_chunk(tmp_path / "staged.parquet", 0).images == chunk.images


def test_lists_of_images_none_of_which_is_there_are_an_error(tmp_path: Path) -> None:
    folder = corpora.make_images(tmp_path / "images")
    table = write_table(tmp_path / "posts.csv", [["no.png", "nothing.png"]])
    with pytest.raises(InputError, match="No post finds an image"):
        survey_corpus([str(table)], CorpusOptions(images=folder))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_ids_are_found_behind_a_date(tmp_path: Path, kind: str) -> None:
    """As weibo-crawler names images; the numbers of a camera, which are a date and a time, are no ids."""
    ids = ["4890123456789012", "4890123456789013", "101500"]
    names = [f"20230501_{ids[0]}_2.png", f"20230501_{ids[0]}_1.png", f"20230502T_{ids[1]}.png", "20230501_101500.png"]
    (tmp_path / "images").mkdir()
    for name in names:
        Image.new("RGB", (9, 9)).save(tmp_path / "images" / name)
    path = tmp_path / f"posts.{kind}"
    lines = [f"{post_id},good" if kind == "csv" else f'{{"id": "{post_id}", "text": "good"}}' for post_id in ids]
    path.write_text("\n".join(["id,text", *lines] if kind == "csv" else lines))
    posts = read_all(path, images=tmp_path / "images").images
    found = [[each.name for each in list_images(images) if isinstance(each, Path)] for images in posts]
    assert found == [[names[1], names[0]], [names[2]], []]
