"""Texts, images and ids inside of other values, found without an option."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus import chunk_frame
from sentimm.errors import ColumnError
from sentimm.options import CorpusOptions
from tests.support.posts.reading import read_all, survey

X_ARCHIVE = [
    {"tweet": {"id_str": "7", "full_text": "good"}},
    {"tweet": {"id_str": "8", "full_text": "bad", "entities": {"media": [{"media_url": "https://x.test/8.jpg"}]}}},
]
FACEBOOK = [
    {"timestamp": 1, "data": [{"post": "good"}, {"update_timestamp": 1}], "title": "Ana posted."},
    {"timestamp": 2, "attachments": [{"data": [{"media": {"uri": "photos/8.png"}}]}], "data": [], "title": "Ana."},
]
INSTAGRAM = [
    {"media": [{"uri": "7.png", "title": ""}, {"uri": "8.png", "title": ""}], "title": "good"},
    {"media": [{"uri": "8.png", "title": "bad"}]},
]
FEED = [{"post": {"record": {"text": "good"}}, "reply": {"parent": {"record": {"text": "no"}}}}] * 2
REDDIT = [{"data": {"title": "good", "selftext": ""}}, {"data": {"title": "what", "selftext": "bad"}}]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    if path.suffix == ".parquet":
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)
    else:
        lines = path.suffix == ".jsonl"
        path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, indent=1))
    return path


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.json", "posts.parquet"])
@pytest.mark.parametrize(
    ("rows", "texts", "path"),
    [
        (X_ARCHIVE, ["good", "bad"], "'tweet.full_text', inside of a column"),
        (FACEBOOK, ["good", None], "'data.post', inside of a column"),
        (INSTAGRAM, ["good", "bad"], "'media.title', inside of a column, and where that is empty 'title'"),
        (FEED, ["good", "good"], "'post.record.text', inside of a column"),
        (REDDIT, ["good", "bad"], "'data.selftext', inside of a column, and where that is empty 'data.title'"),
    ],
)
def test_the_text_is_found(
    tmp_path: Path, name: str, rows: list[dict[str, object]], texts: list[str | None], path: str
) -> None:
    write(tmp_path / name, rows)
    chunk = read_all(tmp_path / name)
    assert chunk.texts.to_list() == texts
    assert set(chunk.frame.columns) == {key for row in rows for key in row}
    assert survey(tmp_path / name).choice.reasons == (f"text: {path}",)


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.json"])
def test_a_caption_that_stands_elsewhere_late_in_the_file_is_read(tmp_path: Path, name: str) -> None:
    single: list[dict[str, object]] = [{"media": [{"uri": "8.png", "title": f"bad {row}"}]} for row in range(70)]
    found = read_all(write(tmp_path / name, single))
    assert found.texts[0] == "bad 0"
    assert read_all(write(tmp_path / name, [*single, INSTAGRAM[0]])).texts[70] == "good"


def test_a_frame_is_read_alike() -> None:
    chunk, choice = chunk_frame(pl.DataFrame(X_ARCHIVE), CorpusOptions())
    assert chunk.texts.to_list() == ["good", "bad"]
    assert choice.id == "tweet.id_str"


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.parquet"])
def test_images_are_found_by_path_and_by_id(tmp_path: Path, name: str) -> None:
    for image in ("7.png", "8.png"):
        (tmp_path / image).touch()
    by_path = read_all(write(tmp_path / name, INSTAGRAM), images=tmp_path)
    assert by_path.images == [(tmp_path / "7.png", tmp_path / "8.png"), tmp_path / "8.png"]
    by_id = read_all(write(tmp_path / name, X_ARCHIVE), images=tmp_path)
    assert by_id.images == [tmp_path / "7.png", tmp_path / "8.png"]
    assert survey(tmp_path / name, images=tmp_path).choice.reasons[1].endswith("id: 'tweet.id_str', inside of a column")
    alone = read_all(write(tmp_path / name, FACEBOOK), images=tmp_path)
    assert alone.images == [None, tmp_path / "8.png"]  # by the last part of its path


@pytest.mark.parametrize(
    "rows",
    [
        [{"a": {"text": "x"}, "b": {"text": "y"}}],
        [{"about": "x", "replies": [{"text": "y"}, {"text": "z"}]}],
        [{"about": "x"}],
    ],
)
def test_nothing_is_guessed_between_several_texts(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    with pytest.raises(ColumnError, match="No text column found"):
        survey(write(tmp_path / "posts.jsonl", rows * 2))


def test_a_column_of_texts_goes_before_what_is_inside_of_others(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"caption": "own", "media": [{"text": "inner"}]}]
    assert read_all(write(tmp_path / "posts.jsonl", rows)).texts.to_list() == ["own"]


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.parquet"])
def test_a_path_goes_through_lists_or_to_a_place_in_them(tmp_path: Path, name: str) -> None:
    rows: list[dict[str, object]] = [{"parts": [{"t": "a"}, {"t": "b"}]}, {"parts": [{"t": "c"}]}, {"parts": []}]
    path = write(tmp_path / name, rows)
    assert read_all(path, text_column="parts.t").texts.to_list() == ["a\nb", "c", None]
    assert read_all(path, text_column="parts.1.t").texts.to_list() == ["b", None, None]
