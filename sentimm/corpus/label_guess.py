"""What the labels of a table probably mean, where they are none of the usual spellings: a proposal for --labels."""

from __future__ import annotations

import re
from collections.abc import Collection

from sentimm.options import SENTIMENTS

_NEGATIVE, _NEUTRAL, _POSITIVE = SENTIMENTS
_MOST_VALUES = 12  # a longer list is no hint
_WORDS = {"neg": _NEGATIVE, "neu": _NEUTRAL, "pos": _POSITIVE}
_LETTERS = {"n": _NEGATIVE, "n+": _NEGATIVE, "p": _POSITIVE, "p+": _POSITIVE, "none": _NEUTRAL}  # as TASS writes them
# Numbers that must be there, those that may be, and the number in the middle.
_SCALES: tuple[tuple[set[int], set[int], float], ...] = (
    ({0, 1}, {0, 1}, 0.5),
    ({1, 2}, {1, 2}, 1.5),
    ({0, 2}, {0, 1, 2}, 1),
    ({3}, {1, 2, 3}, 2),
    ({0, 4}, {0, 1, 2, 3, 4}, 2),  # Sentiment140, and grades from 0
    ({5}, {1, 2, 3, 4, 5}, 3),  # stars
)
_NUMBERED = re.compile(r"(?:_*label_*)?([+-]?\d+)", re.IGNORECASE)  # LABEL_0 of transformers, __label__1 of fastText


def guess_labels(values: Collection[str]) -> dict[str, str]:
    """Return which of the three sentiments each of a table's `values` is likely to stand for, negative ones first.

    {} where some of them say nothing of a sentiment, or all of the same one.
    """
    if not 0 < len(values) <= _MOST_VALUES or any("," in value for value in values):
        return {}
    meanings = _read_numbers(values) or _read_words(values) or {}
    if len(set(meanings.values())) < 2:
        return {}
    ordered = sorted(meanings, key=lambda value: (SENTIMENTS.index(meanings[value]), value))
    return {value: meanings[value] for value in ordered}


def _read_numbers(values: Collection[str]) -> dict[str, str] | None:
    matches = {value: match for value in values if (match := _NUMBERED.fullmatch(value))}
    if len(matches) < len(values):
        return None
    numbers = {value: int(match[1]) for value, match in matches.items()}
    found = set(numbers.values())
    scales = (middle for needed, allowed, middle in _SCALES if needed <= found <= allowed)
    middle = 0 if min(found) < 0 else next(scales, None)
    if middle is None:
        return None
    return {
        value: _NEUTRAL if number == middle else _NEGATIVE if number < middle else _POSITIVE
        for value, number in numbers.items()
    }


def _read_words(values: Collection[str]) -> dict[str, str] | None:
    meanings = {}
    for value in values:
        word = value.lower()
        found = {meaning for part, meaning in _WORDS.items() if part in word}
        if word in _LETTERS:
            found = {_LETTERS[word]}
        if len(found) != 1:
            return None
        meanings[value] = found.pop()
    letters = {"n", "p"} & {value.lower() for value in values}
    if letters and any(value.lower().startswith(("neg", "pos")) for value in values):
        return None  # an N among these may be neutral
    return meanings
