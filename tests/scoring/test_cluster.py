"""Scoring on a Ray cluster on this machine: the same rows as in one process, whatever is lost on the way."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus import CorpusReader, read_chunk, survey_corpus, write_chunk
from sentimm.options import CorpusOptions
from sentimm.scoring.problems import name_problems
from tests.scoring import cluster_driver, corpora, kills

ROWS = 1200
POSIX = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


@pytest.fixture
def corpus(tmp_path) -> Path:
    corpora.make_large(tmp_path, ROWS, images=60, broken_rows=0.02)
    return tmp_path


def arguments(corpus: Path, bundle: Path, output: Path, table: str = "posts.csv") -> list[str]:
    named = [str(corpus / table), "--images", str(corpus / "images"), "--model", str(bundle)]
    return [*named, "--chunk-rows", "50", "-o", str(output)]


def score(*options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "sentimm", "score", *options], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == code, done.stderr
    return done


def check(output: Path, expected: Path) -> None:
    assert kills.compare(output, expected) == (0, 0)
    assert len(pl.read_parquet(output)) == ROWS
    assert name_problems(output).read_text() == name_problems(expected).read_text()
    assert not output.with_name(f"{output.name}.job").exists()


def test_staged_posts_are_read_as_they_were(corpus) -> None:
    options = CorpusOptions(images=corpus / "images")
    survey = survey_corpus([str(corpus / "posts.csv")], options)
    chunk = CorpusReader(survey, options, 100).read(300)
    write_chunk(corpus / "staged.parquet", chunk)
    again = read_chunk(corpus / "staged.parquet", 100)
    assert again.frame.equals(chunk.frame)
    assert again.texts.equals(chunk.texts) and again.named.equals(chunk.named)
    assert again.images == chunk.images and again.problems == chunk.problems
    assert (again.unreadable == chunk.unreadable).all() and again.start == 100


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_one_sentence(corpus, tiny_bundle) -> None:
    for address in ("auto", "127.0.0.1:1", "nonsense"):
        done = score(*arguments(corpus, tiny_bundle, corpus / "x.parquet"), "--ray", address, code=2)
        assert f"Error: No Ray cluster answers at {address} (" in done.stderr and "--ray local" in done.stderr
    assert not (corpus / "x.parquet.job").exists()


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize("table", ["posts.csv", "posts.parquet"])
def test_a_local_cluster_gives_the_same_rows_and_is_resumed_when_its_driver_is_killed(
    corpus, tiny_bundle, tmp_path, table
) -> None:
    pl.read_csv(corpus / "posts.csv", truncate_ragged_lines=True).write_parquet(corpus / "posts.parquet")
    expected, output = tmp_path / "expected.parquet", tmp_path / "scored.parquet"
    score(*arguments(corpus, tiny_bundle, expected, table))
    own = [*arguments(corpus, tiny_bundle, output, table), "--ray", "local"]
    process = kills.start(own)
    assert kills.wait_for_part(process, output, 0)
    time.sleep(random.Random(0).uniform(0, 0.2))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(kills.list_parts(output)) > 0 and not output.exists()
    done = score(*own)
    assert "On a Ray cluster of 1 node, in fp32, with" in done.stderr
    assert "Going on where it stopped" in done.stderr
    check(output, expected)
    score(*own)  # already done


@pytest.mark.slow
def test_shards_are_scored_where_they_lie(corpus, tiny_bundle, tmp_path) -> None:
    (tmp_path / "shards").mkdir()
    images = [file.read_bytes() for file in sorted((corpus / "images").iterdir())]
    for shard in range(3):
        with tarfile.open(tmp_path / "shards" / f"{shard}.tar", "w") as archive:
            for number in range(40):
                for suffix, content in ((".txt", f"a good day {number}".encode()), (".jpg", images[number])):
                    member = tarfile.TarInfo(f"{shard}{number:04d}{suffix}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    own = [str(tmp_path / "shards"), "--model", str(tiny_bundle), "--chunk-rows", "25"]
    score(*own, "-o", str(tmp_path / "expected.parquet"))
    score(*own, "-o", str(tmp_path / "scored.parquet"), "--ray", "local")
    assert kills.compare(tmp_path / "scored.parquet", tmp_path / "expected.parquet") == (0, 0)
    assert len(pl.read_parquet(tmp_path / "scored.parquet")) == 120


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize("loss", ["worker", "node"])
def test_a_loss_in_the_middle_costs_no_row(corpus, tiny_bundle, tmp_path, loss) -> None:
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
        [sys.executable, "-m", "tests.scoring.cluster_driver", loss, json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    # Ray itself, outside of the job, prints on standard output what it has lost.
    (answer,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert json.loads(answer) == {"rows": ROWS, "parts": ROWS // 50}
    check(output, expected)


@pytest.mark.slow
@POSIX
def test_results_stay_alone_on_standard_output_when_a_worker_is_lost(corpus, tiny_bundle, tmp_path) -> None:
    output = tmp_path / "scored.parquet"
    own = [*arguments(corpus, tiny_bundle, output), "--ray", "local", "--json", "--log-file", str(tmp_path / "log")]
    command = [sys.executable, "-m", "sentimm", "score", *own]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert kills.wait_for_part(process, output, 0)
        for worker in cluster_driver.list_workers():
            os.kill(worker, signal.SIGKILL)
        out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert json.loads(out)["rows"] == ROWS
    assert "(raylet)" not in err


@pytest.mark.slow
@POSIX
def test_too_many_unreadable_images_end_a_job_on_a_cluster(corpus, tiny_bundle, tmp_path) -> None:
    output = tmp_path / "scored.parquet"
    own = [*arguments(corpus, tiny_bundle, output), "--ray", "local"]
    done = score(*own, "--max-failed", "1", code=1)
    assert "images can't be read" in done.stderr.splitlines()[-1]
    assert kills.list_parts(output)
    score(*own)
    assert len(pl.read_parquet(output)) == ROWS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scored.parquet", "scored"])
def test_posts_whose_images_are_there_now_are_scored_again_on_a_cluster(corpus, tiny_bundle, tmp_path, name) -> None:
    output, expected = tmp_path / name, tmp_path / f"expected-{name}"
    kept = (corpus / "images" / "1.jpg").read_bytes()
    (corpus / "images" / "1.jpg").unlink()
    score(*arguments(corpus, tiny_bundle, output))
    before = pl.read_parquet(output)["status"]
    (corpus / "images" / "1.jpg").write_bytes(kept)
    (corpus / "images" / "0.jpg").write_bytes(kept)
    again = ["--retry", "image_missing,image_unreadable", "--ray", "local", "--json"]
    done = json.loads(score(*arguments(corpus, tiny_bundle, output), *again).stdout)
    assert done["scored"] == before.is_in(["image_missing", "image_unreadable"]).sum() > 0
    score(*arguments(corpus, tiny_bundle, expected))
    check(output, expected)
