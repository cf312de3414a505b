"""Graphs that are not as the manifest says."""

from __future__ import annotations

import json
import shutil

import onnx
import pytest

from sentimm.bundle.bundle import load_bundle, write_manifest
from sentimm.errors import BundleError
from sentimm.runtime.engine import Engine


@pytest.fixture
def rewrite(tiny_bundle, tmp_path):
    """Make a bundle whose manifest, right in itself, does not fit its graphs; give the error that follows."""
    folder = shutil.copytree(tiny_bundle, tmp_path / "model")

    def apply(change) -> str:
        fields = json.loads((folder / "bundle.json").read_text())
        change(folder, fields)
        write_manifest(folder, fields)
        with pytest.raises(BundleError) as error:
            Engine(load_bundle(folder), device="cpu")
        return str(error.value)

    return apply


def test_a_graph_that_onnxruntime_can_not_load_is_named(rewrite, capfd):
    def misname(folder, fields):
        model = onnx.load(folder / "text.onnx")
        model.graph.node[0].op_type = "NoSuchOperator"
        (folder / "text.onnx").write_bytes(model.SerializeToString())

    message = rewrite(misname)
    assert "text.onnx can't be loaded by ONNX Runtime" in message
    assert capfd.readouterr() == ("", "")


def test_graphs_in_each_others_place_are_an_error(rewrite):
    def swap(folder, fields):
        graphs = fields["graphs"]["fp32"]
        graphs["text"], graphs["image"] = graphs["image"], graphs["text"]

    assert "image.onnx is not the text graph that the manifest describes: it takes pixels" in rewrite(swap)


def test_a_width_that_does_not_fit_is_an_error(rewrite):
    def widen(folder, fields):
        fields["image"]["width"] = 9

    assert "the last size of image_features is 8 instead of 9" in rewrite(widen)


def test_a_number_of_labels_that_does_not_fit_is_an_error(rewrite):
    def add(folder, fields):
        fields["labels"].append("mixed")

    assert "the last size of scores is 3 instead of 4" in rewrite(add)


def test_external_data_outside_the_folder_is_refused(rewrite, tmp_path):
    def lead_out(folder, fields):
        (folder / "image.weights").rename(tmp_path / "image.weights")
        model = onnx.load(folder / "image.onnx", load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = "../image.weights"
        (folder / "image.onnx").write_bytes(model.SerializeToString())

    assert "lies in '../image.weights', which is not one of the bundle's weight files" in rewrite(lead_out)
