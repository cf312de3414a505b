"""Scoring corpora that lie in object storage, into object storage."""

from __future__ import annotations

import gzip
import io
import lzma
import sys
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from sentimm.corpus.tables.shards import ShardTable
from sentimm.errors import (
    BundleError,
    BundleNotFoundError,
    ColumnError,
    InputError,
    JobConflictError,
    MissingExtraError,
    OutputError,
    TableError,
    UsageError,
)
from sentimm.events import PartCommitted, Surveyed
from sentimm.scoring.job import run_job
from sentimm.storage import to_path
from tests.support.failures.faults import Faults
from tests.support.failures.stored_jobs import OUTPUTS, ROWS, make_options, read, score, score_stored
from tests.support.posts import corpora

pytestmark = pytest.mark.usefixtures("impatient")


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
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/posts.csv", content)
    s3.put("s3://posts/e/posts.zip", buffer.getvalue())
    s3.put("s3://posts/f/posts.csv.xz", lzma.compress(content))
    kinds = ["a/posts.csv.gz", "b/posts.csv.zst", "c/posts.ndjson", "d/*.parquet"]
    packed = ["e/posts.zip", "e/*.zip", "e/posts.zip/in/posts.csv", "f/posts.csv.xz"]
    for number, name in enumerate(kinds + packed):
        found = score(f"s3://posts/{name}", corpus / f"{number}.parquet", tiny_bundle, "s3://posts/images")
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
def test_partitions_in_object_storage_are_columns(s3, corpus, tiny_bundle):
    for number, place in enumerate(("lang=de/year=2023", "lang=e%2Fn/year=2024")):
        s3.put(f"s3://posts/data/{place}/x.csv", f"text\na good day {number}\n".encode())
    for number, name in enumerate(("data", "data/", "data/*/*/x.csv")):
        found = score(f"s3://posts/{name}", corpus / f"{number}.parquet", tiny_bundle)
        assert found["lang"].to_list() == ["de", "e/n"] and found["year"].to_list() == [2023, 2024]


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
    with pytest.raises(BundleNotFoundError, match="s3://posts/nothing has no bundle"):
        score(corpus / "posts.csv", corpus / "out.parquet", "s3://posts/nothing")
    with pytest.raises(InputError, match=r"s3://posts/nothing\.csv is not there"):
        score("s3://posts/nothing.csv", corpus / "out.parquet", tiny_bundle)


def test_what_cannot_be_reached_or_written_is_said(corpus, tiny_bundle, monkeypatch):
    with pytest.raises(UsageError, match="use a local path, or object storage"):
        score(corpus / "posts.csv", "https://example.org/out.parquet", tiny_bundle)
    with pytest.raises(UsageError, match="Unsupported URL nowhere://"):
        to_path("nowhere://posts/posts.csv")
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sentimm\[cloud\]'"):
        to_path("s3://posts/posts.csv")
