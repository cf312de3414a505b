"""Text as the models see it: normalised, then tokenised; the same in training and in scoring.

A bundle names the normalisation it was trained with, one of `NORMALIZATIONS`: an old bundle keeps its own.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
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


def _mask_parts(texts: pl.Series) -> pl.Series:
    return _cut(texts.str.replace_all(_CARDIFF_USER, "${1}@user").str.replace_all(_CARDIFF_LINK, "${1}http"))


def _cut(texts: pl.Series) -> pl.Series:
    """Cut texts to the length limit; what is white space alone becomes ""."""
    return texts.str.slice(0, _MAX_CHARS).str.replace(r"^\s+$", "")


NORMALIZATIONS: dict[str, Callable[[pl.Series], pl.Series]] = {
    "none": _cut,
    "cardiff": _mask_parts,
    "tweet-1": _normalize_tweets,
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


def _name_emoji(text: str) -> str:
    return emoji.replace_emoji(text, replace=_emoji_words)


def _emoji_words(_characters: str, data: dict[str, str]) -> str:
    return " " + data["en"].strip(":").replace("_", " ") + " "
