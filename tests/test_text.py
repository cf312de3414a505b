from __future__ import annotations

import unicodedata

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentimm.errors import BundleError
from sentimm.text import NORMALIZATION, NORMALIZATIONS, TextTokenizer, normalize_texts, pad_tokens
from tests.support.tiny.bundles import make_tokenizer


def normalize(*texts: str | None, rules: str = NORMALIZATION) -> list[str | None]:
    return normalize_texts(pl.Series(list(texts), dtype=pl.String), rules).to_list()


def preprocess(text: str) -> str:
    """Prepare a text as the model card of cardiffnlp/twitter-roberta-base-sentiment does."""
    parts = []
    for part in text.split(" "):
        part = "@user" if part.startswith("@") and len(part) > 1 else part
        parts.append("http" if part.startswith("http") else part)
    return " ".join(parts)


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


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("RT @bob: see https://t.co/a… &amp; \uff26\uff35\uff2c\uff2c\uff01", "RT @user: see http & FULL!"),
        ("soooooo goooood!!!!! 1000000", "sooo goood!!! 1000000"),
        ("hhhhhhhhh 😂😂😂😂😂 خخخخخخ", "hhh 😂😂😂 خخخ"),
        ("love ❤️ 👍🏽 👩‍👩‍👧", "love ❤ 👍 👩‍👩‍👧"),
        ("مُحَمَّدٌ جميـــــل", "محمد جميل"),
        ("آمن مؤمن", "آمن مؤمن"),
        ("می‌خواهم", "می‌خواهم"),
        ("क्‍ष हिन्दी में र्‌य", "क्‍ष हिन्दी में र्‌य"),
        ("ሰላም፡ለዓለም", "ሰላም፡ለዓለም"),
        ("so\u200cgood so\u200b\u00adgood", "sogood sogood"),
        ("ありがとう@bobさん見てhttps://t.co/abcすごい", "ありがとう@userさん見て http すごい"),
        ("@中文名 你好", "@user 你好"),
        ("@josé: mail a@b.com", "@user: mail a@b.com"),
        (r"don\u2019t \ud83d\ude02 \ud83d", "don\u2019t 😂"),
        (r"C:\users\u12", r"C:\users\u12"),
        ("a\n\n\n\n\nb", "a b"),
        ("\u064b\u0640", ""),
    ],
)
def test_tweet_2_knows_many_scripts(raw: str, expected: str) -> None:
    assert normalize(raw, rules="tweet-2") == [expected]


def test_tweet_2_names_names_emoji() -> None:
    assert normalize("sooooo 😍😍", rules="tweet-2-names") == [
        "sooo smiling face with heart-eyes smiling face with heart-eyes"
    ]


@pytest.mark.parametrize("name", ["hi", "amh"])
@pytest.mark.parametrize("rules", ["tweet-2", "tweet-2-names"])
def test_letters_and_marks_of_devanagari_and_ethiopic_are_left_whole(name: str, rules: str) -> None:
    text = {"hi": "ज़िन्दगी बहुत अच्छी है, क़लम पढ़ो", "amh": "ኢትዮጵያ ለዘላለም ትኑር"}[name]
    (normalized,) = normalize(text, rules=rules)
    assert normalized == unicodedata.normalize("NFKC", text)


@pytest.mark.parametrize(
    "raw",
    [
        "RT @bob: see http://t.co/a @ann_1 @ .@eve  ok",
        "@a @b\n@c https://x.y/z\thttp://u (http://v) HTTP://w",
        "  &amp; 😍 ﬁne @",
    ],
)
def test_cardiff_masks_as_its_model_card_does(raw: str) -> None:
    assert normalize(raw, rules="cardiff") == [preprocess(raw)]


@given(st.text(alphabet="@htps:/. \n\u00a0ab", max_size=40))
def test_cardiff_masks_any_text_as_its_model_card_does(raw: str) -> None:
    assert normalize(raw, rules="cardiff") == [preprocess(raw) if raw.strip() else ""]


def test_none_changes_nothing_but_blank_texts() -> None:
    texts = ["RT @bob &amp; http://t.co/a 😍 ﬁne", " a\u200b\tb ", "sooo \ufffd"]
    assert normalize(*texts, " \n\u3000", rules="none") == [*texts, ""]


@pytest.mark.parametrize("rules", NORMALIZATIONS)
def test_null_stays_null_and_empty_stays_empty(rules: str) -> None:
    assert normalize(None, "", "x", rules=rules) == [None, "", "x"]


@pytest.mark.parametrize("rules", NORMALIZATIONS)
def test_a_text_of_a_megabyte_is_cut(rules: str) -> None:
    (text,) = normalize("word " * 200_000, rules=rules)
    assert text is not None
    assert len(text) <= 4096


def test_an_unknown_normalisation_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(BundleError, match=r"'tweet-9'.*'cardiff', 'tweet-1'.*update sentimm"):
        normalize_texts(pl.Series(["x"]), "tweet-9")


@given(
    st.lists(st.one_of(st.none(), st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)), max_size=8)
)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("rules", NORMALIZATIONS)
def test_a_text_is_normalised_alike_alone_and_among_others(rules: str, texts: list[str | None]) -> None:
    together = normalize(*texts, rules=rules)
    assert together == [normalize(text, rules=rules)[0] for text in texts]
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
