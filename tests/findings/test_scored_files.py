"""What the files that `score` writes say of themselves, as findings read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sentimm.bundle.bundle import load_bundle
from sentimm.errors import UsageError
from sentimm.findings.scored import open_scored
from tests.support.commands import run
from tests.support.posts import corpora
from tests.support.tiny.bundles import make_bundle


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    corpora.make_posts(16).write_csv("posts.csv")
    make_bundle(Path("bundle"))


def score(capsys: pytest.CaptureFixture[str], output: str, bundle: str = "bundle") -> None:
    assert run(capsys, "score", "posts.csv", "--model", bundle, "-o", output, "--text-column", "text", "-q").code == 0


def test_scored_files_name_their_model_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    score(capsys, "scored.parquet")
    found, bundle = open_scored(["scored.parquet"]), load_bundle(Path("bundle"))
    assert (found.bundle, found.model, found.labels) == (bundle.name, bundle.digest, bundle.labels)
    assert found.options["text_column"] == "text"


def test_scores_of_two_models_are_not_put_together(capsys: pytest.CaptureFixture[str]) -> None:
    score(capsys, "scored.parquet")
    score(capsys, "other.parquet", str(make_bundle(Path("other"), seed=5)))
    with pytest.raises(UsageError, match="were scored by different models"):
        open_scored(["scored.parquet", "other.parquet"])
    fingerprints = {open_scored([name]).fingerprint for name in ("scored.parquet", "other.parquet")}
    assert len(fingerprints) == 2


def test_the_same_posts_at_another_time_are_the_same_corpus(capsys: pytest.CaptureFixture[str]) -> None:
    score(capsys, "scored.parquet")
    os.utime("posts.csv", (1, 1))
    score(capsys, "again.parquet")
    assert open_scored(["scored.parquet"]).fingerprint == open_scored(["again.parquet"]).fingerprint
    corpora.make_posts(15).write_csv("posts.csv")
    score(capsys, "fewer.parquet")
    assert open_scored(["scored.parquet"]).fingerprint != open_scored(["fewer.parquet"]).fingerprint
