"""Scoring on Ray clusters of this machine: the same rows as in one process, whatever is lost on the way.

They are in one file, which one process runs: Ray finds clusters, and the tests their workers, on the whole machine.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.support.clusters import driver as cluster_driver
from tests.support.clusters.hearing import list_begun
from tests.support.clusters.jobs import ROWS, arguments, begin_and_kill, check, make_corpus, score
from tests.support.failures import kills
from tests.support.failures.faults import Faults, find_free_port
from tests.support.posts import corpora

pytestmark = pytest.mark.slow
POSIX = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A corpus that no test changes."""
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def expected(corpus, tiny_bundle, tmp_path_factory) -> Path:
    """Its output, made in one process."""
    output = tmp_path_factory.mktemp("expected") / "expected.parquet"
    score(*arguments(corpus, tiny_bundle, output))
    return output


def test_a_cluster_that_is_not_there_is_one_sentence(corpus, tiny_bundle, tmp_path) -> None:
    for address in ("auto", "127.0.0.1:1", "nonsense"):
        done = score(*arguments(corpus, tiny_bundle, tmp_path / "x.parquet"), "--ray", address, code=2)
        assert f"Error: No Ray cluster answers at {address} (" in done.stderr and "--ray local" in done.stderr
    assert not (tmp_path / "x.parquet.job").exists()


@POSIX
def test_a_local_cluster_gives_the_same_rows_though_its_driver_and_then_its_workers_are_killed(
    corpus, expected, tiny_bundle, tmp_path
) -> None:
    output = tmp_path / "scored.parquet"
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


@pytest.mark.ci
@POSIX
def test_a_worker_and_then_a_node_that_are_lost_cost_no_row(corpus, expected, tiny_bundle, tmp_path) -> None:
    output = tmp_path / "scored.parquet"
    given = {
        "inputs": [str(corpus / "posts.csv")],
        "images": str(corpus / "images"),
        "output": str(output),
        "model": str(tiny_bundle),
        "chunk_rows": 50,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.clusters.driver", json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    # Ray itself, outside of the job, prints on standard output what it has lost.
    (answer,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert json.loads(answer) == {"rows": ROWS, "parts": ROWS // 50}
    check(output, expected)


# From here on a cluster that was started as the README says: `ray start`, on two machines, which are one here.


@pytest.fixture(scope="module")
def address(s3_server) -> Iterator[str]:
    """Where a cluster of two nodes, of one core each, answers; they know the object storage."""
    port = find_free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "0")  # Ray Data leaves actors, for which a node waits
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        for name, value in s3_server.environment.items():
            patch.setenv(name, value)
        nodes: list[subprocess.Popen[str]] = []
        try:
            nodes.append(start_ray("--head", f"--port={port}", "--include-dashboard=false"))
            nodes.append(start_ray(f"--address=127.0.0.1:{port}"))
            yield f"127.0.0.1:{port}"
        finally:
            for node in reversed(nodes):
                end_ray(node)


def start_ray(*options: str) -> subprocess.Popen[str]:
    """Start a node of one core."""
    command = [str(Path(sys.executable).with_name("ray")), "start", *options, "--num-cpus=1", "--block"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said = ""
    while "Ray runtime started" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    return process


def end_ray(node: subprocess.Popen[str]) -> None:
    """End a node; `ray stop` would end those of others too."""
    node.terminate()
    node.communicate(timeout=60)


def test_two_machines_score_a_table(address, corpus, expected, tiny_bundle, tmp_path) -> None:
    output = tmp_path / "scored.parquet"
    done = score(*arguments(corpus, tiny_bundle, output), "--ray", "auto")
    assert "On a Ray cluster of 2 nodes, in fp32, with 2 workers of 1 core each." in done.stderr
    check(output, expected)


def hear(address: str, folder: Path, workers: int) -> subprocess.Popen[str]:
    """Begin a job whose first part is committed when so many workers have begun."""
    command = [sys.executable, "-m", "tests.support.clusters.hearing", address, str(folder), str(workers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def check_heard(job: subprocess.Popen[str]) -> None:
    out, err = job.communicate(timeout=120)
    assert job.returncode == 0, err
    assert json.loads(out.splitlines()[-1]) == {"parts": 16}


def test_all_workers_begin_and_a_part_is_heard_of_before_its_task_ends(address, tmp_path) -> None:
    with hear(address, tmp_path, workers=2) as job:
        check_heard(job)


def test_a_cluster_lets_nobody_in_without_its_token(address, corpus, tiny_bundle, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    done = score(*arguments(corpus, tiny_bundle, tmp_path / "scored.parquet"), "--ray", address, code=2)
    assert f"The Ray cluster at {address} asks for a token" in done.stderr


@pytest.mark.ci
def test_shards_are_scored_where_they_lie(address, corpus, tiny_bundle, tmp_path) -> None:
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
    score(*own, "-o", str(tmp_path / "scored.parquet"), "--ray", address)
    assert kills.compare(tmp_path / "scored.parquet", tmp_path / "expected.parquet") == (0, 0)
    assert len(pl.read_parquet(tmp_path / "scored.parquet")) == 120


@pytest.mark.ci
def test_too_many_unreadable_images_end_a_job(address, corpus, tiny_bundle, tmp_path) -> None:
    output = tmp_path / "scored.parquet"
    own = [*arguments(corpus, tiny_bundle, output), "--ray", address]
    done = score(*own, "--max-failed", "1", code=1)
    assert "images can't be read" in done.stderr.splitlines()[-1]
    assert kills.list_parts(output)


@pytest.mark.ci
def test_posts_whose_images_are_there_now_are_scored_again(address, tiny_bundle, tmp_path) -> None:
    corpus = make_corpus(tmp_path)
    output, expected = tmp_path / "scored", tmp_path / "expected"
    kept = (corpus / "images" / "1.jpg").read_bytes()
    (corpus / "images" / "1.jpg").unlink()
    score(*arguments(corpus, tiny_bundle, output))
    before = pl.read_parquet(output)["status"]
    (corpus / "images" / "1.jpg").write_bytes(kept)
    (corpus / "images" / "0.jpg").write_bytes(kept)
    again = ["--retry", "image_missing,image_unreadable", "--ray", address, "--json"]
    done = json.loads(score(*arguments(corpus, tiny_bundle, output), *again).stdout)
    assert done["scored"] == before.is_in(["image_missing", "image_unreadable"]).sum() > 0
    score(*arguments(corpus, tiny_bundle, expected))
    check(output, expected)


@pytest.mark.ci
def test_parts_are_committed_to_object_storage_though_requests_fail(address, s3, tiny_bundle, tmp_path) -> None:
    images = corpora.make_images(tmp_path / "images")
    corpora.make_posts(48).write_csv(tmp_path / "posts.csv")
    s3.put("s3://posts/posts.csv", (tmp_path / "posts.csv").read_bytes())
    s3.put_folder(images, "s3://posts/images")
    s3.put_folder(tiny_bundle, "s3://posts/bundle")
    expected, scored = tmp_path / "expected.parquet", tmp_path / "scored.parquet"
    score(str(tmp_path / "posts.csv"), "--images", str(images), "--model", str(tiny_bundle), "-o", str(expected))
    stored = ["s3://posts/posts.csv", "--images", "s3://posts/images", "--model", "s3://posts/bundle"]
    with s3.failing(Faults.evenly(0.1, seed=5)):
        score(*stored, "-o", "s3://posts/scored.parquet", "--chunk-rows", "10", "--ray", address)
        assert s3.faults.total() > 0
    scored.write_bytes(s3.read("s3://posts/scored.parquet"))
    assert kills.compare(scored, expected) == (0, 0)
    assert not [key for key in s3.list_keys() if ".job/" in key]


@pytest.mark.ci
def test_a_node_that_joins_in_the_middle_has_a_worker(address, tmp_path) -> None:
    with hear(address, tmp_path, workers=3) as job:
        while len(list_begun(tmp_path)) < 2 and job.poll() is None:
            time.sleep(0.05)
        node = start_ray(f"--address={address}")
        try:
            check_heard(job)
        finally:
            end_ray(node)


# The last one: for three minutes Ray Data keeps a killed driver's share of the cluster, and nobody may grow.
@pytest.mark.ci
def test_a_job_goes_on_when_its_driver_is_killed(address, tiny_bundle, tmp_path) -> None:
    corpus = make_corpus(tmp_path)
    pl.read_csv(corpus / "posts.csv", truncate_ragged_lines=True).write_parquet(corpus / "posts.parquet")
    expected, output = tmp_path / "expected.parquet", tmp_path / "scored.parquet"
    score(*arguments(corpus, tiny_bundle, expected, "posts.parquet"))
    own = [*arguments(corpus, tiny_bundle, output, "posts.parquet"), "--ray", address]
    begin_and_kill(output, *own)
    assert "Resuming: " in score(*own).stderr
    check(output, expected)
