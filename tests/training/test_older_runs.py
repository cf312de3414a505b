"""Run folders as earlier versions wrote them, by hand: they load, are finished or resumed, and are read for export."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import save_file

from sentimm.models.sentiment_model import FusionConfig
from sentimm.training.data.stored_posts import read_posts
from sentimm.training.events import PostsLoaded, TrainingEvent
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import TrainingStopped, load_state, open_run
from sentimm.training.train import resume_run, start_run
from tests.support.training_runs import losses, train

_HIDDEN, _WIDTH, _LABELS = 4, 8, 2
_BERT = {
    "vocab_size": 9,
    "hidden_size": _HIDDEN,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 6,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "model_type": "bert",
}
# All that the first version wrote: later options and fields have defaults.
_CONFIG = {
    "format": 1,
    "labels": ["bad", "good"],
    "fusion": {"name": "bert", "width": _WIDTH, "heads": [], "attention_heads": 12, "dropout": 0.1, "literal": False},
    "text": {
        "name": "tiny",
        "backbone": _BERT,
        "width": _WIDTH,
        "pooling": "mean",
        "max_tokens": 16,
        "dropout": 0.1,
    },
    "image": None,
    "normalization": "tweet-1",
    "options": {"inputs": ["/posts.csv"], "fusion": "bert", "labels": ["bad", "good"], "epochs": 1},
    "provenance": {"sentimm": "0.1.0", "tables": {"posts.csv": 3}},
}
_LAYER = "text.backbone.encoder.layer.0"
_SHAPES = {
    "missing_text": (1, _WIDTH),
    "missing_image": (1, _WIDTH),
    "text.backbone.embeddings.word_embeddings.weight": (9, _HIDDEN),
    "text.backbone.embeddings.position_embeddings.weight": (16, _HIDDEN),
    "text.backbone.embeddings.token_type_embeddings.weight": (2, _HIDDEN),
    **{
        f"{name}.{kind}": (_HIDDEN,)
        for name in (
            "text.backbone.embeddings.LayerNorm",
            f"{_LAYER}.attention.output.LayerNorm",
            f"{_LAYER}.output.LayerNorm",
        )
        for kind in ("weight", "bias")
    },
    **{
        f"{name}.{kind}": (rows, columns) if kind == "weight" else (rows,)
        for name, rows, columns in (
            (f"{_LAYER}.attention.self.query", _HIDDEN, _HIDDEN),
            (f"{_LAYER}.attention.self.key", _HIDDEN, _HIDDEN),
            (f"{_LAYER}.attention.self.value", _HIDDEN, _HIDDEN),
            (f"{_LAYER}.attention.output.dense", _HIDDEN, _HIDDEN),
            (f"{_LAYER}.intermediate.dense", 6, _HIDDEN),
            (f"{_LAYER}.output.dense", _HIDDEN, 6),
            ("text.project.1", _WIDTH, _HIDDEN),
            ("fusion.classifier.1", _WIDTH, _WIDTH),
            ("fusion.classifier.4", _LABELS, _WIDTH),
        )
        for kind in ("weight", "bias")
    },
}
_RECORD = {
    "epoch": 1,
    "loss": 0.5,
    "seconds": 1.0,
    "score": 0.75,
    "tables": {"posts.csv": {"posts": 2, "accuracy": 0.75, "macro_f1": 0.7, "macro_recall": 0.7}},
    "confusion": [[1, 0], [1, 0]],
}


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    """A finished run of texts, written by hand."""
    path = tmp_path / "run"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(_CONFIG))
    (path / "metrics.ndjson").write_text(json.dumps(_RECORD) + "\n")
    torch.manual_seed(0)
    save_file({name: torch.randn(shape) for name, shape in _SHAPES.items()}, path / "best.safetensors")
    np.save(path / "best-scores.npy", np.array([[1, 0], [0, 1]], dtype=np.float32))
    posts = {"text": ["a good day", ""], "image": [None, None], "label": [1, -1]}
    pl.DataFrame(posts, schema_overrides={"image": pl.Binary}).write_parquet(path / "held-out.parquet")
    return path


def test_a_run_of_the_first_version_loads(old_run: Path) -> None:
    run = open_run(old_run)
    assert (run.labels, run.fusion) == (("bad", "good"), FusionConfig("bert", _WIDTH))
    model = run.build_model("best")
    assert set(model.state_dict()) == set(_SHAPES)
    ids = torch.tensor([[2, 5, 3]])
    assert model.text is not None
    scores = model.fuse(model.text(ids, torch.ones_like(ids)), None, torch.tensor([0]), None).scores
    assert scores.shape == (1, _LABELS)
    assert run.read_metrics() == [_RECORD]
    assert run.read_scores("best").tolist() == [[1, 0], [0, 1]]
    assert TrainOptions.from_plain(run.options) == TrainOptions(
        ("/posts.csv",), fusion="bert", labels=run.labels, epochs=1
    )
    assert resume_run(old_run, lambda _: None) == run  # finished
    held_out = read_posts(old_run / "held-out.parquet", None)
    assert held_out.labels.tolist() == [1, -1] and held_out.text_labels.tolist() == [-1, -1]


@pytest.mark.slow
def test_a_run_resumes_from_a_state_of_these_names(options: TrainOptions, tmp_path: Path) -> None:
    averaged = replace(options, ema=0.9)
    whole, _ = train(averaged, tmp_path / "whole")
    steps = iter(range(1, 100))
    with pytest.raises(TrainingStopped):
        start_run(averaged, tmp_path / "run", lambda _: None, lambda: next(steps) >= 7)
    state = load_state(tmp_path / "run" / "trainer.pt")
    assert set(state) == {
        "epoch",
        "step",
        "sums",
        "records",
        "weights",
        "averaged",
        "optimizer",
        "schedule",
        "scaler",
    }
    assert set(state["sums"]) == {"loss", "gradient_norm", "seconds", "waited_s"}
    assert set(state["averaged"]) == {"steps", "weights"}
    assert json.loads(state["records"])[0]["epoch"] == 1
    events: list[TrainingEvent] = []
    resumed = resume_run(tmp_path / "run", events.append)
    assert next(event for event in events if isinstance(event, PostsLoaded)).resumed_epoch == 2
    assert losses(resumed) == losses(whole)
