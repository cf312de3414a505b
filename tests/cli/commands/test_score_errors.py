from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from tests.support import corpora
from tests.support.commands import fail, run
from tests.support.tiny_bundles import make_bundle

ROWS = 16
pytestmark = pytest.mark.usefixtures("here", "built_in")


def test_a_missing_file(capsys):
    code, message = fail(capsys, "score", "gone.csv")
    assert code == 2
    assert message.startswith("gone.csv is not there: name a table of posts")


def test_a_missing_column(capsys):
    code, message = fail(capsys, "score", "posts.csv", "--text-column", "body")
    assert code == 2
    assert "'body'" in message and "likes" in message
    code, message = fail(capsys, "score", "posts.csv", "--columns", "id,nothing")
    assert code == 2
    assert "'nothing'" in message and "--columns" in message


def test_the_wrong_image_folder(capsys):
    Path("empty").mkdir()
    code, message = fail(capsys, "score", "posts.csv", "--images", "empty")
    assert code == 2
    assert "No post finds an image in empty" in message and "--allow-missing" in message
    assert run(capsys, "score", "posts.csv", "--images", "empty", "--allow-missing").code == 0
    code, message = fail(capsys, "score", "posts.csv", "--images", "nowhere")
    assert code == 2
    assert "The image folder nowhere is not there" in message


def test_an_empty_file(capsys):
    Path("posts.csv").write_text("")
    code, message = fail(capsys, "score", "posts.csv")
    assert code == 1
    assert "posts.csv" in message and "empty" in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("posts.csv.gz", gzip.compress(b"id,text\n" + b"1,good\n" * 5000, mtime=0)[:40]),
        ("posts.parquet", b"PAR1 and nothing else"),
        ("posts.csv", b"PK\x03\x04 a spreadsheet"),
    ],
)
def test_a_table_that_cannot_be_read(capsys, name, content):
    Path(name).write_bytes(content)
    code, message = fail(capsys, "score", name)
    assert code == 1
    assert name in message


def test_an_unknown_bundle(capsys):
    code, message = fail(capsys, "score", "posts.csv", "--model", "nowhere")
    assert code == 2
    assert "nowhere" in message


def test_a_damaged_bundle(capsys, tmp_path):
    bundle = make_bundle(tmp_path / "damaged")
    (bundle / "tokenizer.json").write_text("{}")
    code, message = fail(capsys, "score", "posts.csv", "--model", "damaged")
    assert code == 1
    assert "tokenizer.json" in message


def test_the_output_of_another_job(capsys):
    run(capsys, "score", "posts.csv", "-o", "out.parquet")
    code, message = fail(capsys, "score", "posts.csv", "-o", "out.parquet", "--limit", "3")
    assert code == 2
    assert message == (
        "out.parquet belongs to another job: --limit was not given and is 3. Choose another name with -o, or replace "
        "it with --overwrite."
    )
    assert run(capsys, "score", "posts.csv", "-o", "out.parquet", "--limit", "3", "--overwrite").code == 0
    assert len(pl.read_parquet("out.parquet")) == 3


def test_an_output_that_cannot_be_written(capsys):
    code, message = fail(capsys, "score", "posts.csv", "-o", "posts.csv/out.parquet")
    assert code == 1
    assert "posts.csv/out.parquet can't be written" in message and "is not a folder" in message


@pytest.mark.parametrize("name", ["out.csv", "out.ndjson.gz", "out.pq", "out.PARQUET"])
def test_an_output_that_is_no_parquet(capsys, name):
    code, message = fail(capsys, "score", "posts.csv", "-o", name)
    assert code == 2
    assert message.startswith(f"-o {name}: sentimm writes Parquet, to a file *.parquet or to a folder")


def test_a_name_clash(capsys):
    corpora.make_posts(2).with_columns(status=pl.lit("x")).write_csv("posts.csv")
    code, message = fail(capsys, "score", "posts.csv")
    assert code == 2
    assert message.startswith("The input already has a column named 'status': rename the added columns with --prefix")


@pytest.mark.parametrize(
    "arguments",
    [["--limit", "0"], ["--threads", "0"], ["--batch-size", "-1"], ["--chunk-rows", "0"], ["--chunk-rows", "100001"]],
)
def test_numbers_that_make_no_sense(capsys, arguments):
    code, message = fail(capsys, "score", "posts.csv", *arguments)
    assert code == 2
    assert message.startswith(f"{arguments[0]} is {arguments[1]}, but")


def test_a_device_that_is_none(capsys):
    code, _ = fail(capsys, "score", "posts.csv", "--device", "tpu")
    assert code == 2
