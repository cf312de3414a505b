from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentimm.errors import BundleError
from sentimm.text import TextTokenizer, normalize_texts, pad_tokens
from tests.support.tiny.bundles import make_tokenizer


def normalize(*texts: str | None) -> list[str | None]:
    return normalize_texts(pl.Series(list(texts), dtype=pl.String)).to_list()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("I &lt;3 it &amp; you", "I <3 it & you"),
        ("see http://t.co/abc now", "see http now"),
        ("HTTPS://T.CO/ABC", "http"),
        ("www.example.com!", "http"),
        ("RT @bob_1: hi", "RT @user: hi"),
        (".@bob hi", ".@user hi"),
        ("mail a@b.com", "mail a@b.com"),
        ("love 😍", "love smiling face with heart-eyes"),
        ("❤️", "red heart"),
        ("so\u200bgood\u00ad", "sogood"),
        ("a\tb\r\n  c", "a b c"),
        ("broken \ufffd here\x00", "broken here"),
        ("ﬁne ™", "fine TM"),
        ("日本語 ok", "日本語 ok"),
        ("  \n ", ""),
        ("\u200b", ""),
    ],
)
def test_tweets_are_normalised(raw: str, expected: str) -> None:
    assert normalize(raw) == [expected]


def test_null_stays_null_and_empty_stays_empty() -> None:
    assert normalize(None, "", "x") == [None, "", "x"]


def test_a_text_of_a_megabyte_is_cut() -> None:
    (text,) = normalize("word " * 200_000)
    assert text is not None
    assert len(text) <= 4096


def test_an_unknown_normalisation_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(BundleError, match=r"'tweet-9'.*update sentimm"):
        normalize_texts(pl.Series(["x"]), "tweet-9")


@given(
    st.lists(st.one_of(st.none(), st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)), max_size=8)
)
@settings(max_examples=60, deadline=None)
def test_a_text_is_normalised_alike_alone_and_among_others(texts: list[str | None]) -> None:
    together = normalize(*texts)
    assert together == [normalize(text)[0] for text in texts]
    assert [text is None for text in together] == [text is None for text in texts]


def test_tokens_are_cut_at_the_limit_and_padded_to_the_longest() -> None:
    tokenizer = TextTokenizer(make_tokenizer().to_str().encode(), max_tokens=6)
    rows = tokenizer.encode(["good", "good " * 50, ""])
    assert [len(row) for row in rows] == [3, 6, 2]
    ids, mask = pad_tokens(rows, tokenizer.pad_id)
    assert ids.shape == mask.shape == (3, 6)
    assert mask.sum(axis=1).tolist() == [3, 6, 2]
    assert ids[0, 3:].tolist() == [tokenizer.pad_id] * 3


def test_no_texts_make_no_rows() -> None:
    ids, mask = pad_tokens([], 0)
    assert ids.shape == mask.shape == (0, 0)
