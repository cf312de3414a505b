"""Texts that X cuts off are scored in full, where the full one stands in the same record."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus import chunk_frame
from sentimm.corpus.chunks import read_texts
from sentimm.errors import SentimmError
from sentimm.options import CorpusOptions
from tests.support.posts.reading import read_all, survey, write

FULL = "The new ferry is finally here, and after all these years of waiting it is as slow as the old one &amp; louder."
CUT = FULL[:90]
OTHER = "Quite another post, which is long enough to be taken for the one that was cut off, and is not."
RECORDS = {
    "API 2": {"text": f"{CUT}… https://t.co/abc", "note_tweet": {"text": FULL}},
    "API 1.1": {"text": f"{CUT}… https://t.co/abc", "extended_tweet": {"full_text": FULL}},
    "a retweet of API 1.1": {"full_text": f"RT @ann: {CUT}…", "retweeted_status": {"full_text": FULL}},
    "a retweet of twarc2": {
        "text": f"RT @ann: {CUT}…",
        "referenced_tweets": [{"type": "quoted", "text": OTHER}, {"type": "retweeted", "text": FULL}],
    },
    "snscrape": {"rawContent": f"RT @ann: {CUT}…", "retweetedTweet": {"rawContent": FULL}},
    "the stream of API 2": {
        "data": {"id": "1", "text": f"RT @ann: {CUT}…"},
        "includes": {"tweets": [{"id": "8", "text": OTHER}, {"id": "9", "text": FULL}]},
    },
    "Zeeschuimer": {
        "data": {
            "legacy": {"full_text": f"{CUT}…"},
            "note_tweet": {"note_tweet_results": {"result": {"text": FULL}}},
        }
    },
}


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
@pytest.mark.parametrize("name", RECORDS)
def test_a_text_that_is_cut_off_is_read_in_full(tmp_path: Path, name: str, kind: str) -> None:
    record = RECORDS[name]
    path = tmp_path / f"posts.{kind}"
    if kind == "parquet":
        pl.DataFrame([record, record]).write_parquet(path)
    else:
        path.write_text(json.dumps([record, record]) if kind == "json" else f"{json.dumps(record)}\n" * 2)
    prefix = "RT @ann: " if "RT @" in json.dumps(record) else ""
    assert read_all(path).texts.to_list() == [prefix + FULL] * 2
    assert "cut off" in survey(path).choice.reasons[0]


RETWEET = {"id": "1", "text": f"RT @ann: {CUT}…", "referenced_tweets": [{"type": "retweeted", "id": "9"}]}
QUOTE = {"id": "2", "text": f"{CUT}…", "referenced_tweets": [{"type": "quoted", "id": "9"}]}


def make_page(*posts: object, full: str = FULL) -> dict[str, object]:
    tweets = [{"id": "8", "text": OTHER}, {"text": "of no id", "id": 9}, {"id": "9", "text": full}]
    return {"data": list(posts), "includes": {"users": [{"id": "5", "name": "x"}], "tweets": tweets}}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", ["page.json", "page.jsonl.gz"])
def test_a_page_of_api_2_has_the_full_texts_beside_the_posts(tmp_path: Path, name: str, indent: int | None) -> None:
    path = write(tmp_path / name, json.dumps(make_page(RETWEET, {"id": "3", "text": OTHER}, 7, QUOTE), indent=indent))
    chunk = read_all(path)
    assert chunk.texts.to_list() == [f"RT @ann: {FULL}", OTHER, None, QUOTE["text"]]
    assert chunk.frame["text"][0] == RETWEET["text"]
    assert json.loads(chunk.frame["referenced_tweets"][0]) == RETWEET["referenced_tweets"]
    assert chunk.frame["includes.tweets.text"].to_list() == [FULL, None, None, None]


def test_each_page_has_its_own_full_texts(tmp_path: Path) -> None:
    other = f"{CUT} and otherwise goes on"
    note = {"id": "9", "text": f"{CUT}…", "note_tweet": {"text": f"{other} much longer"}}
    pages = [
        make_page(RETWEET, RETWEET),
        {"meta": {"result_count": 0}},
        {"data": [RETWEET]},
        make_page(full=OTHER),
        make_page(RETWEET, full=other),
        {"includes": {"tweets": [note]}, "data": [RETWEET]},
    ]
    texts = [FULL, FULL, RETWEET["text"].removeprefix("RT @ann: "), other, f"{other} much longer"]
    path = write(tmp_path / "pages.jsonl", "\n".join(map(json.dumps, pages)))
    assert read_all(path).texts.to_list() == [f"RT @ann: {text}" for text in texts]
    for start in range(5):
        assert read_all(path, start=start).texts.to_list() == [f"RT @ann: {text}" for text in texts[start:]]


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_what_a_page_includes_is_never_taken_for_posts(tmp_path: Path, kind: str) -> None:
    """As where all posts of a page were deleted, or it is about one of them."""
    page = make_page() | {"data": {"id": "1", "about": "no text"}}
    path = write(tmp_path / f"page.{kind}", json.dumps(page, indent=1 if kind == "json" else None))
    with pytest.raises(SentimmError, match=r"no array|No text column"):
        survey(path)


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_a_table_of_rtweet_has_the_full_texts_in_a_column(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"posts.{kind}"
    frame = pl.DataFrame({"text": [f"RT @ann: {CUT}…", OTHER], "retweet_text": [FULL, "NA"]})
    frame.write_csv(path, separator="," if kind == "csv" else "\t")
    chunk = read_all(path)
    assert chunk.texts.to_list() == [f"RT @ann: {FULL}", OTHER]
    assert chunk.frame.to_dict(as_series=False) == frame.to_dict(as_series=False)


@pytest.mark.parametrize("text", [OTHER, "Yes", "", f"“{CUT}” is what they said, and I can't believe it", FULL])
def test_other_texts_stay_as_they_are(text: str) -> None:
    frame = pl.DataFrame({"text": [text], "referenced_tweets": [[{"type": "quoted", "text": FULL}]]})
    assert chunk_frame(frame, CorpusOptions())[0].texts.to_list() == [text]


def test_a_column_that_is_named_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text(json.dumps(RECORDS["API 2"]) + "\n")
    assert read_all(path, text_column="text").texts.to_list() == [RECORDS["API 2"]["text"]]


def test_the_survey_and_the_reader_agree(tmp_path: Path) -> None:
    """A key that appears late is read, too."""
    path = tmp_path / "posts.jsonl"
    lines = [json.dumps({"text": OTHER})] * 20_000 + [json.dumps(RECORDS["API 2"])]
    path.write_text("\n".join(lines))
    choice = survey(path).choice
    assert choice.full_texts == ("note_tweet.text",)
    chunk = read_all(path)
    assert chunk.texts[-1] == FULL
    assert read_texts(chunk.frame, choice)[-1] == FULL


STATUSES = [
    {"id": "1", "content": "", "reblog": {"id": "7", "content": "<p>a good day</p>"}},
    {"id": "2", "content": "<p>mine</p>", "reblog": None},
]


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
def test_a_boost_of_mastodon_has_the_text_of_the_post_that_it_repeats(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"statuses.{kind}"
    if kind == "parquet":
        pl.DataFrame(STATUSES).write_parquet(path)
    else:
        path.write_text(json.dumps(STATUSES) if kind == "json" else "\n".join(map(json.dumps, STATUSES)))
    chunk = read_all(path)
    assert [text.strip() for text in chunk.texts] == ["a good day", "mine"]
    assert chunk.frame["content"].to_list() == ["", "<p>mine</p>"]
    assert survey(path).choice.reasons[0].endswith("and where that is empty 'reblog.content'")


@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_a_boost_in_an_archive_of_mastodon_is_counted_as_one(tmp_path: Path, kind: str) -> None:
    items = [
        {"id": "1", "type": "Create", "object": {"type": "Note", "content": "<p>good</p>"}},
        {"id": "2", "type": "Announce", "object": "https://example.social/users/ben/statuses/1"},
    ]
    box = json.dumps({"orderedItems": items}, indent=1)
    path = write(tmp_path / f"outbox.{kind}", box if kind == "json" else "\n".join(map(json.dumps, items)))
    assert read_all(path).texts.to_list()[1] is None
    assert "1 post is a boost, of which a Mastodon archive has the URL alone: no text." in survey(path).notes


@pytest.mark.parametrize("wrap", [lambda item: {"item_id": "urn:li:1", "data": item}, lambda item: item])
@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_a_post_of_linkedin_has_its_commentary_as_text(tmp_path: Path, kind: str, wrap) -> None:
    item = {
        "actor": {"name": {"text": "Ann"}, "subDescription": {"text": "18h"}},
        "commentary": {"text": {"text": "good", "attributes": []}},
        "header": {"text": {"text": "Ben likes this"}},
    }
    items = [wrap(item), wrap(item | {"commentary": None})]
    text = json.dumps(items) if kind == "json" else "\n".join(map(json.dumps, items))
    assert read_all(write(tmp_path / f"posts.{kind}", text)).texts.to_list() == ["good", None]
