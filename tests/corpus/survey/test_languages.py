"""Whether texts are in English, on a sample of them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus import survey_corpus
from sentimm.corpus.survey.languages import LanguageSample, score_english
from sentimm.options import CorpusOptions

ENGLISH = (
    "I can't believe how good this was, going back with my friends tomorrow!",
    "RT @user: the weather is not what they said it would be https://t.co/abc",
    "Just got the new phone and it's really not worth the money, don't buy it",
)
OTHERS = {
    "es": "No me puedo creer que hoy ya no haya entradas para el concierto, que rabia",
    "de": "Ich habe heute nicht gut geschlafen und der Zug ist auch noch zu spät",
    "fr": "C'est pas possible, les trains sont en retard et je ne suis pas chez moi",
    "pt": "Não acredito que o jogo de hoje foi adiado, estou muito triste com isso",
    "it": "Non ci posso credere, questa sera il concerto è stato annullato per la pioggia",
    "ar": "لا أصدق أن المباراة تأجلت اليوم",
    "hi": "मुझे विश्वास नहीं हो रहा कि आज का मैच रद्द हो गया",
    "am": "ዛሬ በጣም ደስ ብሎኛል ሁላችሁንም አመሰግናለሁ",
    "ja": "今日の試合は本当に最高でした RT @user",
    "ru": "Концерт отменили, и мы очень расстроены",
    "sw": "Leo ni siku njema sana kwa watu wa Dar na familia ya mama yangu",
}


def score(text: str) -> float:
    return float(score_english(pl.Series([text]))[0])


def measure(*texts: str) -> dict[str, float]:
    sample = LanguageSample()
    sample.add(pl.Series(texts, dtype=pl.String))
    return sample.measure()


@pytest.mark.parametrize("text", ENGLISH)
def test_english_is_found(text: str) -> None:
    assert score(text) > 1.5
    assert score(f"<p>{text.upper()}</p>") > 1.5


@pytest.mark.parametrize("language", OTHERS)
def test_other_languages_are_found_in_any_script(language: str) -> None:
    assert score(OTHERS[language]) < -1.5


def test_texts_of_few_words_are_undecided_and_those_without_letters_not_counted() -> None:
    assert measure("nice pic", "Berlin", *ENGLISH) == {"texts": 5, "english": 0.6, "other": 0.0}
    assert measure("😍😍", "123 !!!") == measure() == {}


@pytest.mark.parametrize("block", [1, 7, 999, 5000])
def test_the_sample_is_small_and_even_whatever_the_blocks(block: int) -> None:
    texts = pl.Series([ENGLISH[0]] * 3000 + [OTHERS["es"]] * 1000)
    sample = LanguageSample()
    for start in range(0, len(texts), block):
        sample.add(texts[start : start + block])
    found = sample.measure()
    assert 100 <= found["texts"] <= 300
    assert found["other"] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "ndjson"])
def test_a_survey_says_what_it_found(tmp_path: Path, suffix: str) -> None:
    frame = pl.DataFrame({"text": [*ENGLISH, OTHERS["de"], None]})
    path = tmp_path / f"posts.{suffix}"
    {"csv": frame.write_csv, "parquet": frame.write_parquet, "ndjson": frame.write_ndjson}[suffix](path)
    survey = survey_corpus([str(path)], CorpusOptions())
    assert survey.languages == {"texts": 4, "english": 0.75, "other": 0.25}
    assert survey.to_json()["languages"] == survey.languages
    assert survey.notes == ()
