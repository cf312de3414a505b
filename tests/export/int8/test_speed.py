"""Which graph an export keeps, by the speed of int8 against fp32."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from sentimm_export import bundle_graphs
from sentimm_export.int8.precision import quantize_transformer
from sentimm_export.int8.speed import Speed, describe_speed, measure_speed

from sentimm.bundle.bundle import Precision
from tests.export.int8.test_precision import text_feeds, text_model


@pytest.mark.parametrize(
    ("fp32_ms", "int8_ms", "kept"),
    [
        (20.0, 40.0, True),
        (20.0, 22.0, False),  # by less than a tenth: noise
        (20.0, 22.5, True),
        (20.0, 8.0, False),
        (1.0, 2.0, False),  # too small to matter
    ],
)
def test_fp32_is_kept_where_int8_is_surely_slower(fp32_ms: float, int8_ms: float, kept: bool) -> None:
    assert Speed(fp32_ms, int8_ms).keeps_fp32 == kept


def test_what_is_slower_is_said() -> None:
    assert describe_speed("text", Speed(20, 10), has_fp32=True) == []
    (note,) = describe_speed("text", Speed(1, 2), has_fp32=False)
    assert "0.50 times its speed" in note and "export fp32 too" in note
    (note,) = describe_speed("text", Speed(1, 2), has_fp32=True)
    assert "export fp32 too" not in note and "--precision fp32" in note
    (note,) = describe_speed("image", Speed(20, 40), has_fp32=False)
    assert note.startswith("int8 image: the graph stays fp32, as int8 was slower") and "0.50 times" in note


def test_the_speed_of_a_row_is_measured(tmp_path: Path) -> None:
    source, target = tmp_path / "text.onnx", tmp_path / "text.int8.onnx"
    onnx.save(text_model(), source)
    quantize_transformer(source, target, text_feeds())
    speed = measure_speed(source, target, text_feeds())
    assert 0 < speed.fp32_ms < 1000 and 0 < speed.int8_ms < 1000


@pytest.mark.parametrize("precisions", [("int8",), ("fp32", "int8")])
@pytest.mark.parametrize("int8_ms", [10.0, 40.0])
def test_a_bundle_holds_the_graphs_that_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precisions: tuple[Precision, ...], int8_ms: float
) -> None:
    def quantize(modality: str, source: Path, target: Path, *others: object) -> list[str]:
        target.write_bytes(b"int8")
        return ["int8 text: outliers"]

    monkeypatch.setattr(bundle_graphs, "_quantize", quantize)
    monkeypatch.setattr(bundle_graphs, "measure_speed", lambda *graphs: Speed(20, int8_ms))
    sources = {part: tmp_path / f"source-{part}" for part in ("text", "fusion")}
    for path in sources.values():
        path.write_bytes(b"fp32")
    posts: Any = SimpleNamespace(make_text_feeds=lambda run: [])
    run: Any = None
    folder = tmp_path / "bundle"
    folder.mkdir()
    written = bundle_graphs.write_precisions(folder, sources, run, precisions, posts, lambda step: None, shared=False)
    name, content = ("text.fp32.onnx", b"fp32") if int8_ms == 40 else ("text.int8.onnx", b"int8")
    assert written.files["int8"]["text"] == name
    assert (folder / name).read_bytes() == content
    listed = {path for graphs in written.files.values() for path in graphs.values()}
    assert {path.name for path in folder.iterdir()} == listed
    assert ("stays fp32" in written.notes[0]) == (int8_ms == 40) and len(written.notes) == 1
