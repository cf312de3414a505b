"""Texts of posts that repeat others, and of long ones, which X cuts off: they stand elsewhere in the same record."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from sentimm.corpus.columns.choice import ColumnChoice
from sentimm.corpus.columns.values import find_root

# Where the full text may be: of X's APIs 2 and 1.1, of snscrape, and of rtweet for R.
_PLACES = (
    "note_tweet.text",
    "extended_tweet.full_text",
    "retweeted_status.extended_tweet.full_text",
    "retweeted_status.full_text",
    "referenced_tweets.note_tweet.text",
    "referenced_tweets.text",
    "retweetedTweet.rawContent",
    "retweet_text",
    "includes.tweets.text",  # a column of the pages of API 2
)
_STREAM_TEXT = "data.text"  # in a line of API 2's stream, which is a page of one post
_STREAM_PLACES = ("data.note_tweet.text", "includes.tweets.note_tweet.text", "includes.tweets.text")
_GRAPHQL_TEXT = "data.legacy.full_text"  # as the website has it, and Zeeschuimer keeps it
_GRAPHQL_PLACES = (
    "data.note_tweet.note_tweet_results.result.text",
    "data.legacy.retweeted_status_result.result.note_tweet.note_tweet_results.result.text",
    "data.legacy.retweeted_status_result.result.legacy.full_text",
)
_BOOSTS = {"content": "reblog.content"}  # Mastodon: what repeats a post has no text itself
_RETWEET = re.compile(r"\ART @\w+: ")
_END = re.compile(r"(?:…|\.\.\.)?\s*(?:https://t\.co/\w*…?)?\s*\Z")
_LEAST_LENGTH = 60  # of the beginning that a text shares with the full one: X cuts off after 140 characters or 280


def add_full_texts(choice: ColumnChoice, types: Mapping[str, pl.DataType]) -> ColumnChoice:
    """Add to a choice the columns, or paths into them, where texts that are cut off may be in full."""
    if choice.text is None:
        return choice
    places = {_GRAPHQL_TEXT: _GRAPHQL_PLACES, _STREAM_TEXT: _STREAM_PLACES}.get(choice.text, _PLACES)
    roots = {place: place if place in types else find_root(place, types) for place in places}
    found = {place: root for place, root in roots.items() if root is not None and place != choice.text}
    if not found:
        return choice
    added = f", and where that is cut off {' or '.join(map(repr, found))}"
    reasons = tuple(reason + added if reason.startswith("text:") else reason for reason in choice.reasons)
    paths = {place: (root,) for place, root in found.items() if place != root}
    return replace(choice, full_texts=tuple(found), roots={**choice.roots, **paths}, reasons=reasons)


def add_boosts(choice: ColumnChoice, types: Mapping[str, pl.DataType]) -> ColumnChoice:
    """Add to a choice the path to the text of the post that one repeats, which is read where it has none itself."""
    place = _BOOSTS.get(choice.text or "")
    root = find_root(place, types) if place else None
    if place is None or root is None or choice.short_text is not None:
        return choice
    added = f", and where that is empty {place!r}"
    reasons = tuple(reason + added if reason.startswith("text:") else reason for reason in choice.reasons)
    return replace(choice, short_text=place, roots={**choice.roots, place: (root,)}, reasons=reasons)


def complete_texts(texts: pl.Series, others: Sequence[pl.Series]) -> pl.Series:
    """Return texts (String), in full where one of `others` (String) begins as the text does and goes on."""
    is_long = texts.str.len_chars() >= _LEAST_LENGTH
    rows = [(other, (is_long & other.is_not_null()).fill_null(False).arg_true()) for other in others]
    if not any(map(len, (found for _, found in rows))):
        return texts
    values = texts.to_list()
    for other, found in rows:
        for row, full in zip(found, other.gather(found), strict=True):
            values[row] = _complete_text(values[row], full)
    return pl.Series(texts.name, values, dtype=pl.String)


def _complete_text(text: str, full: str) -> str:
    """Return a text in full, if it is the beginning of `full`, a text or a list of such in JSON."""
    head = _RETWEET.match(text)
    start = _END.sub("", text[head.end() :] if head else text, count=1)
    if len(start) < _LEAST_LENGTH:
        return text
    for each in _list_texts(full):
        if len(each) > len(start) and html.unescape(each).startswith(html.unescape(start)):
            return (head[0] if head else "") + each
    return text


def _list_texts(value: str) -> list[str]:
    if not value.startswith("["):
        return [value]
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return [value]
    return [each for each in parsed if isinstance(each, str)]
