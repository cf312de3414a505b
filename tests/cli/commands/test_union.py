"""Inputs whose columns differ, with the commands."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus import CorpusReader, survey_corpus
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.training.data.tables import load_posts
from sentimm.training.options import TrainOptions
from tests.support.commands import run
from tests.support.failures.local_jobs import run as run_job
from tests.support.failures.local_jobs import run_partly


@pytest.fixture
def months(tmp_path: Path) -> tuple[Path, Path]:
    one, two = tmp_path / "month-1.csv", tmp_path / "month-2.parquet"
    one.write_text("id,text,label,likes\n1,a good day,positive,3\n2,a bad day,negative,\n")
    pl.DataFrame(
        {"id": [3, 4], "label": ["neutral", "negative"], "text": ["a table", "bad"], "shares": [1, 2]}
    ).write_parquet(two)
    return one, two


def test_score_fills_what_a_month_lacks(
    months: tuple[Path, Path], tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", *months, "--model", tiny_bundle, "-o", tmp_path / "scored.parquet"]
    refused = run(capsys, *command)
    assert refused.code == 2
    assert "or --columns to keep only columns that all have, such as --columns text,id,label." in refused.err
    assert run(capsys, *command, "--columns", "text,id,label").code == 0
    done = run(capsys, *command, "--union", "--overwrite")
    assert done.code == 0, done.err
    assert "Filled with null in the inputs that lack them: likes, shares." in done.err
    scored = pl.read_parquet(tmp_path / "scored.parquet")
    assert scored.columns[:6] == ["id", "text", "label", "likes", "shares", "source"]
    assert scored["likes"].to_list() == [3, None, None, None] and scored["shares"].to_list() == [None, None, 1, 2]
    changed = run(capsys, *command)
    assert changed.code == 2


def test_a_stopped_job_goes_on_as_it_began(months: tuple[Path, Path], tiny_bundle: Path, tmp_path: Path) -> None:
    options = ScoreOptions(
        tuple(map(str, months)),
        output=tmp_path / "scored.parquet",
        model=tiny_bundle,
        chunk_rows=1,
        corpus=CorpusOptions(union=True),
    )
    run_partly(options, parts=3)
    assert run_job(options).scored == 1
    assert pl.read_parquet(tmp_path / "scored.parquet")["shares"].to_list() == [None, None, 1, 2]


def test_a_worker_reads_what_was_surveyed(months: tuple[Path, Path]) -> None:
    options = CorpusOptions(union=True)
    survey, options = pickle.loads(pickle.dumps((survey_corpus(list(map(str, months)), options), options)))
    chunk = CorpusReader(survey, options, 1).read(2)
    assert chunk is not None and chunk.frame["id"].to_list() == [2, 3]


def test_commands_that_write_no_columns_need_those_that_they_use(
    months: tuple[Path, Path], tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(run(capsys, "evaluate", *months, "--model", tiny_bundle, "--json").out)
    assert found["posts"] == 4
    glob = str(tmp_path / "month-*")
    options = TrainOptions((glob,), fusion="bert")
    assert load_posts(options.inputs, options, ["text"], 32).label.tolist() == [2, 0, 1, 0]
    months[0].write_text("id,text\n1,a good day\n")
    refused = run(capsys, "evaluate", *months, "--model", tiny_bundle)
    assert refused.code == 2
    assert f"{months[0]} lacks label, which {months[1]} has. Use --union to fill what" in refused.err
    found = json.loads(run(capsys, "evaluate", *months, "--model", tiny_bundle, "--json", "--union").out)
    assert (found["posts"], found["unlabelled"]) == (2, 1)
    options = TrainOptions((glob,), fusion="bert", union=True)
    posts = load_posts(options.inputs, options, ["text"], 32)
    assert len(posts) == 2 and posts.skipped == {"without a label": 1}
