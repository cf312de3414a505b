"""JSON files that are one document."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from sentimm.errors import SentimmError, TableError
from tests.support.posts.reading import read_all, survey, write

POSTS = [{"id": row, "text": text, "n": 0.5} for row, text in enumerate(["good", "bad", "\u201cquoted\u201d", None])]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (lambda posts: posts, "posts.json"),
        (lambda posts: {"name": "talk", "ids": [1, 2], "messages": posts}, "result.json"),
        (lambda posts: {"formats": [{"url": "x"}], "comments": posts}, "video.info.json"),
    ],
)
def test_the_array_of_posts_is_read(tmp_path: Path, wrap, name: str, indent: int | None) -> None:
    text = json.dumps(wrap(POSTS), indent=indent)
    if indent is None:  # an object on one line is an NDJSON file of one post
        text = text.replace("{", "{\n", 1)
    (tmp_path / name).write_text(text)
    chunk = read_all(tmp_path / name)
    assert chunk.texts.to_list() == ["good", "bad", "\u201cquoted\u201d", None]
    assert chunk.frame["id"].to_list() == [0, 1, 2, 3]
    assert chunk.frame["n"].to_list() == [0.5] * 4
    assert "is one JSON document" in survey(tmp_path / name).notes[0]


@pytest.mark.parametrize("begin", ["window.YTD.tweets.part0 = ", "var posts=", ""])
def test_an_assignment_before_an_array_is_left_out(tmp_path: Path, begin: str) -> None:
    (tmp_path / "tweets.js").write_text(begin + json.dumps([{"tweet": {"full_text": "good"}}], indent=1))
    assert read_all(tmp_path / "tweets.js", text_column="tweet.full_text").texts.to_list() == ["good"]


def test_a_compressed_document_and_one_in_utf_16_are_read(tmp_path: Path) -> None:
    (tmp_path / "posts.json.gz").write_bytes(gzip.compress(json.dumps(POSTS, indent=1).encode()))
    (tmp_path / "other.json").write_text(json.dumps(POSTS, ensure_ascii=False), encoding="utf-16")
    for name in ("posts.json.gz", "other.json"):
        assert read_all(tmp_path / name).texts.to_list() == [post["text"] for post in POSTS]


def test_reading_begins_anywhere_and_what_is_no_object_is_unreadable_in_its_place(tmp_path: Path) -> None:
    posts = [*POSTS, 7, {"text": "last"}]
    (tmp_path / "posts.json").write_text(json.dumps(posts))
    chunk = read_all(tmp_path / "posts.json")
    assert chunk.unreadable.tolist() == [False] * 4 + [True, False]
    assert chunk.problems[0].reason == "is not a JSON object"
    for start in range(6):
        assert read_all(tmp_path / "posts.json", start=start).texts.to_list() == chunk.texts.to_list()[start:]


def test_a_damaged_first_line_of_ndjson_is_a_record_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_text('{"text": "cut o\n{"text": "good"}\n')
    chunk = read_all(tmp_path / "posts.jsonl")
    assert chunk.unreadable.tolist() == [True, False]
    assert chunk.texts.to_list() == [None, "good"]


def test_a_key_that_is_called_item_is_no_array(tmp_path: Path) -> None:
    (tmp_path / "posts.json").write_text('{\n"item": {"text": "no"},\n"posts": [{"text": "yes"}]\n}')
    assert read_all(tmp_path / "posts.json").texts.to_list() == ["yes"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('[{"text": "a"}, {"te', "can't be read to its end: it is no valid JSON"),
        ("[1, 2]", "holds no array of JSON objects"),
        ('{\n"a": 1\n}', "holds no array of JSON objects"),
        ('{\n"a": [{"text": "x"}], "b": [{"text": "y"}]\n}', r"several arrays of objects \(a, b\)"),
        ("[", "can't be read to its end"),
        ("[" * 1000, "can't be read to its end"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"a":' * 100_000, "is nested too deeply|JSON"),
    ],
)
def test_what_is_no_array_of_posts_is_a_clear_error(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "posts.json").write_text(content)
    with pytest.raises(TableError, match=reason):
        survey(tmp_path / "posts.json")


PAGES = [
    {"data": [{"id": "1", "text": "good"}, {"id": "2", "text": "bad"}], "includes": {"users": [{"name": "x"}]}},
    {"data": [{"id": "3", "text": "so"}], "meta": {"result_count": 1}},
]


@pytest.mark.parametrize("name", ["pages.jsonl", "pages.json", "pages.json.gz"])
def test_pages_of_posts_are_entered(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "\n".join(map(json.dumps, PAGES)))
    assert read_all(tmp_path / name).texts.to_list() == ["good", "bad", "so"]
    assert read_all(tmp_path / name, start=2).texts.to_list() == ["so"]
    assert "holds pages of posts: they are the objects in the array 'data'" in survey(tmp_path / name).notes[0]


@pytest.mark.parametrize(
    "page",
    [
        {"name": "talk", "messages": POSTS},
        {
            "features": [{"feature_idx": 0, "name": "text", "type": {"dtype": "string"}}],
            "rows": [{"row_idx": row, "row": post} for row, post in enumerate(POSTS)],
        },
        {"kind": "Listing", "data": {"children": [{"data": {"selftext": post["text"]}} for post in POSTS]}},
        {"feed": [{"post": {"record": {"text": post["text"]}}} for post in POSTS], "cursor": "1"},
        {"items": [{"snippet": {"topLevelComment": {"snippet": {"textOriginal": post["text"]}}}} for post in POSTS]},
        {"feed": {"entry": [{"title": {"label": "x"}, "content": {"label": post["text"]}} for post in POSTS]}},
    ],
)
def test_a_document_on_one_line_is_entered(tmp_path: Path, page: dict[str, object]) -> None:
    (tmp_path / "result.json").write_text(json.dumps(page))
    assert read_all(tmp_path / "result.json").texts.to_list() == [post["text"] for post in POSTS]


@pytest.mark.parametrize(
    "lines",
    [
        [{"id": 1, "about": "x", "comments": [{"text": "no"}]}, {"id": 2, "about": "y", "comments": []}],
        [{"text": "own", "data": [{"text": "no"}]}],
    ],
)
def test_posts_that_hold_a_list_are_posts(tmp_path: Path, lines: list[dict[str, object]]) -> None:
    (tmp_path / "posts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    column = "text" if "text" in lines[0] else "about"
    assert read_all(tmp_path / "posts.jsonl", text_column=column).texts.to_list() == [line[column] for line in lines]


@pytest.mark.parametrize("indent", [None, 1])
def test_of_several_arrays_of_texts_the_outermost_is_read(tmp_path: Path, indent: int | None) -> None:
    """As in a TikTok account's archive."""
    account = {"Comment": {"List": [{"comment": "good"}]}, "Messages": {"History": {"With Bob": [{"Content": "hi"}]}}}
    (tmp_path / "user.json").write_text(json.dumps(account, indent=indent))
    assert read_all(tmp_path / "user.json").texts.to_list() == ["good"]
    assert "in the array 'Comment.List'" in survey(tmp_path / "user.json").notes[0]
    account["Messages"] = {"List": [{"Content": "hi"}]}
    (tmp_path / "user.json").write_text(json.dumps(account, indent=indent))
    with pytest.raises(TableError, match=r"holds several arrays of objects \(Comment.List, Messages.List\)"):
        survey(tmp_path / "user.json")


def test_a_page_that_is_cut_off_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "pages.jsonl").write_text("\n".join(map(json.dumps, PAGES))[:-20])
    with pytest.raises(TableError, match="can't be read to its end: it is no valid JSON"):
        survey(tmp_path / "pages.jsonl")


def test_an_array_deep_inside_is_entered_and_one_in_another_named(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text(
        json.dumps({"Comment": {"Comments": {"List": [{"comment": "good"}]}}}, indent=1)
    )
    assert read_all(tmp_path / "deep.json").texts.to_list() == ["good"]
    chats = {"contacts": {"list": [{"name": "x"}]}, "chats": {"list": [{"messages": [{"text": "good"}]}]}}
    (tmp_path / "chats.json").write_text(json.dumps(chats, indent=1))
    with pytest.raises(TableError, match=r"several arrays .*: write .* `jq -c '\.chats\.list\[\]\.messages\[\]'`"):
        survey(tmp_path / "chats.json")


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_a_post_that_holds_a_list_beside_its_text_is_no_page(tmp_path: Path, rows: int, kind: str) -> None:
    """As TikTok's hashtags have descriptions, in what Zeeschuimer writes."""
    post = {"item_id": "1", "data": {"desc": "good", "challenges": [{"title": "fyp", "desc": "a hashtag"}]}}
    path = tmp_path / f"posts.{kind}"
    path.write_text(json.dumps([post] * rows, indent=1) if kind == "json" else f"{json.dumps(post)}\n" * rows)
    assert read_all(path).texts.to_list() == ["good"] * rows


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("answer", [{"errors": [{"message": "Unauthorized"}]}, {"error": {"message": "Bad token"}}])
def test_the_errors_of_an_api_are_no_posts(tmp_path: Path, answer: dict[str, object], indent: int | None) -> None:
    (tmp_path / "posts.json").write_text(json.dumps(answer, indent=indent))
    with pytest.raises(SentimmError, match=r"errors of an API|No text column|no array"):
        survey(tmp_path / "posts.json")


def test_errors_beside_posts_are_left_out(tmp_path: Path) -> None:
    page = {"data": [{"text": "good"}], "errors": [{"message": "one was deleted"}]}
    for indent in (None, 1):
        (tmp_path / "posts.json").write_text(json.dumps(page, indent=indent))
        assert read_all(tmp_path / "posts.json").texts.to_list() == ["good"]
