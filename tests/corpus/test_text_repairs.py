from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus import Chunk, CorpusReader, Survey, chunk_frame, survey_corpus
from sentimm.corpus.text_repairs import TextRepairs, read_again, repair_texts
from sentimm.errors import UsageError
from sentimm.options import CorpusOptions

FORMATS = ["posts.csv", "posts.jsonl", "posts.parquet"]


def read(path: Path, texts: list[str | None], **options: object) -> tuple[Survey, Chunk]:
    frame = pl.DataFrame({"id": range(len(texts)), "text": texts}, schema_overrides={"text": pl.String})
    if path.suffix == ".csv":
        frame.write_csv(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dicts()))
    else:
        frame.write_parquet(path)
    asked = CorpusOptions(**options)  # type: ignore[arg-type]
    survey = survey_corpus([str(path)], asked)
    chunk = CorpusReader(survey, asked).read(10_000)
    assert chunk is not None
    assert chunk.frame["text"].to_list() == texts  # the user's cells stay
    (of_frame, _) = chunk_frame(frame, asked)
    assert of_frame.texts.to_list() == chunk.texts.to_list()
    return survey, chunk


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("<p>good <b>day</b></p>", "good day"),
        ("a<br />b", "a b"),
        ('<p>see <a href="https://x.org/a?b=c">this</a></p><p>now</p>', "see this now"),
        ("I <3 you", "I <3 you"),
        ("a < b > c", "a < b > c"),
        ("<user> said </hi>", "<user> said </hi>"),
        ("[deleted]", None),
        ("[removed]", None),
        ("it was [removed] by them", "it was [removed] by them"),
    ],
)
def test_markup_and_placeholders_are_no_text(text: str, meant: str | None) -> None:
    (found,) = repair_texts(pl.Series([text]), TextRepairs()).to_list()
    assert (found if found is None else " ".join(found.split())) == meant


@pytest.mark.parametrize("name", FORMATS)
def test_a_survey_says_how_many_texts_are_repaired(tmp_path: Path, name: str) -> None:
    survey, chunk = read(tmp_path / name, ["<p>good</p>", "[deleted]", "fine", "<i>bad</i>"])
    assert [text if text is None else text.strip() for text in chunk.texts] == ["good", None, "fine", "bad"]
    assert survey.to_json()["repairs"] == {"markup": 2, "placeholders": 1}
    assert survey.texts == 3
    assert survey.notes == (
        "2 texts are read without HTML tags.",
        "1 text is the placeholder of a deleted post, such as [deleted], and read as no text.",
    )


@pytest.mark.parametrize("name", FORMATS)
def test_mojibake_is_read_as_it_was_meant(tmp_path: Path, name: str) -> None:
    meant = ["so happy \U0001f60d", "größer und schöner", "it\u2019s fine", "plain"]
    broken: list[str | None] = [text.encode().decode("latin-1") for text in meant]
    survey, chunk = read(tmp_path / name, broken)
    assert chunk.texts.to_list() == meant
    assert survey.repairs == {"mojibake": 3}
    windows = "”schön” \U0001f62d".encode().decode("cp1252", errors="replace")
    assert "\N{REPLACEMENT CHARACTER}" in windows  # what is lost can't be read again
    assert read_again(pl.Series([windows])).to_list() == [windows]
    assert read_again(pl.Series(["\u00f0\u0178\u02dc\xad"])).to_list() == ["\U0001f62d"]


@pytest.mark.parametrize("texts", [["Ã la carte", "café", "naïve"], ["Ã©", "ä", "ö"], ["â", "Â«a»", "c"]])
def test_texts_of_which_few_look_broken_stay(tmp_path: Path, texts: list[str | None]) -> None:
    survey, chunk = read(tmp_path / "posts.csv", texts)
    assert chunk.texts.to_list() == texts
    assert survey.repairs == {}


@pytest.mark.parametrize("name", FORMATS)
def test_words_for_nothing_are_no_texts_where_they_are_many(tmp_path: Path, name: str) -> None:
    survey, chunk = read(tmp_path / name, ["good", "NA", "bad", "NA", "NA"])
    assert chunk.texts.to_list() == ["good", None, "bad", None, None]
    assert (survey.texts, survey.repairs) == (2, {"null_words": 3})
    assert "3 texts are NA, null or the like" in survey.notes[0]
    survey, chunk = read(tmp_path / name, ["good"] * 400 + ["None", "NA"])
    assert chunk.texts.null_count() == 0
    assert survey.notes == ()


def test_null_values_name_the_words(tmp_path: Path) -> None:
    survey, chunk = read(tmp_path / "posts.csv", ["good", "-", "NA"] * 3, null_values=("-",))
    assert chunk.texts.to_list() == ["good", None, "NA"] * 3
    assert survey.texts == 6
    survey, chunk = read(tmp_path / "posts.csv", ["good", "—", "NA"] * 3, null_values=("—",))
    assert (survey.texts, chunk.texts.null_count()) == (6, 3)
    with pytest.raises(UsageError, match="--null-values has a word that is not valid UTF-8"):
        CorpusOptions(null_values=("\udcff",))
    _, chunk = read(tmp_path / "posts.csv", ["good", "NA", "NA", "NA"], null_values=())
    assert chunk.texts.null_count() == 0


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize(
    ("bare", "is_null"),
    [("7", True), ("2024-01-02 10:00:00", True), ("TRUE", True), ("word", False), ('"7"', True)],
)
def test_a_bare_na_is_no_text_where_all_strings_are_in_quotes(
    tmp_path: Path, delimiter: str, bare: str, is_null: bool
) -> None:
    """As R's write.csv writes it."""
    rows = [['"id"', '"text"', '"likes"'], *([f'"{row}"', '"good, he said ""so"""', bare] for row in range(400))]
    rows[7][1] = "NA"
    path = tmp_path / ("posts.tsv" if delimiter == "\t" else "posts.csv")
    path.write_text("".join(delimiter.join(row) + "\n" for row in rows))
    options = CorpusOptions()
    found = survey_corpus([str(path)], options)
    chunk = CorpusReader(found, options).read(1000)
    assert chunk is not None
    assert chunk.texts[6] == (None if is_null else "NA") and chunk.texts[5] == 'good, he said "so"'
    assert chunk.frame["text"][6] == "NA"
    assert any("1 text is NA, null or the like" in note for note in found.notes) == is_null
    assert found.texts == 400 - is_null


def test_words_for_nothing_name_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "posts.csv").write_text("text,image\na,a.png\nb,NA\nc,nan\nd,gone.png\n")
    survey = survey_corpus([str(tmp_path / "posts.csv")], CorpusOptions(images=tmp_path))
    assert (survey.images_named, survey.images_found) == (2, 1)
