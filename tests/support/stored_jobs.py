"""Jobs whose corpus, model or output lies in object storage or on a web server."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl

from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job import run_job
from sentimm.storage import to_path
from tests.support.file_systems import MemoryStore
from tests.support.s3_server import S3Server

ROWS = 48
OUTPUTS = ["scored.parquet", "scored"]


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
