from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sentimm.bundle import load_bundle
from sentimm.corpus import MISSING, Chunk, chunk_frame
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


def score(bundle_path: Path, chunk: Chunk, watch: list | None = None, shares: list | None = None) -> Scores:
    bundle = load_bundle(bundle_path)
    engine = WatchedEngine(Engine(bundle, device="cpu"))
    with ChunkScorer(bundle, engine) as scorer:  # type: ignore[arg-type]
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
