"""Scoring on a Ray cluster on this machine: the same rows as in one process, whatever is lost on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sentimm import __version__
from sentimm.bundle.bundle import load_bundle
from sentimm.corpus import CorpusReader, read_chunk, survey_corpus, write_chunk
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.cluster.worker import PartWorker
from tests.support import cluster_driver, kills
from tests.support.cluster_jobs import ROWS, arguments, begin_and_kill, check, make_corpus, score

POSIX = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


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


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_one_sentence(corpus, tiny_bundle) -> None:
    for address in ("auto", "127.0.0.1:1", "nonsense"):
        done = score(*arguments(corpus, tiny_bundle, corpus / "x.parquet"), "--ray", address, code=2)
        assert f"Error: No Ray cluster answers at {address} (" in done.stderr and "--ray local" in done.stderr
    assert not (corpus / "x.parquet.job").exists()


@pytest.mark.slow
@POSIX
def test_a_local_cluster_gives_the_same_rows_though_its_driver_and_then_its_workers_are_killed(
    corpus, tiny_bundle, tmp_path
) -> None:
    expected, output = tmp_path / "expected.parquet", tmp_path / "scored.parquet"
    score(*arguments(corpus, tiny_bundle, expected))
    own = [*arguments(corpus, tiny_bundle, output), "--ray", "local"]
    begin_and_kill(output, *own)
    before = len(kills.list_parts(output))
    command = [sys.executable, "-m", "sentimm", "score", *own, "--json", "--log-file", str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert kills.wait_for_part(process, output, before)
        for worker in cluster_driver.list_workers():
            os.kill(worker, signal.SIGKILL)
        out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert json.loads(out)["rows"] == ROWS  # and nothing else, though Ray prints what it lost
    assert "(raylet)" not in err
    assert "On a Ray cluster of 1 node, in fp32, with" in err and "Resuming: " in err
    check(output, expected)


@pytest.mark.slow
@POSIX
def test_a_worker_and_then_a_node_that_are_lost_cost_no_row(corpus, tiny_bundle, tmp_path) -> None:
    expected, output = tmp_path / "expected.parquet", tmp_path / "scored.parquet"
    score(*arguments(corpus, tiny_bundle, expected))
    given = {
        "inputs": [str(corpus / "posts.csv")],
        "images": str(corpus / "images"),
        "output": str(output),
        "model": str(tiny_bundle),
        "chunk_rows": 50,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.cluster_driver", json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    # Ray itself, outside of the job, prints on standard output what it has lost.
    (answer,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert json.loads(answer) == {"rows": ROWS, "parts": ROWS // 50}
    check(output, expected)
