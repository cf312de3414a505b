from __future__ import annotations

import json
import shutil

import pytest

from sentimm.cli.app import main
from tests.support.tiny.bundles import make_bundle


def run(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code, *capsys.readouterr()


def test_info_tells_a_person_what_is_in_a_bundle(capsys, tiny_bundle):
    code, out, err = run(capsys, "info", tiny_bundle)
    assert (code, err) == (0, "")
    assert out.startswith("tiny: text and image to negative, neutral, positive\n")
    for fact in (
        str(tiny_bundle),
        "tiny-text, at most 16 tokens, normalised by tweet-1",
        "tiny-image, 32 x 32 pixels",
        "native-cat",
        "text, image: each answers posts that have this modality alone",
        "sentimm 0.1.0, created 2025-01-01T00:00:00Z",
    ):
        assert f"  {fact}\n" in out
    assert "\n  val\n       data  accuracy\n  all  none     50.0%\n" in out


def test_info_says_that_a_model_adds_up_probabilities(capsys, tmp_path):
    bundle = make_bundle(tmp_path / "printed")
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["fusion"] |= {"name": "native-combine", "literal": True}
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    code, out, _ = run(capsys, "info", bundle)
    assert code == 0
    assert "native-combine, adding up probabilities as printed in the paper\n" in out


def test_info_of_a_model_of_one_modality_leaves_out_the_other(capsys, tmp_path):
    code, out, _ = run(
        capsys, "info", make_bundle(tmp_path / "words", modalities=["text"], precisions=["int8", "fp32"])
    )
    assert code == 0
    assert out.startswith("tiny: text to negative, neutral, positive\n")
    assert "Image" not in out
    assert "int8, fp32; " in out


def test_info_json_is_one_object_with_everything(capsys, tiny_bundle):
    code, out, err = run(capsys, "info", tiny_bundle, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["path"] == str(tiny_bundle)
    assert found["labels"] == ["negative", "neutral", "positive"]
    assert found["text"]["tokenizer"] == "tokenizer.json"
    assert found["image"] == {"encoder": "tiny-image", "size": 32, "width": 8, "cells": None}
    assert found["graphs"]["fp32"] == {"text": "text.onnx", "image": "image.onnx", "fusion": "fusion.onnx"}
    assert found["temperatures"]["text+image"] == 1.0
    assert set(found["files"]) == {"text.onnx", "image.onnx", "image.weights", "fusion.onnx", "tokenizer.json"}
    assert found["metrics"]["val"]["accuracy"] == 0.5


def test_info_without_argument_tells_of_the_built_in_model(capsys, monkeypatch, tiny_bundle):
    monkeypatch.setattr("sentimm.bundle.bundle.default_bundle_path", lambda: tiny_bundle)
    code, out, _ = run(capsys, "info")
    assert code == 0
    assert out.startswith("tiny: ")


def test_info_of_an_unknown_bundle_is_a_usage_error(capsys, tmp_path):
    assert run(capsys, "info", tmp_path / "nowhere") == (
        2,
        "",
        f"Error: The model bundle {tmp_path / 'nowhere'} is not there: name a folder that `sentimm export` wrote, or a "
        "model that ships with sentimm (default, world).\n",
    )


def test_info_of_a_damaged_bundle_fails(capsys, tiny_bundle, tmp_path):
    folder = shutil.copytree(tiny_bundle, tmp_path / "model")
    (folder / "text.onnx").unlink()
    code, out, err = run(capsys, "info", folder)
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: {folder / 'text.onnx'} is missing from the bundle: ")
    assert err.count("\n") == 1


def test_what_a_bundle_says_can_not_rewrite_the_terminal(capsys, tmp_path):
    _, out, _ = run(capsys, "info", make_bundle(tmp_path / "model", name="evil\x1b[2J[red]x"))
    assert "\x1b" not in out
    assert "evil\N{REPLACEMENT CHARACTER}[2J[red]x: " in out


def test_info_draws_figures_as_a_table_and_leaves_out_digests(capsys, tmp_path):
    bundle = make_bundle(tmp_path / "measured")
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["metrics"] = {
        "held_out": {
            "precision": "fp32",
            "text": {"posts": 1009, "macro_f1": 0.71234, "macro_f1_95": [0.6, 0.8]},
            "image": {"posts": 9, "accuracy": 0.5},
        }
    }
    manifest["provenance"] |= {
        "run": {"posts": ["c0ffee"], "tables": {"my_posts.csv": 9}},
        "notes": ["a layer stays in float", "another one, too"],
    }
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    code, out, _ = run(capsys, "info", bundle)
    assert code == 0
    table = """
  Held-out posts, after the export, precision fp32, with 95% intervals
         posts             macro F1  accuracy
  text   1,009  0.712 (0.600-0.800)
  image      9                          50.0%
"""
    assert table in out
    for fact in ("run tables: my_posts.csv 9", "Notes   a layer stays in float", "another one, too"):
        assert f"  {fact}\n" in out
    assert "c0ffee" not in out
