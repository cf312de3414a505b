"""The recipe script that takes the text encoder out of a bundle."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from sentimm_export.exporter import export_run
from sentimm_export.options import ExportOptions

from sentimm.models.text_encoder import load_text_encoder
from sentimm.training.run_folder import save_weights
from tests.support.tiny.models import make_text_encoder
from tests.support.tiny.untrained_runs import make_run

pytestmark = pytest.mark.slow
RECIPES = Path(__file__).parents[2] / "export/recipes"


@pytest.fixture
def unpack(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    import unpack_bundle

    yield unpack_bundle.unpack_text_encoder
    sys.modules.pop("unpack_bundle")


def test_an_encoder_comes_out_as_it_was_trained(tmp_path: Path, unpack) -> None:
    like = make_text_encoder(tmp_path / "like")
    run = make_run(tmp_path / "run", (like, ""), "bert", literal=False)
    model = run.build_model("best")
    assert model.text is not None
    trained = dict(model.text.backbone.named_parameters())
    with torch.no_grad():
        for parameter in trained.values():
            parameter.add_(0.05 * torch.randn_like(parameter))  # equal ones would be stored once
    save_weights(model, run.path / "best.safetensors")
    options = ExportOptions(
        run.path, tmp_path / "bundle", precisions=("fp16", "int8"), share_weights=True, min_agreement=0.8
    )
    export_run(options, lambda _: None)
    unpack(tmp_path / "bundle", like, tmp_path / "text")
    encoder, tokenizer = load_text_encoder(
        str(tmp_path / "text"), width=24, pooling="mean", max_tokens=48, dropout=0, bert_dropout=0, sequence=False
    )
    unpacked = dict(encoder.backbone.named_parameters())
    assert unpacked.keys() == trained.keys()
    for name, weight in trained.items():
        assert torch.allclose(unpacked[name], weight, atol=0.02 * float(weight.detach().abs().max()) + 1e-3), name
    assert tokenizer == run.tokenizer.read_bytes()


def test_an_encoder_of_another_shape_is_refused(tmp_path: Path, unpack) -> None:
    with pytest.raises(SystemExit, match=r"text\.fp16\.onnx does not exist: name a bundle with a text encoder in fp16"):
        unpack(tmp_path, tmp_path, tmp_path / "text")
