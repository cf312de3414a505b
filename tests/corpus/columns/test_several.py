"""Several columns that name images: of flattened lists, and those that people number themselves."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from sentimm.corpus import chunk_frame, is_found, leave_out_absent, list_images
from sentimm.corpus.columns.several import find_members, find_numbered_images
from sentimm.errors import ColumnError
from sentimm.options import CorpusOptions
from tests.support.posts.reading import read_all, survey, write_table

NAMES = ("a.jpg", "b.jpg", "c.jpg")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(b"not looked at")
    return folder


def write_posts(path: Path, columns: Mapping[str, Sequence[object]]) -> Path:
    frame = pl.DataFrame({"id": ["1", "2", "3"], "text": ["good", "bad", "so so"], **columns})
    return write_table(frame, path)


def name_found(path: Path, folder: Path, **options: object) -> list[list[str]]:
    """Return the names of the images that each post finds."""
    chunk = read_all(path, images=folder, **options)
    return [[Path(str(each)).name for each in list_images(found) if is_found(each)] for found in chunk.images]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    "columns",
    [
        ("image_1", "image_2"),
        ("image", "image_2"),
        ("Image 1", "Image 2"),
        ("photo", "photo.1"),
        ("img0", "img1"),
        ("images/0", "images/1"),
        ("images[0]", "images[1]"),
        ("media/0/url", "media/1/url"),
        ("extendedEntities/media/0/media_url_https", "extendedEntities/media/1/media_url_https"),
        ("imageUrl1", "imageUrl2"),
    ],
)
def test_all_images_of_numbered_columns_are_used(
    tmp_path: Path, images: Path, columns: tuple[str, str], kind: str
) -> None:
    cells = {columns[0]: ["a.jpg", "c.jpg", None], columns[1]: ["b.jpg", None, None], f"{columns[1]}_width": ["1"] * 3}
    path = write_posts(tmp_path / f"posts.{kind}", cells)
    assert name_found(path, images) == [["a.jpg", "b.jpg"], ["c.jpg"], []]
    found = survey(path, images=images)
    assert (found.images_named, found.images_found, found.several_images) == (2, 2, 1)
    assert f"image: columns {columns[0]}, {columns[1]} (numbered)" in found.choice.reasons
    assert set(cells) <= set(found.schema)


@pytest.mark.parametrize(
    "columns", [("image", "image_1", "image_2"), ("image_width_1", "image_width_2"), ("image_2019", "image_2020")]
)
def test_other_numbers_in_names_change_nothing(columns: tuple[str, ...]) -> None:
    found = find_numbered_images(columns)
    assert found is None or columns[0] not in find_members(found, columns)


def test_the_numbers_give_the_order(tmp_path: Path, images: Path) -> None:
    path = write_posts(
        tmp_path / "posts.csv", {f"image{n}": [name] * 3 for n, name in ((10, "a.jpg"), (9, "b.jpg"), (2, "c.jpg"))}
    )
    assert name_found(path, images)[0] == ["c.jpg", "b.jpg", "a.jpg"]


@pytest.mark.parametrize(
    ("option", "expected"), [("front,back", ["a.jpg", "b.jpg"]), ("front,more_*", ["a.jpg", "c.jpg"])]
)
def test_an_option_names_several_columns(tmp_path: Path, images: Path, option: str, expected: list[str]) -> None:
    cells = {"front": ["a.jpg"] * 3, "back": ["b.jpg"] * 3, "more_1": ["c.jpg"] * 3}
    path = write_posts(tmp_path / "posts.csv", cells)
    assert name_found(path, images, image_column=option)[0] == expected


def test_a_column_that_is_called_like_several_is_meant(tmp_path: Path, images: Path) -> None:
    path = write_posts(tmp_path / "posts.csv", {"a,b": ["a.jpg"] * 3, "a": ["b.jpg"] * 3, "b": ["c.jpg"] * 3})
    assert name_found(path, images, image_column="a,b")[0] == ["a.jpg"]


def test_columns_that_hold_images_themselves() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    frame = pl.DataFrame({"text": ["good", "bad"], "image_1": [buffer.getvalue()] * 2, "image_2": [b"other", None]})
    chunk, _ = chunk_frame(frame, CorpusOptions())
    assert [len(list_images(found)) for found in chunk.images] == [2, 1]


def test_a_table_that_lacks_one_of_the_columns_is_filled(tmp_path: Path, images: Path) -> None:
    first = write_posts(tmp_path / "a.csv", {"image_1": ["a.jpg"] * 3, "image_2": ["b.jpg"] * 3})
    second = write_posts(tmp_path / "b.csv", {"image_1": ["c.jpg"] * 3})
    chunk = read_all(first, second, images=images, union=True)
    assert [len(list_images(found)) for found in chunk.images] == [2, 2, 2, 1, 1, 1]


def test_words_for_nothing_name_no_image(tmp_path: Path, images: Path) -> None:
    path = write_posts(tmp_path / "posts.csv", {"image_1": ["a.jpg", "NA", ""], "image_2": ["NA", "b.jpg", "NA"]})
    assert name_found(path, images) == [["a.jpg"], ["b.jpg"], []]
    assert survey(path, images=images).images_named == 2


def test_numbers_are_no_images() -> None:
    frame = pl.DataFrame({"text": ["good"], "image_0": [0.25], "image_1": [0.5]})
    _, choice = chunk_frame(frame, CorpusOptions())
    assert choice.image is choice.ignored_image is None


def test_columns_that_do_not_go_together_are_taken_only_if_named() -> None:
    frame = pl.DataFrame({"text": ["good"], "image_1": [b"bytes"], "image_2": ["a.jpg"]})
    assert chunk_frame(frame, CorpusOptions())[1].image is None
    with pytest.raises(ColumnError, match="can't be put together"):
        chunk_frame(frame, CorpusOptions(image_column="image_*"))


def test_a_star_behind_the_name_of_a_column_is_no_path(tmp_path: Path, images: Path) -> None:
    path = write_posts(tmp_path / "posts.csv", {"photo": ["a.jpg"] * 3, "photo.1": ["b.jpg"] * 3})
    assert name_found(path, images, image_column="photo.*")[0] == ["b.jpg"]


def test_a_part_that_names_no_column_is_an_error(tmp_path: Path, images: Path) -> None:
    path = write_posts(tmp_path / "posts.csv", {"front": ["a.jpg"] * 3})
    with pytest.raises(ColumnError, match="--image-column names 'front,bakc'"):
        survey(path, images=images, image_column="front,bakc")


def test_a_table_of_few_columns_keeps_what_it_has(tmp_path: Path) -> None:
    path = write_posts(tmp_path / "posts.csv", {"image_1": ["a.jpg"] * 3})
    options = CorpusOptions(image_column="image_*", id_column="number")
    assert leave_out_absent([str(path)], options) == CorpusOptions(image_column="image_*")
