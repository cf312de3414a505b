from __future__ import annotations

import polars as pl
import pytest

from sentimm import Scorer
from sentimm.errors import BundleNotFoundError, ColumnError, InputError, UsageError
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job import run_job
from tests.support.posts import corpora
from tests.support.tiny.bundles import make_bundle


@pytest.fixture
def images(tmp_path):
    return corpora.make_images(tmp_path / "images")


@pytest.mark.isolated
def test_a_frame_is_scored_as_the_command_scores_its_table(tiny_bundle, tmp_path, images):
    posts = corpora.make_posts(20)
    posts.write_parquet(tmp_path / "posts.parquet")
    options = ScoreOptions(
        inputs=(str(tmp_path / "posts.parquet"),),
        corpus=CorpusOptions(images=images),
        output=tmp_path / "scored.parquet",
        model=tiny_bundle,
    )
    run_job(options, lambda event: None)
    with Scorer(tiny_bundle) as scorer:
        scored = scorer.score(posts, images=str(images))
    assert scored.equals(pl.read_parquet(tmp_path / "scored.parquet"))
    assert scored.schema == pl.read_parquet(tmp_path / "scored.parquet").schema


def test_texts_alone_are_scored_without_images(tiny_bundle):
    scored = Scorer(tiny_bundle, device="cpu").score(pl.DataFrame({"note": ["good", ""]}), text_column="note")
    assert scored["status"].to_list() == ["ok", "empty"]
    assert scored["modality"].to_list() == ["text", "none"]


def test_columns_and_prefix_shape_the_result(tiny_bundle):
    frame = pl.DataFrame({"id": [1], "text": ["good"], "status": ["mine"]})
    scorer = Scorer(tiny_bundle)
    with pytest.raises(UsageError, match="--prefix"):
        scorer.score(frame)
    assert scorer.score(frame, prefix="m_").columns[:5] == ["id", "text", "status", "m_sentiment", "m_confidence"]
    assert scorer.score(frame, columns=("id",)).columns[:3] == ["id", "sentiment", "confidence"]
    assert scorer.score(frame, columns=()).columns[0] == "sentiment"


def test_a_frame_of_no_posts_gets_the_columns(tiny_bundle):
    scored = Scorer(tiny_bundle).score(pl.DataFrame(schema={"text": pl.String}))
    assert scored.columns[:2] == ["text", "sentiment"]
    assert len(scored) == 0


def test_what_is_missing_is_named(tiny_bundle, tmp_path, images):
    with pytest.raises(BundleNotFoundError, match="nowhere"):
        Scorer(tmp_path / "nowhere")
    scorer = Scorer(tiny_bundle)
    with pytest.raises(ColumnError):
        scorer.score(pl.DataFrame({"x": [1]}))
    with pytest.raises(InputError, match="No post finds an image"):
        scorer.score(pl.DataFrame({"image": ["gone.png"]}), images=images)


def test_only_frames_of_polars_are_taken(tiny_bundle):
    with Scorer(tiny_bundle) as scorer, pytest.raises(TypeError, match=r"not a polars.LazyFrame: .* collect\(\)"):
        scorer.score(pl.LazyFrame({"text": ["x"]}))


def test_values_that_make_no_sense_are_refused(tiny_bundle):
    for size in (0, -1, 2.5, "auto"):
        with pytest.raises(UsageError, match=r"--batch-size is .* but it must be a number"):
            Scorer(tiny_bundle, batch_size=size)
    with pytest.raises(UsageError, match="--threads is 100000, but more than"):
        Scorer(tiny_bundle, threads=100_000)
    with Scorer(tiny_bundle) as scorer:
        frame = pl.DataFrame({"text": ["x"], "likes": [1]})
        with pytest.raises(UsageError, match="--only is 'sound'"):
            scorer.score(frame, only="sound")
        assert scorer.score(frame, columns="likes").columns[:2] == ["likes", "sentiment"]


def test_views_are_as_the_command_writes_them(tiny_bundle, tmp_path, images):
    posts = corpora.make_posts(20)
    posts.write_parquet(tmp_path / "posts.parquet")
    options = ScoreOptions(
        inputs=(str(tmp_path / "posts.parquet"),),
        corpus=CorpusOptions(images=images),
        output=tmp_path / "scored.parquet",
        model=tiny_bundle,
        views=True,
        chunk_rows=8,
    )
    run_job(options, lambda event: None)
    with Scorer(tiny_bundle, views=True) as scorer:
        scored = scorer.score(posts, images=images)
    written = pl.read_parquet(tmp_path / "scored.parquet")
    assert scored.equals(written)
    complete = written.filter(pl.col("modality") == "text+image")
    assert complete["conflict"].is_between(0, 1).all() and complete["conflict"].n_unique() > 1
    assert written.filter(pl.col("modality") != "text+image")["conflict"].null_count() == 20 - len(complete)
    text = written.filter(pl.col("modality") == "text")
    assert text["text_sentiment"].equals(text["sentiment"].alias("text_sentiment"))


def test_views_of_a_model_without_heads_are_refused(tmp_path):
    with pytest.raises(UsageError, match="--views needs a model with heads for text and for images"):
        Scorer(make_bundle(tmp_path / "bare", heads=[]), views=True)


def test_an_unknown_keyword_is_refused(tiny_bundle):
    with Scorer(tiny_bundle) as scorer, pytest.raises(TypeError, match="unexpected keyword argument 'limit'"):
        scorer.score(pl.DataFrame({"text": ["a"]}), limit=3)
