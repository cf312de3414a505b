from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from sentimm.scoring.job_folder import lock
from sentimm.storage import retrying
from tests.support import corpora
from tests.support.s3_server import S3Server
from tests.support.stored_jobs import ROWS, score


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("botocore.retryhandler.delay_exponential", lambda *_, **__: 0.01)
    monkeypatch.setattr(lock, "RENEW_SECONDS", 0.0)
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(retrying, "LONGEST_WAIT_S", 0.05)


@pytest.fixture
def corpus(tmp_path) -> Path:
    corpora.make_images(tmp_path / "images")
    corpora.make_posts(ROWS).write_csv(tmp_path / "posts.csv")
    return tmp_path


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
