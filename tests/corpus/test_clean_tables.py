"""A clean table is read as it stands: no repair, no guess, no note, in any format."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentimm.corpus import chunk_frame
from sentimm.options import CorpusOptions
from tests.support.posts.corpora import make_posts
from tests.support.posts.labelled_corpus import make_labelled_corpus
from tests.support.posts.reading import read_all, survey

SAMPLES = Path(__file__).parents[2] / "samples"
FORMATS = ["csv", "tsv", "ndjson", "json", "parquet", "arrow"]
# What looks like damage, markup or nothing, and is none of it.
AWKWARD = [
    "I <3 you", "a < b > c", "<3 <3", "x [removed] y", "not available: NA", "nan bread", "None of us", "null and void",
    "{curly}", "[draft] a text", "{\"a\"", "a|b;c,d", "sep=;", "# not a comment", "50% of it", "=1+1", "\\N is a path",
    "C:\\new\\table", "it's \\\"fine\\\"", "naïve café", "Ära Öl über", "Ça va", "São Paulo", "mañana será otro día",
    "привет, как дела", "これはとても良い", "좋아요", "أحب هذا", "मुझे पसंद है", "ሰላም", "😭😭", "Â, Ã and â are letters",
    "“quoted”", "…", "\u00a0space", "e\u0301", "1.59E+18", "0012", "true", "2024-01-01", "  edges  ",
]  # fmt: skip


def read_samples(name: str) -> pl.DataFrame:
    with (SAMPLES / name).open(encoding="utf-8", newline="") as file:
        return pl.DataFrame(list(csv.DictReader(file))).select("id", "text")


TABLES = {
    "samples": lambda _: read_samples("posts.csv"),
    "labelled samples": lambda _: read_samples("train.csv"),
    "generated": lambda _: make_posts(500).select("id", "text"),
    "labelled": lambda folder: pl.read_csv(make_labelled_corpus(folder) / "posts.csv", infer_schema=False).select(
        "text"
    ),
    "awkward": lambda _: pl.DataFrame({"id": [str(n) for n in range(len(AWKWARD))], "text": AWKWARD}),
}


def check(frame: pl.DataFrame, kind: str, folder: Path) -> None:
    """Write a frame in one format, and check that it is read as it is."""
    path = folder / f"table.{kind}"
    match kind:
        case "csv" | "tsv":
            frame.write_csv(path, separator="," if kind == "csv" else "\t", quote_style="necessary")
        case "ndjson":
            frame.write_ndjson(path)
        case "json":
            frame.write_json(path)
        case "parquet":
            frame.write_parquet(path)
        case "arrow":
            frame.write_ipc(path)
    found = survey(path)
    assert (found.repairs, found.unreadable) == ({}, 0)
    assert [note for note in found.notes if "is one JSON document" not in note] == []
    chunk = read_all(path)
    for texts in (chunk.texts, chunk.frame["text"]):  # CSV knows no null beside the empty string
        assert [text or None for text in texts] == [text or None for text in frame["text"]]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", TABLES)
def test_a_clean_table_is_read_as_it_stands(tmp_path: Path, name: str, kind: str) -> None:
    frame = TABLES[name](tmp_path)
    check(frame, kind, tmp_path)
    chunk, _ = chunk_frame(frame, CorpusOptions())
    assert chunk.texts.to_list() == frame["text"].to_list()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(texts=st.lists(st.sampled_from(AWKWARD), min_size=4), kind=st.sampled_from(FORMATS))
def test_any_of_these_together_are(tmp_path_factory: pytest.TempPathFactory, texts: list[str], kind: str) -> None:
    frame = pl.DataFrame({"id": [f"p{n}" for n in range(len(texts))], "text": texts})
    check(frame, kind, tmp_path_factory.mktemp("clean"))
