from __future__ import annotations

import subprocess
import sys

import pytest

from sentimm.bench.stages import Stage, find_limit, measure_stages
from sentimm.bundle.bundle import load_bundle
from sentimm.corpus import chunk_frame
from sentimm.options import CorpusOptions
from sentimm.runtime import batch_sizes as batching
from sentimm.runtime.engine import Engine
from tests.support import corpora


@pytest.fixture(autouse=True)
def short_trials(monkeypatch):
    monkeypatch.setattr(batching, "TRIAL_SECONDS", 0.01)


def test_the_limit_is_what_the_stages_leave_together():
    stages = [Stage("a", None, 100, 1.0, 1.0), Stage("b", 4, 50, 1.0, 0.5)]
    assert stages[1].items_per_second == 50
    assert find_limit(stages) == pytest.approx(1 / (0.01 + 0.01))


def test_a_gpu_works_beside_the_cpu():
    stages = [Stage("a", None, 100, 1.0, 1.0), Stage("b", 4, 100, 3.0, 1.0, on_gpu=True)]
    assert find_limit(stages) == pytest.approx(100 / 3)


def test_each_stage_is_measured_for_the_distinct_items_of_a_post(tiny_bundle, tmp_path):
    images = corpora.make_images(tmp_path / "images")
    chunk, _ = chunk_frame(corpora.make_posts(2 * corpora.KINDS), CorpusOptions(images=images))
    bundle = load_bundle(tiny_bundle)
    stages = {stage.name: stage for stage in measure_stages(bundle, Engine(bundle, device="cpu"), chunk)}
    assert list(stages) == ["preparing texts", "text graph", "decoding images", "image graph", "fusion graph"]
    assert stages["text graph"].items == 5 and stages["text graph"].per_post == 5 / 16
    assert stages["image graph"].items == 3 and stages["decoding images"].items == 4
    assert all(stage.seconds > 0 and not stage.on_gpu for stage in stages.values())


def test_a_corpus_of_texts_has_no_image_stages(tiny_bundle):
    chunk, _ = chunk_frame(corpora.make_posts(corpora.KINDS).select("text"), CorpusOptions())
    bundle = load_bundle(tiny_bundle)
    stages = measure_stages(bundle, Engine(bundle, device="cpu"), chunk)
    assert [stage.name for stage in stages] == ["preparing texts", "text graph", "fusion graph"]


def test_the_limit_knows_nothing_of_the_pipeline():
    code = "import sentimm.bench.stages, sys; assert 'sentimm.scoring.pipeline.chunk_scorer' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
