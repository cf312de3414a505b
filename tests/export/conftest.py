from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import sentimm_export.exporter as exporter
from sentimm_export.graphs import write_graphs

from sentimm.models.sentiment_model import SentimentModel


@pytest.fixture(scope="session")
def written_models() -> dict[str, dict[str, bytes]]:
    return {}


@pytest.fixture
def graphs_once(written_models: dict[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the graphs of one model once: for tests that export one run in many ways."""

    def write(model: SentimentModel, folder: Path) -> dict[str, Path]:
        key = digest(model)
        if key not in written_models:
            written_models[key] = {name: path.read_bytes() for name, path in write_graphs(model, folder).items()}
        paths = {name: folder / f"{name}.fp32.onnx" for name in written_models[key]}
        for name, path in paths.items():
            path.write_bytes(written_models[key][name])
        return paths

    monkeypatch.setattr(exporter, "write_graphs", write)


def digest(model: SentimentModel) -> str:
    found = hashlib.sha256(repr(model).encode())
    for name, tensor in model.cpu().eval().state_dict().items():
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()
