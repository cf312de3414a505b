"""The answers of X's API, page by page: a retweet's text is cut off, and in full in `includes.tweets` beside the posts.

It becomes a column of its own, so that the posts stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

COLUMN = "includes.tweets.text"
INCLUDES = "includes"  # what belongs to posts, and is none of them
_ITEM = f"{INCLUDES}.tweets.item"
_NOTE = f"{_ITEM}.note_tweet.text"  # of a long post, whose own text is cut off, too

_Event = tuple[str, str, Any]  # of ijson: a prefix, what begins or ends there, a value


def holds_texts(prefixes: Iterable[str]) -> bool:
    """Check whether the arrays of a document, as prefixes of their items, are a page's posts and what they refer to."""
    return {"data.item", _ITEM} <= set(prefixes)


def add_included_texts(posts: Iterator[Any], events: Iterable[_Event], prefix: str) -> Iterator[Any]:
    """Yield the posts of pages, each retweet with its text in full; `events` are those of the same pages."""
    for count, texts in _list_pages(events, prefix):
        for post in islice(posts, count):
            full = texts.get(_find_retweeted(post))
            yield post if full is None else {**post, COLUMN: full}


def _list_pages(events: Iterable[_Event], items: str) -> Iterator[tuple[int, dict[str | None, str]]]:
    """Yield of each page how many posts it has, and the texts beside them by their ids."""
    count, found, post = 0, dict[str | None, str](), dict[str, str]()
    for prefix, event, value in events:
        if prefix == items:
            count += event not in ("map_key", "end_map", "end_array")
        elif prefix in (f"{_ITEM}.id", f"{_ITEM}.text", _NOTE) and event == "string":
            post[prefix] = value
        elif prefix == _ITEM and event == "end_map":
            text = post.get(_NOTE) or post.get(f"{_ITEM}.text")
            if text is not None and f"{_ITEM}.id" in post:
                found[post[f"{_ITEM}.id"]] = text
            post = {}
        elif prefix == "" and event == "end_map":
            yield count, found
            count, found = 0, {}


def _find_retweeted(post: Any) -> str | None:
    """Return the id of the post that one repeats; None: it repeats none."""
    references = post.get("referenced_tweets") if isinstance(post, dict) else None
    for each in references if isinstance(references, list) else []:
        if isinstance(each, dict) and each.get("type") == "retweeted" and isinstance(each.get("id"), str):
            return str(each["id"])
    return None
