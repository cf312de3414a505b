"""Texts that exports have damaged or dressed up, as they are meant: for scoring alone, the output keeps the cells.

Markup and the placeholders of deleted posts are plain in each text. Whether a word such as NA stands for nothing, and
whether texts are UTF-8 that was read as latin-1 (as Facebook writes it), only many texts together tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

NAN, NA = "NaN", "NA"
NULL_WORDS = (NA, "N/A", "#N/A", "<NA>", "nan", NAN, "NULL", "null", "None", "\\N")

_PLACEHOLDERS = ("[deleted]", "[removed]", "[deleted by user]")
_BLOCKS = "p|br|div|li|ul|ol|blockquote|h[1-6]|hr|tr|td|pre"
_BLOCK = rf"(?i)</?(?:{_BLOCKS})(?:\s[^<>]*)?/?>"
_TAG = rf"(?i)</?(?:{_BLOCKS}|a|b|i|u|s|em|strong|span|code|del|img)(?:\s[^<>]*)?/?>"
_LEAST_SHARE = 0.01  # of the texts that are a word for nothing
_LEAST_WORDS = 3
# The bytes 80 to 9F, as Windows-1252 reads those of them that it knows.
_BYTES = {chr(byte): bytes([byte]).decode("cp1252", errors="ignore") for byte in range(0x80, 0xA0)}
_TO_LATIN_1 = str.maketrans({character: byte for byte, character in _BYTES.items() if character})
_TAIL = "".join(_BYTES) + "".join(_BYTES.values()) + "\u00a0-\u00bf"
_MOJIBAKE_BYTE = "\u00c2".encode()[:1]
_MOJIBAKE = f"[\u00c2-\u00f4][{_TAIL}]"


@dataclass(frozen=True)
class TextRepairs:
    """How the texts of a corpus are repaired.

    Attributes:
        null_words: texts that stand for nothing.
        mojibake: texts that are UTF-8 read as latin-1 or Windows-1252 are read anew.
        markup, placeholders: there are texts with tags, and texts that are placeholders.
    """

    null_words: tuple[str, ...] = ()
    mojibake: bool = False
    markup: bool = True
    placeholders: bool = True


class RepairCounter:
    """Counts what texts would be repaired, and decides what is.

    Args:
        null_words: the words that were named; None: they are to be judged.

    Attributes:
        has_nan: among the texts there is a NaN that is no string, in JSON.
        has_bare_na: all strings are in quotes, so that NA is none, in CSV.
    """

    def __init__(self, null_words: tuple[str, ...] | None) -> None:
        self.has_nan = self.has_bare_na = False
        self._words = null_words
        self._words_alone = dict.fromkeys((NAN, NA), 0)
        self._texts = self._nulls = self._not_ascii = self._mojibake = self._markup = self._placeholders = 0

    def add(self, texts: pl.Series) -> pl.Series:
        """Count texts (String); return them repaired as far as each text tells, and the words that were named do."""
        self._texts += len(texts) - texts.null_count()
        lengths = texts.str.len_bytes()
        words = NULL_WORDS if self._words is None else self._words
        short = texts.filter(lengths <= _measure_longest((*words, *_PLACEHOLDERS)))
        nulls, placeholders = (len(find_words(short, those)) for those in (words, _PLACEHOLDERS))
        tagged = texts.filter(texts.str.contains("<", literal=True))
        markup = int(tagged.str.contains(_TAG).sum()) if len(tagged) else 0
        self._nulls, self._placeholders = self._nulls + nulls, self._placeholders + placeholders
        for word in self._words_alone if nulls else ():
            self._words_alone[word] += len(find_words(short, (word,)))
        self._markup += markup
        others = texts.filter(lengths != texts.str.len_chars())
        self._not_ascii += len(others)
        self._mojibake += int((read_again(others) != others).sum()) if len(others) else 0
        return repair_texts(texts, TextRepairs(self._words or ())) if nulls or placeholders or markup else texts

    def decide(self) -> TextRepairs:
        """Return the repairs of the corpus."""
        words = self._words or ()
        if self._words is None and self._nulls >= max(_LEAST_WORDS, _LEAST_SHARE * self._texts):
            words = NULL_WORDS
        elif self._words is None:
            words = tuple(word for word, is_none in ((NAN, self.has_nan), (NA, self.has_bare_na)) if is_none)
        return TextRepairs(
            words,
            mojibake=bool(self._mojibake) and 2 * self._mojibake > self._not_ascii,
            markup=bool(self._markup),
            placeholders=bool(self._placeholders),
        )

    def count(self) -> dict[str, int]:
        """Return how many texts each repair changes; those that change none are left out."""
        repairs = self.decide()
        found = {
            "null_words": self._count_nulls(repairs.null_words),
            "mojibake": self._mojibake if repairs.mojibake else 0,
            "markup": self._markup,
            "placeholders": self._placeholders,
        }
        return {name: number for name, number in found.items() if number}

    def _count_nulls(self, words: tuple[str, ...]) -> int:
        if words and set(words) <= self._words_alone.keys():
            return sum(self._words_alone[word] for word in words)
        return self._nulls if words else 0


def note_repairs(counts: dict[str, int]) -> Iterator[str]:
    """Yield a note for each kind of repair, with the number of texts that it changes."""
    sentences = {
        "null_words": "{} NA, null or the like, and read as no text; --null-values says which words stand for nothing.",
        "mojibake": "{} broken UTF-8, as Facebook and Instagram export it, and read repaired.",
        "markup": "{} read without HTML tags.",
        "placeholders": "{} the placeholder of a deleted post, such as [deleted], and read as no text.",
    }
    for name, number in counts.items():
        yield sentences[name].format("1 text is" if number == 1 else f"{number:,} texts are")


def repair_texts(texts: pl.Series, repairs: TextRepairs) -> pl.Series:
    """Return texts (String) as they are meant; null: no text."""
    words = (*(_PLACEHOLDERS if repairs.placeholders else ()), *repairs.null_words)
    if words and len(rows := find_words(texts, words)):
        texts = texts.scatter(rows, None)
    if repairs.mojibake:
        texts = read_again(texts)
    if repairs.markup and len(rows := texts.str.contains("<", literal=True).fill_null(False).arg_true()):
        tagged = texts.gather(rows)
        plain = tagged.str.replace_all(_BLOCK, " ").str.replace_all(_TAG, "")
        texts = texts.scatter(rows, plain.zip_with(tagged.str.contains(_TAG), tagged))
    return texts


def find_words(texts: pl.Series, words: Sequence[str]) -> pl.Series:
    """Return the rows of the texts (String) that are one of the `words`: UInt32."""
    short = (texts.str.len_bytes() <= _measure_longest(words)).fill_null(False).arg_true()
    return short.filter(texts.gather(short).is_in(list(words))) if len(short) else short


def _measure_longest(words: Sequence[str]) -> int:
    return max((len(word.encode()) for word in words), default=0)


def read_again(texts: pl.Series) -> pl.Series:
    """Return texts (String), those as UTF-8 that are UTF-8 read as latin-1 or Windows-1252."""
    # All characters that begin broken ones have this byte: looking for it takes a tenth of the time.
    maybe = texts.cast(pl.Binary).bin.contains(_MOJIBAKE_BYTE).fill_null(False).arg_true()
    rows = maybe.filter(texts.gather(maybe).str.contains(_MOJIBAKE)) if len(maybe) else maybe
    if not len(rows):
        return texts
    values = texts.to_list()
    for row in rows:
        try:
            values[row] = values[row].translate(_TO_LATIN_1).encode("latin-1").decode("utf-8")
        except UnicodeError:
            continue
    return pl.Series(texts.name, values, dtype=pl.String)
