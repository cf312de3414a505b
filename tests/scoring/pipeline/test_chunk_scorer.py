from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from sentimm.bundle.bundle import load_bundle
from sentimm.corpus import MISSING, Chunk, chunk_frame
from sentimm.corpus.labels import NO_LABEL
from sentimm.errors import BundleError, UsageError
from sentimm.options import CorpusOptions
from sentimm.runtime.engine import Engine
from sentimm.scoring.pipeline import chunk_scorer as pipeline
from sentimm.scoring.pipeline.chunk_scorer import ChunkScorer
from sentimm.scoring.pipeline.feature_cache import ENTRY_BYTES, FeatureCache, Slot
from sentimm.scoring.scores import STATUSES, USED_MODALITIES, Scores
from tests.support.posts import corpora
from tests.support.tiny.bundles import make_bundle


@dataclass
class WatchedEngine:
    """An engine that notes how many texts and images it was given at a time."""

    engine: Engine
    texts: list[int] = field(default_factory=list)
    images: list[int] = field(default_factory=list)
    workers: int = 2

    @property
    def batch_sizes(self):
        return self.engine.batch_sizes

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


def make_scorer(bundle_path: Path, *, views: bool = False, dedupe: bool = True) -> tuple[ChunkScorer, WatchedEngine]:
    bundle = load_bundle(bundle_path)
    engine = WatchedEngine(Engine(bundle, device="cpu"))
    return ChunkScorer(bundle, engine, views=views, dedupe=dedupe), engine  # type: ignore[arg-type]


def score(
    bundle_path: Path,
    chunk: Chunk,
    watch: list | None = None,
    shares: list | None = None,
    *,
    views: bool = False,
    dedupe: bool = True,
) -> Scores:
    scorer, engine = make_scorer(bundle_path, views=views, dedupe=dedupe)
    with scorer:
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
    return [USED_MODALITIES[modality] for modality in scores.modalities]


@pytest.mark.isolated
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


def test_work_comes_in_batches_and_its_share_is_told(tiny_bundle, tmp_path):
    images = [tmp_path / f"{number}.png" for number in range(10)]
    for number, image in enumerate(images):
        Image.new("RGB", (8, 8), (20 * number, 0, 0)).save(image)
    images[5].write_bytes(b"not an image")
    engines: list[WatchedEngine] = []
    shares: list[float] = []
    texts = [f"good {'very ' * number}" for number in range(10)]
    scores = score(tiny_bundle, chunk_of(texts, images), engines, shares)
    assert sorted(engines[0].images) == [2, 3, 4]
    assert sorted(engines[0].texts) == [2, 8]
    assert statuses(scores) == ["ok"] * 5 + ["image_unreadable"] + ["ok"] * 4
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_a_failing_engine_fails_the_chunk(tiny_bundle, monkeypatch):
    def fail(_self, _rows):
        raise BundleError("no")

    monkeypatch.setattr(WatchedEngine, "encode_texts", fail)
    with pytest.raises(BundleError, match="no"):
        score(tiny_bundle, chunk_of([f"good {number}" for number in range(50)], [None] * 50))


# Nothing twice


def test_the_same_image_under_several_names_is_encoded_once(tiny_bundle, tmp_path):
    images = corpora.make_images(tmp_path / "images")
    copies = [tmp_path / f"copy{number}.png" for number in range(9)]
    for copy in copies:
        copy.write_bytes((images / "0.png").read_bytes())
    broken = [tmp_path / f"broken{number}.png" for number in range(2)]
    for copy in broken:
        copy.write_bytes((images / "broken.jpg").read_bytes())
    engines: list[WatchedEngine] = []
    chunk = chunk_of([None] * 13, [*copies, *broken, images / "1.png", (images / "0.png").read_bytes()])
    scores = score(tiny_bundle, chunk, engines)
    assert sum(engines[0].images) == 2
    assert statuses(scores) == ["ok"] * 9 + ["image_unreadable"] * 2 + ["ok"] * 2
    assert (scores.probabilities[[*range(9), 12]] == scores.probabilities[0]).all()
    assert (scores.probabilities[11] != scores.probabilities[0]).any()


def test_what_earlier_chunks_had_is_not_encoded_again(tiny_bundle, tmp_path):
    images = corpora.make_images(tmp_path / "images")
    posts = corpora.make_posts(corpora.KINDS)
    chunk, _ = chunk_frame(posts, CorpusOptions(images=images))
    scorer, engine = make_scorer(tiny_bundle)
    with scorer:
        first, second, third = (scorer.score(chunk, [].append) for _ in range(3))
    assert (sum(engine.texts), sum(engine.images)) == (5, 3)
    assert scorer.encodings.encoded_texts == 5 and scorer.encodings.texts == 3 * 5
    assert scorer.encodings.encoded_images == 4 and scorer.encodings.images == 3 * 4  # with the one that is broken
    for scores in (second, third):
        np.testing.assert_array_equal(scores.probabilities, first.probabilities)
        assert statuses(scores) == corpora.STATUSES


def test_an_image_that_changed_between_chunks_is_encoded_again(tiny_bundle, tmp_path):
    images = corpora.make_images(tmp_path / "images")
    chunk = chunk_of([None], [tmp_path / "now.png"])
    scorer, engine = make_scorer(tiny_bundle)
    answers = []
    with scorer:
        for name in ("0.png", "1.png", "0.png"):
            (tmp_path / "new.png").write_bytes((images / name).read_bytes())
            (tmp_path / "new.png").replace(tmp_path / "now.png")
            answers.append(scorer.score(chunk, [].append).probabilities)
    assert sum(engine.images) == 2
    assert (answers[0] != answers[1]).any() and (answers[0] == answers[2]).all()


def test_without_dedupe_everything_is_encoded(tiny_bundle, tmp_path):
    images = corpora.make_images(tmp_path / "images")
    chunk, _ = chunk_frame(corpora.make_posts(10 * corpora.KINDS), CorpusOptions(images=images))
    engines: list[WatchedEngine] = []
    scores = score(tiny_bundle, chunk, engines, dedupe=False)
    assert sum(engines[0].texts) == 10 * 5
    assert sum(engines[0].images) == 10 * 3
    np.testing.assert_allclose(scores.probabilities, score(tiny_bundle, chunk).probabilities, atol=1e-6)
    assert statuses(scores) == 10 * corpora.STATUSES


def test_the_cache_of_features_is_bounded():
    cache = FeatureCache(8, most_bytes=3 * (ENTRY_BYTES + 4 * 8))
    slots = [Slot(1, row) for row in range(5)]
    for row, slot in enumerate(slots[:3]):
        assert cache.claim(row, slot) is slot
    assert cache.find(0) is slots[0] and cache.claim(0, slots[4]) is slots[0]
    cache.claim(3, slots[3])
    assert len(cache) == 3
    assert [cache.find(key) for key in range(4)] == [slots[0], None, slots[2], slots[3]]


# Overlap


def test_the_next_chunk_is_being_worked_on_when_one_is_given(tiny_bundle):
    taken = []

    def chunks():
        for number in range(4):
            taken.append(number)
            yield chunk_of([f"good {number}"], [None])

    scorer, engine = make_scorer(tiny_bundle)
    with scorer:
        for number, (_, scores) in enumerate(scorer.score_all(chunks(), lambda *_: None)):
            assert len(taken) == min(4, number + 2)
            assert statuses(scores) == ["ok"]
    assert sum(engine.texts) == 4


def test_no_posts_have_no_scores(tiny_bundle):
    scores = score(tiny_bundle, chunk_of([], []))
    assert scores.probabilities.shape == (0, 3)
    assert len(scores.labels) == len(scores.statuses) == 0


# Sequences: chunks in slices


@pytest.fixture
def small_slices(monkeypatch):
    monkeypatch.setattr(pipeline, "SEQUENCE_BYTES", 1)
    monkeypatch.setattr(pipeline, "FEWEST_POSTS", 3)


@pytest.mark.slow
@pytest.mark.isolated
@pytest.mark.parametrize("views", [False, True])
def test_a_chunk_in_slices_scores_as_at_once(attending_bundle, tmp_path, monkeypatch, views):
    images = corpora.make_images(tmp_path / "images")
    posts = corpora.make_posts(3 * corpora.KINDS).with_columns(
        text=pl.col("text") + pl.Series([" and more words" * (number % 4) for number in range(3 * corpora.KINDS)])
    )
    chunk, _ = chunk_frame(posts, CorpusOptions(images=images))
    at_once = score(attending_bundle, chunk, views=views)
    monkeypatch.setattr(pipeline, "SEQUENCE_BYTES", 1)
    for size in (1, 2, 5):
        monkeypatch.setattr(pipeline, "FEWEST_POSTS", size)
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
    with pytest.raises(UsageError, match=f"--views needs .* and tiny has {found}: drop --views, or train"):
        score(bundle, chunk_of(["good"], [None]), views=True)
