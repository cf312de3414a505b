"""Encoders of every family, exported: the graphs answer as PyTorch does, in every precision, beside any neighbours."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from sentimm_export.exporter import ExportResult, export_run
from sentimm_export.options import ExportOptions
from sentimm_export.parity import NEIGHBOUR_TOLERANCE

from sentimm.bundle.bundle import Precision
from tests.support.tiny.models import make_image_encoder, make_text_encoder
from tests.support.tiny.text_families import FAMILIES, make_family
from tests.support.tiny.untrained_runs import make_run

pytestmark = pytest.mark.slow

NETWORKS = ["test_vit", "test_vit3", "test_convnext", "test_mambaout", "test_resnet", "mobilenetv3_small_050"]
IN_INT8 = ["test_vit", "test_resnet", "Roberta", "DebertaV2", "ModernBert"]
ALWAYS = {"Roberta", "ModernBert", ("test_vit", "cmac"), ("test_convnext", "resnet")}  # the others in CI alone


def choose(cases: Iterable[Any]) -> list[Any]:
    """Mark the cases that are tried in CI alone."""
    own = ((case, case if isinstance(case, tuple) else (case,)) for case in cases)
    return [pytest.param(*values, marks=() if case in ALWAYS else pytest.mark.ci) for case, values in own]


def write_network(folder: Path, name: str) -> str:
    """Write a network's random weights: the value for --image-encoder."""
    torch.manual_seed(0)
    save_file(timm.create_model(name).state_dict(), folder / "image.safetensors")
    return f"timm:{name}={folder / 'image.safetensors'}"


def export(folder: Path, encoders: tuple[Path, str], fusion: str, family: str) -> ExportResult:
    """Export a run, which compares it with PyTorch, and check the comparison."""
    run = make_run(folder / "run", encoders, fusion, literal=False)
    precisions: tuple[Precision, ...] = ("fp32", "int8") if family in IN_INT8 else ("fp32",)
    asked = ExportOptions(run.path, folder / "bundle", precisions=precisions, min_agreement=0.8)
    exported = export_run(asked, lambda _: None)
    for precision in precisions:
        assert exported.parity[precision].neighbour_difference <= NEIGHBOUR_TOLERANCE[precision]
    assert exported.parity["fp32"].largest_difference <= 1e-4
    return exported


@pytest.mark.parametrize("family", choose(FAMILIES))
def test_texts(tmp_path: Path, family: str) -> None:
    encoders = (make_family(tmp_path / family, family), make_image_encoder(tmp_path / "image"))
    export(tmp_path, encoders, "bert", family)


@pytest.mark.parametrize(
    ("name", "fusion"),
    choose(
        [
            *((name, "resnet") for name in NETWORKS),
            *((name, "cmac") for name in ("test_vit", "test_vit3", "test_mambaout")),
        ]
    ),
)
def test_images(tmp_path: Path, name: str, fusion: str) -> None:
    encoders = (make_text_encoder(tmp_path / "bert"), write_network(tmp_path, name))
    exported = export(tmp_path, encoders, fusion, name)
    if fusion == "cmac":
        assert exported.bundle.image is not None
        assert exported.bundle.image.cells == (16 if "vit" in name else 4)
