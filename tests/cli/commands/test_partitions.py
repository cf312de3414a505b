"""Folders of partitions, with the commands."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from sentimm.options import ScoreOptions
from sentimm.scoring.job_folder.fingerprint import describe_changes
from tests.support.commands import run
from tests.support.failures.local_jobs import job_folder, run_partly
from tests.support.failures.local_jobs import run as run_job


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label in ("negative", "positive"):
        place = tmp_path / "data" / f"label={label}" / "year=2024"
        place.mkdir(parents=True)
        pl.DataFrame({"text": [f"a {label} day", f"a {label} night"]}).write_parquet(place / "x.parquet")
    return tmp_path / "data"


def test_scores_stand_beside_the_values_of_partitions(
    folder: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(capsys, "score", folder, "--model", tiny_bundle, "-o", tmp_path / "scored.parquet")
    assert done.code == 0, done.err
    assert "The names of folders give the values of label, year." in done.err
    scored = pl.read_parquet(tmp_path / "scored.parquet")
    assert scored.columns[:5] == ["text", "label", "year", "source", "row"]
    assert scored["label"].to_list() == ["negative"] * 2 + ["positive"] * 2
    assert scored["year"].to_list() == [2024] * 4
    found = json.loads(run(capsys, "evaluate", folder, "--model", tiny_bundle, "--json").out)
    assert [each["posts"] for each in found["report"]["labels"]] == [2, 0, 2]


def test_a_stopped_job_goes_on_and_one_without_the_columns_does_not(
    folder: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    options = ScoreOptions((str(folder),), output=tmp_path / "scored.parquet", model=tiny_bundle, chunk_rows=1)
    run_partly(options, parts=3)
    stored = json.loads((job_folder(options) / "job.json").read_text())["fingerprint"]
    assert stored["options"]["partitions"] == ["label", "year"]
    earlier = {**stored, "options": {name: each for name, each in stored["options"].items() if name != "partitions"}}
    assert describe_changes(earlier, stored) == ["the columns that folders name was not given and is label,year"]
    assert run_job(options).scored == 1
    assert pl.read_parquet(tmp_path / "scored.parquet")["label"].to_list() == ["negative"] * 2 + ["positive"] * 2
