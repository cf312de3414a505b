"""Scoring corpora that lie in object storage or on a web server, whose requests fail now and then."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from sentimm import Scorer
from sentimm.corpus.tables.shards import ShardTable
from sentimm.errors import (
    BundleError,
    BundleNotFoundError,
    ColumnError,
    InputError,
    JobConflictError,
    MissingExtraError,
    OutputError,
    StorageError,
    TableError,
    UsageError,
)
from sentimm.events import PartCommitted, Surveyed
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job import run_job
from sentimm.scoring.job_folder import lock
from sentimm.scoring.job_folder.progress import read_progress
from sentimm.storage import retrying, to_path
from tests.scoring.test_job import Killed, killed_at
from tests.support import corpora
from tests.support.servers import Faults, MemoryStore, S3Server

ROWS = 48
OUTPUTS = ["scored.parquet", "scored"]

pytestmark = pytest.mark.usefixtures("quick_decoding")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("botocore.retryhandler.delay_exponential", lambda *_, **__: 0.01)
    monkeypatch.setattr(lock, "RENEW_SECONDS", 0.0)
    monkeypatch.setattr(retrying, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(retrying, "_LONGEST_WAIT", 0.05)


@pytest.fixture
def corpus(tmp_path) -> Path:
    corpora.make_images(tmp_path / "images")
    corpora.make_posts(ROWS).write_csv(tmp_path / "posts.csv")
    return tmp_path


def make_options(inputs: object, output: object, bundle: object, images: object = None, **more) -> ScoreOptions:
    return ScoreOptions(
        inputs=(str(inputs),),
        corpus=CorpusOptions(images=None if images is None else to_path(str(images))),
        output=to_path(str(output)),
        model=to_path(str(bundle)),
        **{"chunk_rows": 10, "threads": 1, **more},
    )


def score(inputs: object, output: object, bundle: object, images: object = None, **more) -> pl.DataFrame | None:
    """Score; gives what a local output holds."""
    run_job(make_options(inputs, output, bundle, images, **more), lambda _event: None)
    return pl.read_parquet(output) if isinstance(output, Path) else None


def stored_options(output: str, **more) -> ScoreOptions:
    """Options of a job of which all lies in object storage."""
    return make_options(
        "s3://posts/posts.csv", f"s3://posts/{output}", "s3://posts/bundle", "s3://posts/images/", **more
    )


def score_stored(output: str, **more) -> None:
    run_job(stored_options(output, **more), lambda _event: None)


def read(store: S3Server | MemoryStore, output: str) -> pl.DataFrame:
    keys = [key for key in store.list_keys(f"{store.url}/{output}") if key.endswith(".parquet")]
    return pl.concat([pl.read_parquet(io.BytesIO(store.read(key))) for key in keys])


@pytest.fixture(scope="module")
def expected(tmp_path_factory, tiny_bundle) -> pl.DataFrame:
    folder = tmp_path_factory.mktemp("expected")
    corpora.make_images(folder / "images")
    corpora.make_posts(ROWS).write_csv(folder / "posts.csv")
    return score(folder / "posts.csv", folder / "expected.parquet", tiny_bundle, folder / "images")


@pytest.fixture
def stored(s3, corpus, tiny_bundle) -> S3Server:
    s3.put_folder(corpus / "images", "s3://posts/images")
    s3.put("s3://posts/posts.csv", (corpus / "posts.csv").read_bytes())
    s3.put_folder(tiny_bundle, "s3://posts/bundle")
    return s3


@pytest.mark.slow
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_corpus_in_object_storage_is_scored_as_a_local_one(stored, corpus, expected, output):
    score_stored(output)
    assert read(stored, output).equals(expected)
    problems = stored.read(f"s3://posts/{output}.problems.csv").decode()
    assert problems.count("\n") == 1 + (expected["status"] != "ok").sum()
    assert "s3://posts/images/broken.jpg" in problems
    assert not [key for key in stored.list_keys() if ".job/" in key]
    assert ("s3://posts/scored/_SUCCESS" in stored.list_keys()) == (output == "scored")
    before = stored.requests["PUT"]
    score_stored(output)  # it is done already
    assert stored.requests["PUT"] - before <= 1  # the lock
    with pytest.raises(JobConflictError, match="belongs to another job"):
        score_stored(output, views=True)
    score_stored(output, views=True, overwrite=True)
    assert "conflict" in read(stored, output).columns


@pytest.mark.slow
def test_tables_of_all_kinds_are_read_from_object_storage(s3, corpus, tiny_bundle, expected):
    frame = corpora.make_posts(ROWS)
    content = (corpus / "posts.csv").read_bytes()
    s3.put_folder(corpus / "images", "s3://posts/images")
    s3.put("s3://posts/a/posts.csv.gz", gzip.compress(content))
    s3.put("s3://posts/b/posts.csv.zst", pl_zstd(content))
    s3.put("s3://posts/c/posts.ndjson", frame.write_ndjson().encode())
    buffer = io.BytesIO()
    frame.write_parquet(buffer, row_group_size=7)
    s3.put("s3://posts/d/posts.parquet", buffer.getvalue())
    for name in ("a/posts.csv.gz", "b/posts.csv.zst", "c/posts.ndjson", "d/*.parquet"):
        found = score(f"s3://posts/{name}", corpus / f"{name[0]}.parquet", tiny_bundle, "s3://posts/images")
        assert found["status"].to_list() == expected["status"].to_list()
        assert found["p_positive"].to_list() == expected["p_positive"].to_list()


def pl_zstd(content: bytes) -> bytes:
    import pyarrow as pa

    return pa.compress(content, codec="zstd", asbytes=True)


def make_shard(images: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(3):
            for name, content in (("png", (images / f"{number}.png").read_bytes()), ("txt", b"a good day")):
                member = tarfile.TarInfo(f"{number}.{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.slow
def test_folders_and_shards_are_read_from_object_storage(s3, corpus, tiny_bundle):
    s3.put_folder(corpus / "images", "s3://posts/folder")
    s3.put("s3://posts/folder/0.txt", b"a good day")
    for number in range(2):
        s3.put(f"s3://posts/shards/{number:05d}.tar", make_shard(corpus / "images"))
    found = score("s3://posts/folder", corpus / "folder.parquet", tiny_bundle)
    assert found["modality"].to_list() == ["text+image", "image", "image", "none"]
    assert found["id"].to_list() == ["0", "1", "2", "broken"]
    found = score("s3://posts/shards/", corpus / "shards.parquet", tiny_bundle)
    assert found["modality"].to_list() == ["text+image"] * 6
    assert found["source"].unique().sort().to_list() == [f"s3://posts/shards/{n:05d}.tar" for n in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_row_is_lost_where_requests_fail_at_random(stored, expected, seed):
    output = OUTPUTS[seed % 2]
    with stored.failing(Faults.evenly(0.25, seed=seed)):
        score_stored(output)
        assert stored.faults.total() > 10
    assert read(stored, output).equals(expected)


@pytest.mark.slow
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(("store", "stride"), [("memory", 1), ("s3", 7)])
def test_a_job_in_object_storage_that_is_killed_at_any_step_resumes_to_the_same_rows(
    request, corpus, tiny_bundle, expected, monkeypatch, store, stride, output
):
    store = request.getfixturevalue(store)
    options = make_options(
        corpus / "posts.csv", f"{store.url}/{output}", tiny_bundle, corpus / "images", chunk_rows=ROWS // 2
    )
    step = 1
    while True:
        with killed_at(step), suppress(Killed):
            run_job(options, lambda _event: None)
            break
        run_job(options, lambda _event: None)
        assert read(store, output).equals(expected), f"killed at step {step}"
        assert not [key for key in store.list_keys() if ".job/" in key], f"killed at step {step}"
        for key in store.list_keys():
            store.remove(key)
        step += stride
    assert step > 30


@pytest.mark.slow
def test_a_process_that_is_killed_while_requests_fail_resumes_to_the_same_rows(stored, expected):
    command = [
        *(sys.executable, "-m", "sentimm", "score", "s3://posts/posts.csv", "--images", "s3://posts/images"),
        *("--model", "s3://posts/bundle", "-o", "s3://posts/scored", "--chunk-rows", "10", "--quiet"),
    ]
    with stored.failing(Faults.evenly(0.1, seed=7)):
        for step in (11, 30):
            killed = subprocess.run(
                command, env={**os.environ, "SENTIMM_FAILPOINT": str(step)}, capture_output=True, text=True, timeout=120
            )
            assert (killed.returncode, killed.stderr) == (86, "")
        assert read_progress(to_path("s3://posts/scored")).scored > 0
        subprocess.run(command, check=True, timeout=120)
    assert read(stored, "scored").equals(expected)


@pytest.mark.slow
def test_a_part_without_its_line_does_not_count(stored, expected, tiny_bundle):
    stop_after(2, "scored.parquet")
    job = "s3://posts/scored.parquet.job"
    assert f"{job}/part-000000000010.json" in stored.list_keys(job)
    stored.remove(f"{job}/part-000000000010.json")
    line = json.loads(stored.read(f"{job}/part-000000000000.json"))
    assert line["rows"] == 10 and line["bytes"] == len(stored.read(f"{job}/part-000000000000.parquet"))
    progress = read_progress(to_path("s3://posts/scored.parquet"))
    assert (progress.state, progress.scored, progress.rows) == ("stopped", 10, ROWS)
    score_stored("scored.parquet")
    assert read(stored, "scored.parquet").equals(expected)


def stop_after(parts: int, output: str) -> None:
    """Score so many parts, and stop as if killed."""
    left = parts

    def stop(event: object) -> None:
        nonlocal left
        left -= isinstance(event, PartCommitted)
        if not left:
            raise Killed

    with pytest.raises(Killed):
        run_job(stored_options(output), stop)


@pytest.mark.slow
def test_the_last_of_two_processes_has_the_job(stored, expected):
    taken_over = []

    def take_over(event: object) -> None:
        if isinstance(event, PartCommitted) and not taken_over:
            taken_over.append(lock.RemoteLock(to_path("s3://posts/scored.parquet.job")))
            taken_over[0].take()

    with pytest.raises(JobConflictError, match=r"took over the job in s3://posts/scored\.parquet\.job"):
        run_job(stored_options("scored.parquet"), take_over)
    assert read_progress(to_path("s3://posts/scored.parquet")).state == "running"
    taken_over[0].release()
    assert read_progress(to_path("s3://posts/scored.parquet")).state == "stopped"
    score_stored("scored.parquet")
    assert read(stored, "scored.parquet").equals(expected)


@pytest.mark.slow
def test_a_command_that_comes_too_late_removes_nothing(stored, expected):
    """It began while another one put the finished folder in its place."""
    late = []

    def come_late(event: object) -> None:
        if isinstance(event, PartCommitted) and not late:
            late.append("now")
            score_stored("scored")  # takes the job over, and finishes it

    with pytest.raises(JobConflictError, match="another command finished or replaced this job"):
        run_job(stored_options("scored", chunk_rows=24), come_late)
    assert read(stored, "scored").equals(expected)
    assert "s3://posts/scored/_SUCCESS" in stored.list_keys()


@pytest.mark.slow
def test_a_refused_command_leaves_a_running_one_alone(stored, expected):
    refused = []

    def refuse(event: object) -> None:
        if isinstance(event, PartCommitted) and not refused:
            with pytest.raises(JobConflictError):
                score_stored("scored", views=True)
            refused.append(True)

    run_job(stored_options("scored"), refuse)
    assert refused and read(stored, "scored").equals(expected)


@pytest.mark.slow
def test_a_shard_whose_server_fails_is_not_taken_for_a_damaged_one(s3, corpus, tiny_bundle, monkeypatch):
    s3.put("s3://posts/0.tar", make_shard(corpus / "images") + bytes(20 << 20))
    table = ShardTable(to_path("s3://posts/0.tar"))
    blocks = table.read_blocks(None)
    with s3.failing(Faults(refused=1)), pytest.raises(TableError, match=r"0\.tar can't be read"):
        list(blocks)


@pytest.mark.slow
def test_a_table_in_object_storage_that_changes_stops_the_job(stored, corpus):
    def change(event: object) -> None:
        if isinstance(event, PartCommitted):
            stored.put("s3://posts/posts.csv", b"id,text\n1,other\n")

    options = make_options("s3://posts/posts.csv", corpus / "out.parquet", "s3://posts/bundle")
    with pytest.raises(TableError, match=r"s3://posts/posts\.csv changed while it was being scored"):
        run_job(options, change)


@pytest.mark.slow
@pytest.mark.parametrize("output", OUTPUTS)
def test_posts_are_retried_in_object_storage(stored, corpus, output):
    score_stored(output)
    stored.put("s3://posts/images/gone.png", (corpus / "images" / "0.png").read_bytes())
    score_stored(output, retry=("image_missing",), chunk_rows=7)
    statuses = read(stored, output)["status"].to_list()
    assert statuses == [{"image_missing": "ok"}.get(each, each) for each in corpora.STATUSES] * (ROWS // corpora.KINDS)


@pytest.mark.slow
def test_a_command_that_fails_in_its_survey_leaves_another_one_its_standard_input(s3, tiny_bundle, monkeypatch):
    def feed(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    def fail_beside(event: object) -> None:
        if isinstance(event, Surveyed):
            feed(b'{"likes": 1}\n')
            with pytest.raises(ColumnError):
                score("-", "s3://posts/scored.parquet", tiny_bundle)

    feed(b'{"text": "a good day"}\n')
    run_job(make_options("-", "s3://posts/scored.parquet", tiny_bundle), fail_beside)
    assert read(s3, "scored.parquet")["text"].to_list() == ["a good day"]
    assert s3.list_keys() == ["s3://posts/scored.parquet"]


@pytest.mark.slow
def test_a_name_with_brackets_is_that_of_a_file_where_it_is_there(s3, corpus, tiny_bundle):
    for name in ("a[1].csv", "a1.csv"):
        s3.put(f"s3://posts/{name}", f"text\n{name}\n".encode())
    assert score("s3://posts/a[1].csv", corpus / "1.parquet", tiny_bundle)["text"].to_list() == ["a[1].csv"]
    assert score("s3://posts/a[12].csv", corpus / "2.parquet", tiny_bundle)["text"].to_list() == ["a1.csv"]


@pytest.mark.slow
def test_a_store_that_is_down_is_one_sentence(stored, corpus, tiny_bundle):
    with stored.failing(Faults(closed=1)):
        with pytest.raises(InputError, match=r"s3://posts/images can't be read"):
            score(corpus / "posts.csv", corpus / "out.parquet", tiny_bundle, "s3://posts/images")
        with pytest.raises(OutputError, match=r"s3://posts/out\.parquet.* can't be read"):
            score(corpus / "posts.csv", "s3://posts/out.parquet", tiny_bundle)
        with pytest.raises(BundleError, match=r"s3://posts/bundle/bundle\.json can't be read"):
            score(corpus / "posts.csv", corpus / "out.parquet", "s3://posts/bundle")
    with pytest.raises(BundleNotFoundError, match="s3://posts/nothing holds no"):
        score(corpus / "posts.csv", corpus / "out.parquet", "s3://posts/nothing")
    with pytest.raises(InputError, match=r"s3://posts/nothing\.csv is not there"):
        score("s3://posts/nothing.csv", corpus / "out.parquet", tiny_bundle)


def test_images_of_a_web_server_are_fetched(web, corpus, tiny_bundle, expected):
    (corpus / "images").rename(web.folder / "my images")
    with web.failing(Faults.evenly(0.3, seed=3)):
        found = score(corpus / "posts.csv", corpus / "out.parquet", tiny_bundle, f"{web.url}/my images/")
    assert found.equals(expected)
    assert web.faults.total() > 0


def test_a_frame_finds_its_images_on_a_web_server(web, corpus, tiny_bundle, expected):
    (corpus / "images").rename(web.folder / "images")
    with Scorer(tiny_bundle, threads=1) as scorer:
        found = scorer.score(pl.read_csv(corpus / "posts.csv"), f"{web.url}/images")
    assert found["status"].equals(expected["status"])
    assert found["sentiment"].equals(expected["sentiment"])


def test_a_table_and_a_model_of_a_web_server_are_read(web, corpus, tiny_bundle, expected):
    (web.folder / "posts.csv.gz").write_bytes(gzip.compress((corpus / "posts.csv").read_bytes()))
    for file in tiny_bundle.iterdir():
        (web.folder / file.name).write_bytes(file.read_bytes())
    for has_ranges in (True, False):
        web.has_ranges = has_ranges
        output = corpus / f"{has_ranges}.parquet"
        found = score(f"{web.url}/posts.csv.gz", output, web.url, corpus / "images")
        assert found.equals(expected)


def test_a_wrong_folder_of_a_web_server_costs_no_night(web, corpus, tiny_bundle):
    with pytest.raises(InputError, match="No post finds an image in http"):
        score(corpus / "posts.csv", corpus / "out.parquet", tiny_bundle, f"{web.url}/wrong/")


def test_a_web_server_that_is_down_from_the_start_is_one_sentence(web, corpus, tiny_bundle):
    with web.failing(Faults(refused=1)), pytest.raises(InputError, match=r"0\.png can't be fetched: .*503"):
        score(corpus / "posts.csv", corpus / "out.parquet", tiny_bundle, web.url)


def test_a_url_as_the_name_of_an_image_is_missing(web, corpus, tiny_bundle):
    frame = pl.DataFrame({"text": ["good", "bad", "sad"], "image": [f"{web.url}/0.png", "0.png", "../0.png"]})
    frame.write_csv(corpus / "urls.csv")
    (corpus / "images").rename(web.folder / "images")
    found = score(corpus / "urls.csv", corpus / "out.parquet", tiny_bundle, f"{web.url}/images")
    assert found["status"].to_list() == ["image_missing", "ok", "image_missing"]


def test_a_web_server_that_goes_down_stops_the_job_which_goes_on_later(web, corpus, tiny_bundle):
    images = [f"{number}.png" for number in range(120)]
    for name in images:
        (web.folder / name).write_bytes((corpus / "images" / "0.png").read_bytes())
    pl.DataFrame({"image": images}).write_csv(corpus / "posts.csv")

    def go_down(event: object) -> None:
        if isinstance(event, PartCommitted):
            stack.enter_context(web.failing(Faults(closed=1)))

    options = make_options(corpus / "posts.csv", corpus / "out.parquet", tiny_bundle, web.url, chunk_rows=5)
    match = r"can't be fetched.*server does not answer.*run the same command again to resume"
    with ExitStack() as stack, pytest.raises(StorageError, match=match):
        run_job(options, go_down)
    assert run_job(options, lambda _event: None).scored < 120
    assert pl.read_parquet(options.output)["status"].to_list() == ["ok"] * 120


def test_what_cannot_be_reached_or_written_is_said(corpus, tiny_bundle, monkeypatch):
    with pytest.raises(UsageError, match="use a local path, or object storage"):
        score(corpus / "posts.csv", "https://example.org/out.parquet", tiny_bundle)
    with pytest.raises(UsageError, match="Unsupported URL nowhere://"):
        to_path("nowhere://posts/posts.csv")
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sentimm\[cloud\]'"):
        to_path("s3://posts/posts.csv")
