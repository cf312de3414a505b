"""What the tests of tables share."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from sentimm.events import Surveyed
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job import run_job
from tests.support.posts.scored_tables import Score, Scored


@pytest.fixture
def score(tiny_bundle: Path, tmp_path: Path) -> Score:
    """Score a table with the tiny bundle, and return what came out."""

    def score_table(path: Path, **corpus: object) -> Scored:
        events: list[object] = []
        corpus.setdefault("allow_missing", "images" not in corpus)  # a table of nothing is scored, too
        options = ScoreOptions(
            inputs=(str(path),),
            output=tmp_path / "scored.parquet",
            model=tiny_bundle,
            corpus=CorpusOptions(**corpus),  # type: ignore[arg-type]
            threads=1,
            overwrite=True,
        )
        done = run_job(options, events.append)
        frame = pl.read_parquet(tmp_path / "scored.parquet")
        assert len(frame) == done.rows == sum(done.counts.statuses.values())
        assert not (tmp_path / "scored.parquet.job").exists()
        surveyed = next(event for event in events if isinstance(event, Surveyed))
        return Scored(frame, surveyed.survey)

    return score_table
