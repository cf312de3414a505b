"""Scoring corpora that lie on a web server, whose requests fail now and then."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from contextlib import ExitStack

import polars as pl
import pytest

from sentimm import Scorer
from sentimm.errors import (
    InputError,
    StorageError,
)
from sentimm.events import PartCommitted
from sentimm.scoring.job import run_job
from tests.support.failures.faults import Faults
from tests.support.failures.stored_jobs import make_options, score

pytestmark = pytest.mark.usefixtures("impatient")


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


@pytest.mark.parametrize("suffix", ["bz2", "xz", "zip", "xlsx"])
@pytest.mark.parametrize("has_ranges", [True, False])
def test_packed_tables_of_a_web_server_are_read(web, corpus, tiny_bundle, expected, suffix, has_ranges):
    data, name = (corpus / "posts.csv").read_bytes(), f"posts.csv.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(web.folder / name, "w") as archive:
            archive.writestr("in/posts.csv", data)
    elif suffix == "xlsx":
        pl.read_csv(data).write_excel(web.folder / name)
    else:
        (web.folder / name).write_bytes({"bz2": bz2, "xz": lzma}[suffix].compress(data))
    web.has_ranges = has_ranges
    found = score(f"{web.url}/{name}", corpus / "out.parquet", tiny_bundle, corpus / "images")
    assert found["text"].equals(expected["text"]) and found["status"].equals(expected["status"])


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
