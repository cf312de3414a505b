"""Text as the models see it: normalised, then tokenised; the same in training and in scoring.

A bundle names the normalisation it was trained with, one of `NORMALIZATIONS`: an old bundle keeps its own.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import emoji
import numpy as np
import numpy.typing as npt
import polars as pl
from tokenizers import Tokenizer

from sentimm.errors import BundleError

NORMALIZATION = "tweet-1"  # of new models, and where texts are only compared

# Longer texts are cut: no model here reads more than a few hundred tokens, and a text may be a megabyte long.
_MAX_CHARS = 4096

# Scripts without spaces between words: there a link or a user's name ends where the script begins.
_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_ANY_LINK = rf"(?i)(?:https?://|\bwww\.)[^\s{_SPACELESS}]*"
_ANY_USER = rf"(^|[^\w/]|[{_SPACELESS}])@(?:[\w--[{_SPACELESS}]]+|\w+)"
# What only dumps of JSON hold: \u2019 as six characters, two of them for an emoji.
_ESCAPED = r"\\u[0-9a-fA-F]{4}"
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")
# Vowel signs and honorifics above and below Arabic letters, the small high marks of the Quran, and tatweel. Not the
# hamza and madda (U+0653 to U+0655), which make other letters.
_TASHKEEL = (
    r"[\x{610}-\x{61A}\x{640}\x{64B}-\x{652}\x{656}-\x{65F}\x{670}\x{6D6}-\x{6DC}\x{6DF}-\x{6E8}\x{6EA}-\x{6ED}]"
)
# As `_INVISIBLE`, but for U+200C, which Arabic and Indic scripts write between letters that don't join.
_INVISIBLE_SIGNS = r"[\x{AD}\x{200B}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2069}\x{FEFF}]"
_STRAY_NON_JOINER = r"(^|[^\x{600}-\x{8FF}\x{900}-\x{DFF}\x{1000}-\x{109F}\x{1780}-\x{17FF}])\x{200C}+"
# What an emoji looks like, and the colour of its skin: rare pieces of one meaning.
_LOOKS = r"[\x{FE0E}\x{FE0F}\x{1F3FB}-\x{1F3FF}]"
_LONGEST_RUN = 3
_CARDIFF_USER = r"(^| )@[^ ]+"
_CARDIFF_LINK = r"(^| )http[^ ]*"
_LINK = r"(?i)\b(?:https?://|www\.)\S*"
_USER = r"(^|[^\w/])@\w+"
# Zero-width and directional marks and soft hyphens vanish; control characters and U+FFFD become spaces.
_INVISIBLE = r"[\x{AD}\x{200B}\x{200C}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2069}\x{FEFF}]"
_BROKEN = r"[\x00-\x1F\x7F-\x9F\x{FFFD}]"
_LEADING_ZEROS = re.compile(r"&#0+(?=[0-9])")
_BEYOND_UNICODE = re.compile(r"&#[0-9]{8,};?")
_MAYBE_EMOJI = r"[\x{203C}-\x{3299}\x{1F000}-\x{1FAFF}\x{20E3}]"


def normalize_texts(texts: pl.Series, normalization: str = NORMALIZATION) -> pl.Series:
    """Normalise `texts` (String) by the rules of `normalization`; null stays null, "" is what has nothing left.

    - `none`: nothing is changed.
    - `cardiff`: as the model cards of cardiffnlp's twitter-roberta do it: of the parts between spaces, those that begin
      with `@` become `@user`, and those that begin with `http` become `http`.
    - `tweet-1`: HTML entities resolved, Unicode compatibility forms folded (NFKC), links replaced by `http`, user names
      by `@user`, emoji by their English names, white space, control and invisible characters and the marks of broken
      UTF-8 by single spaces.
    - `tweet-2`: as `tweet-1` for any script: no Arabic vowel signs and tatweel, and the non-joiner left between letters
      of Arabic and Indic scripts; links and names that end where a script without spaces begins; characters that JSON
      escaped; at most three of the same character in a row, but for digits. Emoji stay, without variation and skin
      colour.
    - `tweet-2-names`: the same, with emoji by their English names.

    Raises:
        BundleError: `normalization` is not one that this version knows.
    """
    if normalization not in NORMALIZATIONS:
        raise BundleError(
            f"The model asks for the text normalisation {normalization!r}, which this version of sentimm does not "
            f"know (it knows {', '.join(map(repr, NORMALIZATIONS))}): update sentimm, or export the model again."
        )
    return NORMALIZATIONS[normalization](texts.cast(pl.String).str.slice(0, 2 * _MAX_CHARS))


def _normalize_tweets(texts: pl.Series) -> pl.Series:
    texts = _map_matching(texts, r"&[#\w]+;", _resolve_entities)
    texts = texts.str.normalize("NFKC").str.replace_all(_BROKEN, " ")
    texts = texts.str.replace_all(_LINK, " http ").str.replace_all(_USER, "$1@user")
    texts = _map_matching(texts, _MAYBE_EMOJI, _name_emoji)
    texts = texts.str.replace_all(_INVISIBLE, "").str.replace_all(r"\s+", " ")
    return texts.str.slice(0, _MAX_CHARS).str.strip_chars()


def _normalize_any_script(texts: pl.Series, *, names_emoji: bool = False) -> pl.Series:
    texts = _map_matching(texts, _ESCAPED, _resolve_escapes)
    texts = _map_matching(texts, r"&[#\w]+;", _resolve_entities)
    texts = texts.str.normalize("NFKC").str.replace_all(_BROKEN, " ").str.replace_all(_TASHKEEL, "")
    texts = texts.str.replace_all(_ANY_LINK, " http ").str.replace_all(_ANY_USER, "${1}@user")
    if names_emoji:
        texts = _map_matching(texts, _MAYBE_EMOJI, _name_emoji)
    texts = texts.str.replace_all(_INVISIBLE_SIGNS, "").str.replace_all(_STRAY_NON_JOINER, "${1}")
    texts = _shorten_runs(texts.str.replace_all(_LOOKS, "").str.replace_all(r"\s+", " "))
    return texts.str.slice(0, _MAX_CHARS).str.strip_chars()


def _shorten_runs(texts: pl.Series) -> pl.Series:
    """Cut runs of the same character, but for digits, to the longest that counts; the texts hold no line feeds."""
    codes = np.frombuffer("\n".join(texts.fill_null("").to_list()).encode("utf-32-le"), dtype="<u4")
    repeats = np.zeros(len(codes), dtype=bool)
    if len(codes) > _LONGEST_RUN:
        repeats[_LONGEST_RUN:] = codes[_LONGEST_RUN:] == codes[:-_LONGEST_RUN]
        for shift in range(1, _LONGEST_RUN):
            repeats[_LONGEST_RUN:] &= codes[_LONGEST_RUN:] == codes[_LONGEST_RUN - shift : -shift]
    places = np.flatnonzero(repeats)
    unlimited = [code for code in np.unique(codes[places]).tolist() if code == ord("\n") or chr(code).isnumeric()]
    repeats[places[np.isin(codes[places], unlimited)]] = False
    if not repeats.any():
        return texts
    shortened = codes[~repeats].tobytes().decode("utf-32-le").split("\n")
    return pl.Series(texts.name, shortened, dtype=pl.String).set(texts.is_null(), None)


def _mask_parts(texts: pl.Series) -> pl.Series:
    return _cut(texts.str.replace_all(_CARDIFF_USER, "${1}@user").str.replace_all(_CARDIFF_LINK, "${1}http"))


def _cut(texts: pl.Series) -> pl.Series:
    """Cut texts to the length limit; what is white space alone becomes ""."""
    return texts.str.slice(0, _MAX_CHARS).str.replace(r"^\s+$", "")


NORMALIZATIONS: dict[str, Callable[[pl.Series], pl.Series]] = {
    "none": _cut,
    "cardiff": _mask_parts,
    "tweet-1": _normalize_tweets,
    "tweet-2": _normalize_any_script,
    "tweet-2-names": partial(_normalize_any_script, names_emoji=True),
}


class TextTokenizer:
    """A `tokenizers` tokenizer that gives unpadded rows of at most `max_tokens` token ids.

    Args:
        source: the path of a tokenizer.json, or its content.
        max_tokens: longest row, the special tokens included.
    """

    def __init__(self, source: Path | str | bytes, max_tokens: int) -> None:
        if isinstance(source, bytes):
            self._tokenizer = Tokenizer.from_buffer(source)
        else:
            self._tokenizer = Tokenizer.from_file(str(source))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self.max_tokens = max_tokens
        self.pad_id: int = self._tokenizer.token_to_id("[PAD]") or 0

    def encode(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        """Tokenise normalised `texts`: one int64 (tokens,) array for each, at most `max_tokens` long."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        return [np.asarray(encoding.ids, dtype=np.int64) for encoding in encodings]


def pad_tokens(
    rows: Sequence[npt.NDArray[np.int64]], pad_id: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pad rows of token ids to the longest: ids and mask (1 = token), both int64 (rows, longest)."""
    longest = max((len(row) for row in rows), default=0)
    ids = np.full((len(rows), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return ids, mask


def _map_matching(texts: pl.Series, pattern: str, function: Callable[[str], str]) -> pl.Series:
    """Apply a Python `function` (str -> str) to the texts that match `pattern`; the others never leave polars."""
    matching = texts.str.contains(pattern).fill_null(False)
    if not matching.any():
        return texts
    rows = matching.arg_true()
    changed = texts.gather(rows).map_elements(function, return_dtype=pl.String)
    return texts.scatter(rows, changed)


def _resolve_entities(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # Python reads no number of thousands of digits
        return html.unescape(_BEYOND_UNICODE.sub("\ufffd", _LEADING_ZEROS.sub("&#", text)))


def _resolve_escapes(text: str) -> str:
    return _ESCAPES.sub(_decode_escapes, text)


def _decode_escapes(match: re.Match[str]) -> str:
    units = match[0].replace("\\u", "")
    return bytes.fromhex(units).decode("utf-16-be", "replace")


def _name_emoji(text: str) -> str:
    return emoji.replace_emoji(text, replace=_emoji_words)


def _emoji_words(_characters: str, data: dict[str, str]) -> str:
    return " " + data["en"].strip(":").replace("_", " ") + " "
