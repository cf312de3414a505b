from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sentimm.bundle import load_bundle
from sentimm.corpus import MISSING, Chunk, chunk_frame
from sentimm.errors import UsageError
from sentimm.options import CorpusOptions
from sentimm.scoring import pipeline
from sentimm.scoring.engine import Engine
from sentimm.scoring.output import MODALITIES, NO_LABEL, STATUSES, Scores
from sentimm.scoring.pipeline import ChunkScorer
from tests.scoring import corpora
from tests.tiny_bundles import make_bundle


@dataclass
class WatchedEngine:
    """An engine that notes how many texts and images it was given at a time."""

    engine: Engine
    texts: list[int] = field(default_factory=list)
    images: list[int] = field(default_factory=list)

    def encode_texts(self, rows):
        self.texts.append(len(rows))
        return self.engine.encode_texts(rows)

    def encode_images(self, pixels):
        self.images.append(len(pixels))
        return self.engine.encode_images(pixels)

    def fuse(self, *arguments):
        return self.engine.fuse(*arguments)

    def fuse_with_views(self, *arguments):
        return self.engine.fuse_with_views(*arguments)


def score(
    bundle_path: Path, chunk: Chunk, watch: list | None = None, shares: list | None = None, *, views: bool = False
) -> Scores:
    bundle = load_bundle(bundle_path)
    engine = WatchedEngine(Engine(bundle, device="cpu"))
    with ChunkScorer(bundle, engine, views=views) as scorer:  # type: ignore[arg-type]
        scores = scorer.score(chunk, [].append if shares is None else shares.append)
    if watch is not None:
        watch.append(engine)
    return scores


def chunk_of(texts, images, unreadable=None) -> Chunk:
    return Chunk(
        start=0,
        frame=pl.DataFrame({"n": range(len(images))}),
        texts=pl.Series("text", texts, dtype=pl.String),
        images=list(images),
        unreadable=np.array(unreadable or [False] * len(images), dtype=bool),
    )


def statuses(scores: Scores) -> list[str]:
    return [STATUSES[status] for status in scores.statuses]


def modalities(scores: Scores) -> list[str]:
    return [MODALITIES[modality] for modality in scores.modalities]


def test_every_kind_of_post_has_its_status_and_modality(tiny_bundle, tmp_path):
    images = corpora.make_images(tmp_path / "images")
    chunk, _ = chunk_frame(corpora.make_posts(corpora.KINDS), CorpusOptions(images=images))
    scores = score(tiny_bundle, chunk)
    assert statuses(scores) == corpora.STATUSES
    assert modalities(scores) == corpora.MODALITIES
    is_scored = np.array(corpora.MODALITIES) != "none"
    assert ((scores.labels != NO_LABEL) == is_scored).all()
    np.testing.assert_allclose(scores.probabilities[is_scored].sum(axis=1), 1, atol=1e-5)
    assert (scores.labels[is_scored] == scores.probabilities[is_scored].argmax(axis=1)).all()


def test_the_first_status_that_applies_counts(tiny_bundle, tmp_path):
    images = corpora.make_images(tmp_path / "images")
    broken = images / "broken.jpg"
    scores = score(
        tiny_bundle,
        chunk_of(
            ["good", None, None, "\u200b &nbsp; ", "good", None],
            [broken, broken, MISSING, None, MISSING, None],
            [True, False, False, False, False, True],
        ),
    )
    assert statuses(scores) == [
        "row_unreadable",
        "image_unreadable",
        "image_missing",
        "empty",
        "image_missing",
        "row_unreadable",
    ]
    assert modalities(scores) == ["none", "none", "none", "none", "text", "none"]


@pytest.mark.parametrize(
    ("modality", "expected", "used"),
    [
        ("text", ["ok", "unsupported", "ok", "empty"], ["text", "none", "text", "none"]),
        ("image", ["unsupported", "ok", "ok", "empty"], ["none", "image", "image", "none"]),
    ],
)
def test_a_model_of_one_modality_says_what_it_cannot_score(tmp_path, modality, expected, used):
    bundle = make_bundle(tmp_path / "bundle", modalities=[modality])
    image = corpora.make_images(tmp_path / "images") / "0.png"
    scores = score(bundle, chunk_of(["good", None, "good", None], [None, image, image, None]))
    assert statuses(scores) == expected
    assert modalities(scores) == used


def test_a_post_scores_the_same_alone_and_among_others(tiny_bundle, tmp_path):
    images = corpora.make_images(tmp_path / "images")
    options = CorpusOptions(images=images, allow_missing=True)
    posts = corpora.make_posts(corpora.KINDS).with_columns(
        text=pl.col("text") + pl.Series(["", " and more words than before"] * 4)
    )
    together = score(tiny_bundle, chunk_frame(posts, options)[0])
    for row in range(len(posts)):
        alone = score(tiny_bundle, chunk_frame(posts[row], options)[0])
        np.testing.assert_allclose(alone.probabilities[0], together.probabilities[row], atol=1e-5)
        assert alone.statuses[0] == together.statuses[row]


def test_repeated_texts_and_images_are_encoded_once(tiny_bundle, tmp_path):
    images = corpora.make_images(tmp_path / "images")
    chunk, _ = chunk_frame(corpora.make_posts(10 * corpora.KINDS), CorpusOptions(images=images))
    engines: list[WatchedEngine] = []
    scores = score(tiny_bundle, chunk, engines)
    assert sum(engines[0].texts) == 5
    assert sum(engines[0].images) == 3
    first = scores.probabilities[: corpora.KINDS]
    np.testing.assert_array_equal(scores.probabilities, np.tile(first, (10, 1)))


def test_images_given_as_bytes_are_scored(tiny_bundle, tmp_path):
    path = corpora.make_images(tmp_path / "images") / "0.png"
    scores = score(tiny_bundle, chunk_of([None, None, None], [path, path.read_bytes(), b"broken"]))
    np.testing.assert_array_equal(scores.probabilities[0], scores.probabilities[1])
    assert statuses(scores) == ["ok", "ok", "image_unreadable"]


def test_images_are_decoded_in_small_batches_one_ahead(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "_IMAGES_AT_ONCE", 4)
    folder = corpora.make_images(tmp_path / "images")
    content = (folder / "0.png").read_bytes()
    images = [folder / f"copy{number}.png" for number in range(10)]
    for image in images:
        image.write_bytes(content)
    images[5] = folder / "broken.jpg"
    engines: list[WatchedEngine] = []
    shares: list[float] = []
    scores = score(tiny_bundle, chunk_of([None] * 10, images), engines, shares)
    assert engines[0].images == [4, 3, 2]
    assert statuses(scores) == ["ok"] * 5 + ["image_unreadable"] + ["ok"] * 4
    assert (scores.probabilities[[0, 1, 6, 9]] == scores.probabilities[0]).all()
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_no_posts_have_no_scores(tiny_bundle):
    scores = score(tiny_bundle, chunk_of([], []))
    assert scores.probabilities.shape == (0, 3)
    assert len(scores.labels) == len(scores.statuses) == 0


# Sequences: chunks in slices


@pytest.fixture
def small_slices(monkeypatch):
    monkeypatch.setattr(pipeline, "_SEQUENCE_BYTES", 1)
    monkeypatch.setattr(pipeline, "_FEWEST_POSTS", 3)


@pytest.mark.parametrize("views", [False, True])
def test_a_chunk_in_slices_scores_as_at_once(attending_bundle, tmp_path, monkeypatch, views):
    images = corpora.make_images(tmp_path / "images")
    posts = corpora.make_posts(3 * corpora.KINDS).with_columns(
        text=pl.col("text") + pl.Series([" and more words" * (number % 4) for number in range(3 * corpora.KINDS)])
    )
    chunk, _ = chunk_frame(posts, CorpusOptions(images=images))
    at_once = score(attending_bundle, chunk, views=views)
    monkeypatch.setattr(pipeline, "_SEQUENCE_BYTES", 1)
    for size in (1, 2, 5):
        monkeypatch.setattr(pipeline, "_FEWEST_POSTS", size)
        sliced = score(attending_bundle, chunk, views=views)
        np.testing.assert_allclose(sliced.probabilities, at_once.probabilities, atol=1e-5)
        assert statuses(sliced) == statuses(at_once) == 3 * corpora.STATUSES
        assert modalities(sliced) == modalities(at_once)
        np.testing.assert_array_equal(sliced.labels, at_once.labels)
        if views:
            np.testing.assert_allclose(sliced.views.conflict, at_once.views.conflict, atol=1e-5)
            np.testing.assert_array_equal(sliced.views.image, at_once.views.image)
    assert at_once.probabilities.std(axis=0).min() > 0.01


@pytest.mark.usefixtures("small_slices")
def test_slices_hold_few_posts_and_like_images_together(attending_bundle, tmp_path):
    folder = corpora.make_images(tmp_path / "images")
    images = [folder / f"{number % 3}.png" for number in range(9)]
    engines: list[WatchedEngine] = []
    shares: list[float] = []
    scores = score(attending_bundle, chunk_of([f"good {number}" for number in range(9)], images), engines, shares)
    assert engines[0].texts == [3, 3, 3]
    assert engines[0].images == [1, 1, 1]
    assert statuses(scores) == ["ok"] * 9
    assert shares == sorted(shares) and shares[-1] == 1.0


@pytest.mark.usefixtures("small_slices")
def test_a_broken_image_of_several_slices_is_named_for_each_post(attending_bundle, tmp_path):
    broken = corpora.make_images(tmp_path / "images") / "broken.jpg"
    scores = score(attending_bundle, chunk_of(["good"] * 4 + [None], [broken] * 5))
    assert statuses(scores) == ["image_unreadable"] * 5
    assert modalities(scores) == ["text"] * 4 + ["none"]


def test_no_posts_have_no_slices(attending_bundle):
    assert score(attending_bundle, chunk_of([], []), views=True).probabilities.shape == (0, 3)


# What text and image say alone


@pytest.mark.parametrize("bundle", ["tiny_bundle", "attending_bundle"])
def test_views_are_the_answers_to_each_modality_alone(request, tmp_path, bundle):
    path = request.getfixturevalue(bundle)
    images = corpora.make_images(tmp_path / "images")
    posts = corpora.make_posts(corpora.KINDS)
    scores = score(path, chunk_frame(posts, CorpusOptions(images=images))[0], views=True)
    by_text = score(path, chunk_frame(posts, CorpusOptions(images=images, only="text"))[0])
    by_image = score(path, chunk_frame(posts, CorpusOptions(images=images, only="image"))[0])
    np.testing.assert_array_equal(scores.views.text, by_text.labels)
    np.testing.assert_array_equal(scores.views.image, by_image.labels)
    complete = np.array(corpora.MODALITIES) == "text+image"
    expected = np.abs(by_text.probabilities - by_image.probabilities).sum(axis=1) / 2
    np.testing.assert_allclose(scores.views.conflict[complete], expected[complete], atol=1e-5)
    assert np.isnan(scores.views.conflict[~complete]).all()
    assert len(set(scores.views.conflict[complete])) > 1 and scores.views.conflict[complete].max() <= 1
    alone = np.array(corpora.MODALITIES) == "text"
    np.testing.assert_array_equal(scores.views.text[alone], scores.labels[alone])
    assert (scores.views.image[alone] == NO_LABEL).all()


@pytest.mark.parametrize(("heads", "found"), [([], "none"), (["text"], "a head for text only")])
def test_views_without_heads_are_refused(tmp_path, heads, found):
    bundle = make_bundle(tmp_path / "bundle", heads=heads)
    with pytest.raises(UsageError, match=f"--views needs .* and tiny has {found}: leave --views away, or train"):
        score(bundle, chunk_of(["good"], [None]), views=True)
