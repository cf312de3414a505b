from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus import Chunk, CorpusReader, chunk_frame, survey_corpus
from sentimm.corpus.columns.values import join_parts
from sentimm.errors import ColumnError
from sentimm.options import CorpusOptions

BLUESKY = [
    {"uri": f"at://{row}", "record": {"text": text, "langs": ["en"]}} for row, text in enumerate(["good", "bad"])
]
PARTS = '{"text": "not good "}, {"text": "@ana", "mention": {"externalChannelId": "UC1"}}'
ARCHIVE = [{"tweet": {"id_str": "12", "full_text": "good", "user": {"name": "ana"}}}]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    if path.suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(path)
    elif path.suffix == ".csv":
        cells = [
            {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in row.items()}
            for row in rows
        ]
        pl.DataFrame(cells).write_csv(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, **options: object) -> Chunk:
    asked = CorpusOptions(**options)  # type: ignore[arg-type]
    chunk = CorpusReader(survey_corpus([str(path)], asked), asked).read(100)
    assert chunk is not None
    return chunk


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.parquet", "posts.csv"])
def test_a_column_may_be_a_path(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, BLUESKY)
    chunk = read(path, text_column="record.text", id_column="uri")
    assert chunk.texts.to_list() == ["good", "bad"]
    assert chunk.frame.columns == ["uri", "record"]
    assert chunk.names is not None and chunk.names["id"].to_list() == ["at://0", "at://1"]
    assert read(path, text_column="record.text", columns=("uri",)).texts.to_list() == ["good", "bad"]


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.parquet"])
def test_images_and_ids_may_be_paths(tmp_path: Path, name: str) -> None:
    rows: list[dict[str, object]] = [{"text": "a", "post": {"id": "7", "photos": ["x.png", "y.png"]}}]
    for image in ("x.png", "y.png", "7.png"):
        (tmp_path / image).touch()
    path = write(tmp_path / name, rows)
    chunk = read(path, images=tmp_path, image_column="post.photos", id_column="post.id")
    assert chunk.images == [(tmp_path / "x.png", tmp_path / "y.png")]
    assert chunk.names is not None and chunk.names.rows() == [("7", '["x.png", "y.png"]')]
    assert read(path, images=tmp_path, id_column="post.id").images == [tmp_path / "7.png"]


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.parquet", "posts.csv"])
def test_objects_are_no_texts_and_the_advice_works(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [{"tweet": {"own": {"text": "good"}, "quoted": {"text": "bad"}}}])
    with pytest.raises(ColumnError, match=r"'tweet' holds .* --text-column tweet\.own\.text\.$"):
        survey_corpus([str(path)], CorpusOptions())
    assert read(path, text_column="tweet.own.text").texts.to_list() == ["good"]


def test_a_path_that_leads_nowhere_is_a_clear_error(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.parquet", BLUESKY)
    with pytest.raises(ColumnError, match=r"--text-column names 'record\.words', but the columns are"):
        survey_corpus([str(path)], CorpusOptions(text_column="record.words"))


def test_a_column_that_is_named_like_a_path_wins(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.jsonl", [{"a.b": "own", "a": {"b": "inner"}}])
    assert read(path, text_column="a.b").texts.to_list() == ["own"]


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.csv"])
def test_the_parts_of_a_telegram_text_are_joined(tmp_path: Path, name: str) -> None:
    text = ["not ", {"type": "italic", "text": "good"}]
    if name.endswith(".csv"):
        pl.DataFrame({"text": ["plain", json.dumps(text)]}).write_csv(tmp_path / name)
    else:
        write(tmp_path / name, [{"text": "plain"}, {"text": text}])
    chunk = read(tmp_path / name)
    assert chunk.texts.to_list() == ["plain", "not good"]
    assert json.loads(chunk.frame["text"][1]) == text


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.csv", "posts.parquet"])
@pytest.mark.parametrize("texts", [[PARTS], [PARTS, '{"text": "good"}'], ['{"text": "good"}'], ["plain", PARTS]])
def test_the_parts_of_a_youtube_comment_are_joined(tmp_path: Path, name: str, texts: list[str]) -> None:
    path = write(tmp_path / name, [{"Comment Text": text} for text in texts])
    chunk = read(path)
    plain = {PARTS: "not good @ana", '{"text": "good"}': "good"}
    assert chunk.texts.to_list() == [plain.get(text, text) for text in texts]
    assert chunk.frame["Comment Text"].to_list() == texts
    assert not survey_corpus([str(path)], CorpusOptions()).notes


@pytest.mark.parametrize(
    "text",
    [
        "[draft] a text",
        '["text"]',
        '{"text": "a"} and more',
        '{"id": 1, "text": "a"}',
        '[{"text": 1}]',
        '[{"a": "text"}]',
        "[" * 9999 + '"text"',
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert join_parts(pl.Series([text, None])).to_list() == [text, None]


def test_a_few_nested_texts_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.jsonl", [{"text": "good"}, {"text": {"a": 1}}])
    (note,) = survey_corpus([str(path)], CorpusOptions()).notes
    assert note == '1 text is JSON, and scored as written; the first: {"a": 1}'


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        (["Tweet Text"], "Tweet Text"),
        (["Full-Text"], "Full-Text"),
        (["rawContent"], "rawContent"),
        (["text", "full_text"], "full_text"),
        (["Text", "Full Text"], "Full Text"),
        (["content", "full_text"], "full_text"),
        (["desc", "Message"], "Message"),
        (["text", "TEXT"], "text"),
    ],
)
def test_columns_are_found_by_what_they_are_called(columns: list[str], chosen: str) -> None:
    _, choice = chunk_frame(pl.DataFrame({name: ["a"] for name in columns}), CorpusOptions())
    assert choice.text == chosen
    assert repr(chosen) in choice.reasons[0]


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.parquet", "posts.csv"])
def test_the_fuller_text_is_read_where_there_is_one(tmp_path: Path, name: str) -> None:
    rows = [{"text": "so goo…", "full_text": "so good today"}, {"text": "bad", "full_text": None}, {"text": "b"}]
    chunk = read(write(tmp_path / name, [{"full_text": None} | row for row in rows]))
    assert chunk.texts.to_list() == ["so good today", "bad", "b"]
    (chosen,) = survey_corpus([str(tmp_path / name)], CorpusOptions()).choice.reasons
    assert chosen == "text: column 'full_text', and where that is empty 'text'"
    assert read(tmp_path / name, text_column="text").texts.to_list() == ["so goo…", "bad", "b"]


def test_bytes_are_taken_before_names_that_are_seldom_images(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a"], "file_name": ["x.jpg"], "jpg": [b"1"]}).write_parquet(tmp_path / "posts.parquet")
    assert read(tmp_path / "posts.parquet").images == [b"1"]


def test_a_named_column_may_be_written_otherwise() -> None:
    frame = pl.DataFrame({"Tweet Text": ["a"], "b": ["c"], "B ": ["d"]})
    assert chunk_frame(frame, CorpusOptions(text_column="tweet_text"))[1].text == "Tweet Text"
    assert chunk_frame(frame, CorpusOptions(text_column="b"))[1].text == "b"
    with pytest.raises(ColumnError):
        chunk_frame(frame, CorpusOptions(text_column="_B_"))
