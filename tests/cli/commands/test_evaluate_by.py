"""`sentimm evaluate --by COLUMN`: figures for each value of a column."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from sentimm.evaluation.assess import assess_corpus
from sentimm.evaluation.options import EvaluateOptions
from sentimm.scoring.scorer import Scorer
from tests.support.commands import fail, run
from tests.support.posts.labelled_corpus import LABELS, WORDS

SIZES = {"en": 60, "sw": 9, None: 3}


def make_posts(folder: Path, suffix: str = "csv") -> Path:
    langs = [lang for lang, size in SIZES.items() for _ in range(size)]
    frame = pl.DataFrame(
        {
            "text": [f"{WORDS[row % 6]} {row}" if row != 5 else None for row in range(len(langs))],
            "label": [LABELS[row % 3] if row != 7 else None for row in range(len(langs))],
            "lang": langs,
            "year": [2020 + row % 2 for row in range(len(langs))],
        }
    )
    path = folder / f"posts.{suffix}"
    {
        "csv": frame.write_csv,
        "tsv": lambda path: frame.write_csv(path, separator="\t"),
        "ndjson": frame.write_ndjson,
        "parquet": frame.write_parquet,
        "arrow": frame.write_ipc,
    }[suffix](path)
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "ndjson", "parquet", "arrow"])
def test_each_value_is_measured_as_if_it_were_alone(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    table = make_posts(tmp_path, suffix)
    found = json.loads(run(capsys, "evaluate", table, "--model", tiny_bundle, "--by", "lang", "--json").out)
    assert found["by"] == "lang"
    assert {name: each["posts"] for name, each in found["values"].items()} == {"en": 58, "sw": 9, "(none)": 3}
    pl.read_csv(make_posts(tmp_path)).filter(pl.col("lang") == "sw").write_csv(tmp_path / "sw.csv")
    alone = json.loads(run(capsys, "evaluate", tmp_path / "sw.csv", "--model", tiny_bundle, "--json").out)
    assert found["values"]["sw"] == alone["report"]
    assert (alone["by"], alone["values"]) == (None, {})


def test_answers_that_are_there_are_measured_alike(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = make_posts(tmp_path)
    Scorer(tiny_bundle, device="cpu").score(pl.read_csv(table)).write_parquet(tmp_path / "scored.parquet")
    by_model = assess_corpus(EvaluateOptions((str(table),), model=tiny_bundle, by="year"), lambda _: None)
    as_scored = assess_corpus(EvaluateOptions((str(tmp_path / "scored.parquet"),), by="year"), lambda _: None)
    assert by_model.values == as_scored.values
    assert list(by_model.values) == ["2020", "2021"]


def test_a_person_sees_intervals_the_mean_and_which_values_are_few(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(capsys, "evaluate", make_posts(tmp_path), "--model", tiny_bundle, "--by", "lang").out
    lines = out[out.index("\nlang ") :].splitlines()[1:]
    assert lines[0].split() == ["lang", "posts", "accuracy", "macro", "recall", "macro", "F1"]
    assert lines[1].split()[:2] == ["en", "58"] and " to " in lines[1] and "*" not in lines[1]
    assert lines[2].split()[:3] == ["sw", "9", "*"]
    assert lines[4].startswith("mean ")
    assert lines[5] == "* fewer than 50 posts: too few to say much."


def test_a_column_that_is_not_there_or_not_of_groups_is_an_error(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = make_posts(tmp_path)
    message = f"{table} has no column 'language' (its columns: text, label, lang, year): name one with --by."
    assert fail(capsys, "evaluate", table, "--model", tiny_bundle, "--by", "language") == (2, message)
    Scorer(tiny_bundle, device="cpu").score(pl.read_csv(table)).write_parquet(tmp_path / "scored.parquet")
    code, found = fail(capsys, "evaluate", tmp_path / "scored.parquet", "--by", "language")
    assert code == 2 and "has no column 'language' (its columns: text, label, " in found
    many = pl.DataFrame({"text": [f"day {row}" for row in range(501)], "label": ["positive"] * 501})
    many.with_row_index("id").with_columns(tags=pl.concat_list("text")).write_parquet(tmp_path / "many.parquet")
    given = ("evaluate", tmp_path / "many.parquet", "--model", tiny_bundle, "--by")
    assert fail(capsys, *given, "id")[1] == (
        "The column 'id' has 501 values, and --by takes at most 500: name another column."
    )
    assert fail(capsys, *given, "tags")[1].startswith("The column 'tags' holds lists or objects, and --by needs one")
