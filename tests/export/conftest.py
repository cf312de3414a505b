from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from sentimm_export import graphs
from torch import Tensor, nn


@pytest.fixture(scope="session")
def written_graphs() -> dict[str, bytes]:
    return {}


@pytest.fixture(autouse=True)
def graphs_once(written_graphs: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Write each graph once: tests export one run in many ways, and many runs with the same encoders.

    Half of the time of an export is its graphs'.
    """
    export = graphs._export

    def export_once(
        module: nn.Module, inputs: tuple[Tensor, ...], names: list[str], outputs: list[str], shapes: Any, path: Path
    ) -> None:
        if not hasattr(getattr(module, "encoder", module), "config") and not isinstance(module, graphs._FusionGraph):
            export(module, inputs, names, outputs, shapes, path)  # of an imported classifier
            return
        key = f"{digest(module)} {[tuple(each.shape) for each in inputs]} {names} {outputs} {shapes}"
        if key not in written_graphs:
            export(module, inputs, names, outputs, shapes, path)
            written_graphs[key] = path.read_bytes()
        path.write_bytes(written_graphs[key])

    monkeypatch.setattr(graphs, "_export", export_once)


def digest(module: nn.Module) -> str:
    """Return what tells the graphs of modules apart: options, layers and weights; a fusion's hold no encoder."""
    is_fusion = isinstance(module, graphs._FusionGraph)
    own = module.model if is_fusion else module.encoder
    encoders = ("text", "image") if is_fusion else ()
    found = hashlib.sha256(f"{type(own)} {own.config!r}".encode())
    for name, child in own.named_children():
        if name not in encoders:
            found.update(f"{name} {child!r}".encode())
    for name, tensor in own.state_dict().items():
        if name.split(".")[0] not in encoders:
            found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()
