"""What a worker of a cluster does, without a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sentimm import __version__
from sentimm.bundle.bundle import load_bundle
from sentimm.corpus import CorpusReader, read_chunk, survey_corpus, write_chunk
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.cluster.worker import PartWorker
from tests.support.cluster_jobs import make_corpus


@pytest.fixture
def corpus(tmp_path) -> Path:
    return make_corpus(tmp_path)


def test_staged_posts_are_read_as_they_were(corpus) -> None:
    options = CorpusOptions(images=corpus / "images")
    survey = survey_corpus([str(corpus / "posts.csv")], options)
    chunk = CorpusReader(survey, options, 100).read(300)
    write_chunk(corpus / "staged.parquet", chunk)
    again = read_chunk(corpus / "staged.parquet", 100)
    assert again.frame.equals(chunk.frame)
    assert again.texts.equals(chunk.texts) and again.names.equals(chunk.names)
    assert again.images == chunk.images and again.problems == chunk.problems
    assert (again.unreadable == chunk.unreadable).all() and again.start == 100


@pytest.mark.parametrize(("name", "value"), [("version", "0.0.1"), ("digest", "another")])
def test_a_worker_with_another_model_says_so_in_place_of_its_parts(tiny_bundle, tmp_path, monkeypatch, name, value):
    monkeypatch.chdir(tmp_path)
    job = SimpleNamespace(
        directory=tmp_path,
        options=ScoreOptions(inputs=("posts.csv",), model=tiny_bundle),
        metadata={"version": __version__, "digest": load_bundle(tiny_bundle).digest, name: value},
    )
    worker = PartWorker(job, threads=1)
    told = [json.loads(row["parts"][0]) for row in worker({"start": np.array([0, 10]), "rows": np.array([10, 10])})]
    assert [[part["start"] for part in parts] for parts in told] == [[0], [10]]
    assert all(f"another version of sentimm ({__version__})" in parts[0]["error"] for parts in told)


@pytest.mark.parametrize(("parts", "told"), [(1, [1]), (8, [1] * 8), (9, [2, 2, 2, 2, 1]), (64, [8] * 8)])
def test_a_worker_tells_of_several_parts_at_once_where_a_task_has_many(tmp_path, parts, told) -> None:
    worker = PartWorker(SimpleNamespace(directory=tmp_path / "not there"), threads=1)
    starts = np.arange(parts)
    rows = [json.loads(row["parts"][0]) for row in worker({"start": starts, "rows": np.ones_like(starts)})]
    assert [len(row) for row in rows] == told
    assert [part["start"] for row in rows for part in row] == starts.tolist()
