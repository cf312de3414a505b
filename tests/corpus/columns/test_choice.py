"""Columns by the names that programs in several languages give them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from sentimm.errors import ColumnError, InputError
from tests.support.posts.reading import read_all, survey, write_table


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    "name",
    [
        "微博正文",
        "正文",
        "reviewText",
        "Review Text",
        "Contents",
        "Post Message",
        "ShareCommentary",
        "Mensaje",
        "Текст",
    ],
)
def test_a_column_of_texts_is_found_by_its_name(tmp_path: Path, name: str, kind: str) -> None:
    frame = pl.DataFrame({"n": ["1", "2"], "Author": ["ann", "bob"], name: ["good", "bad"], "summary": ["a", "b"]})
    path = write_table(frame, tmp_path / f"posts.{kind}")
    assert read_all(path).texts.to_list() == ["good", "bad"]
    assert survey(path).choice.text == name


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_description_beside_a_title_is_a_text(tmp_path: Path, kind: str) -> None:
    """As in exports of CrowdTangle for Instagram, of Netlytic and of Meta's Business Suite."""
    frame = pl.DataFrame({"Account": ["a", "b"], "Title": ["t", "bad"], "Description": ["good", ""]})
    path = write_table(frame, tmp_path / f"posts.{kind}")
    assert read_all(path).texts.to_list() == ["good", "bad"]
    assert survey(path).choice.reasons == ("text: column 'Description', and where that is empty 'Title'",)


def test_a_description_or_a_title_alone_may_be_of_anything(tmp_path: Path) -> None:
    for name in ("description", "title"):
        path = write_table(pl.DataFrame({"screen_name": ["ann"], name: ["loves cats"]}), tmp_path / "users.csv")
        with pytest.raises(ColumnError, match="No text column found"):
            survey(path)


@pytest.mark.parametrize("names", ["attachment_filename", "media_files", "img", "img_path"])
def test_names_of_files_are_found(tmp_path: Path, names: str) -> None:
    (tmp_path / "images").mkdir()
    for name in ("x.jpg", "y.jpg"):
        (tmp_path / "images" / name).write_bytes(b"not looked at")
    path = write_table(pl.DataFrame({"id": ["1"], "body": ["good"], names: ["x.jpg|y.jpg"]}), tmp_path / "posts.csv")
    found = survey(path, images=tmp_path / "images")
    assert (found.choice.image, found.images_found, found.several_images) == (names, 1, 1)


@pytest.mark.parametrize("name", ["image_urls", "media/0/thumbnail", "Attachments", "原始图片url"])
@pytest.mark.parametrize("id_", ["id", "number"])
def test_a_column_that_may_name_the_images_is_proposed(tmp_path: Path, name: str, id_: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/x.jpg").write_bytes(b"not looked at")
    frame = pl.DataFrame(
        {id_: ["1"], "text": ["good"], "num_media": ["1"], name: ["https://example.org/a/x.jpg?size=2"]}
    )
    path = write_table(frame, tmp_path / "posts.csv")
    with pytest.raises(InputError, match="choose it with --image-column") as raised:
        survey(path, images=tmp_path / "images")
    assert f"if the column {name!r} names the images" in str(raised.value)
    assert survey(path, images=tmp_path / "images", image_column=name).images_found == 1
