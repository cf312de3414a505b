from __future__ import annotations

import pytest

from sentimm.options import CorpusOptions, ScoreOptions
from tests.support import corpora
from tests.support.local_jobs import ROWS


@pytest.fixture
def options(tiny_bundle, tmp_path) -> ScoreOptions:
    """A job of three parts."""
    corpora.make_posts(ROWS).write_csv(tmp_path / "posts.csv")
    return ScoreOptions(
        inputs=(str(tmp_path / "posts.csv"),),
        corpus=CorpusOptions(images=corpora.make_images(tmp_path / "images")),
        output=tmp_path / "scored.parquet",
        model=tiny_bundle,
        chunk_rows=8,
    )
