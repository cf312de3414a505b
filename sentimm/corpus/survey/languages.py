"""Whether texts are in English: by a sample of them, their scripts, and the commonest words of some languages."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

_MOST_TEXTS = 300  # a share of a fifth is 2.3 points uncertain then
_MOST_CHARS = 500  # of a text

_ENGLISH_WORDS = """
    the and you of for that it my with this have are but be just not what your they from i'm don't it's i'll i you're
    can't going when how who why there their them she him his were been would could should because about out up get got
    like know think really love good today tomorrow tonight back day our if than then more some only by now go will to
    is im dont u ur which these those has had did does doesn't didn't won't isn't we're they're that's there's he's
    she's let's after before over into again never ever still need want can one time see new people right her
"""
# Spanish, Portuguese, French, German, Italian, Dutch, Turkish, Indonesian, Swahili, Hausa, Polish; a word that is as
# common in English is left out.
_OTHER_WORDS = """
    que los las una por para con del como pero más mas muy este esta está esto eso cuando porque hoy todo todos ya yo
    mi tu su el en de un se lo la le y o e os es
    não nao uma você voce eu ele ela isso mais dos das muito quando estou tá vai meu minha seu sua com foi só nem quem
    pra ao pela pelo à
    les des une est pas dans pour sur avec qui sont nous vous mais c'est j'ai je il elle ils ne au aux du et ce cette
    ça tout fait
    der das und ist nicht ich ein eine einen mit auf für von sich dem den auch wie zu sind wenn aber oder noch nur bei
    nach über wir
    che di gli sono è della dei nel alla ho ti si più ma anche questo sei siamo
    een het niet ik van voor maar ook zijn naar wat
    bir ve bu için çok
    yang ini itu tidak untuk dengan saya
    na wa kwa ni za katika
    da ba ta yi wani ka ko mu kuma
    nie się jest że jak z ale
"""

_ENGLISH, _OTHERS = frozenset(_ENGLISH_WORDS.split()), frozenset(_OTHER_WORDS.split())

_NO_WORDS = r"https?://\S*|[@#]\w+|&\w+;|<[^>]*>"
_WORD = r"\p{L}[\p{L}\p{M}']*"
# What a word says for English, as the logarithm of a ratio: a common English one, one of another language, any other.
# A logistic regression on 12,000 tweets in 16 languages gave 1.29, -1.17 and -0.11.
_SAYS = np.array([1.3, -1.2, -0.11])
_MOST_CHARACTERS = 1000  # of a text
_SURE = 1.5  # 4.5 to 1; less is undecided, as most texts of a few words are


class LanguageSample:
    """Keeps some 300 texts, evenly spread over all, and finds out how many of them are in English."""

    def __init__(self) -> None:
        self._sample: list[str] = []  # a slice of a Series would hold on to the whole table's texts
        self._texts = 0
        self._stride = 1

    def add(self, texts: pl.Series) -> None:
        """Take every so many of `texts` (String, without nulls)."""
        while len(self._sample) + len(texts) // self._stride > _MOST_TEXTS:
            self._sample = self._sample[::2]
            self._stride *= 2
        offset = -self._texts % self._stride
        self._texts += len(texts)
        if offset < len(texts):
            self._sample += texts.gather_every(self._stride, offset).str.slice(0, _MOST_CHARACTERS).to_list()

    def measure(self) -> dict[str, float]:
        """Return how many `texts` were looked at, and the shares of them in `english`, and in `other` languages.

        The rest is undecided. Nothing is returned where no text has a letter.
        """
        texts = pl.Series(self._sample, dtype=pl.String)
        texts = texts.filter(texts.str.contains(r"\p{L}"))
        if not len(texts):
            return {}
        scores = score_english(texts)
        found = {"english": scores >= _SURE, "other": scores <= -_SURE}
        return {"texts": len(texts)} | {name: round(float(each.mean()), 3) for name, each in found.items()}


def score_english(texts: pl.Series) -> npt.NDArray[np.float64]:
    """Return how far each text is from English: float64 (texts,), above 0 if it is; -inf in another script."""
    # As few queries as can be: each takes longer than its work on some hundred texts.
    text = pl.lit(texts).str.slice(0, _MOST_CHARS).str.to_lowercase().str.replace_all("\u2019", "'", literal=True)
    found = pl.select(word=text.str.replace_all(_NO_WORDS, " ").str.extract_all(_WORD)).with_row_index("row")
    word = pl.col("word")
    words = found.explode("word").select(
        "row",
        english=word.is_in(list(_ENGLISH)).fill_null(False),
        other=word.is_in(list(_OTHERS)).fill_null(False),
        any=word.is_not_null(),
        letters=word.str.len_chars().fill_null(0)
        * (1 - 2 * word.str.contains(r"\p{Latin}").fill_null(False).cast(pl.Int32)),
    )
    rows = words["row"].to_numpy()
    english, others, every, foreign = (
        np.bincount(rows, weights=words[name].to_numpy(), minlength=len(texts))
        for name in ("english", "other", "any", "letters")
    )
    scores: npt.NDArray[np.float64] = np.stack([english, others, every - english - others], axis=1) @ _SAYS
    scores[foreign > 0] = -np.inf  # more letters of other scripts than Latin ones
    return scores
