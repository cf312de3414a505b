from __future__ import annotations

import json
import os
import shutil
import socket

import pytest

from sentimm.bundle.bundle import default_bundle_path, load_bundle, write_manifest
from sentimm.bundle.manifest import FORMAT
from sentimm.errors import BundleError, BundleNotFoundError
from tests.support.failures.power import ForgetfulDisk
from tests.support.tiny.bundles import make_bundle


@pytest.fixture
def folder(tiny_bundle, tmp_path):
    """A copy of the tiny bundle that a test may damage."""
    return shutil.copytree(tiny_bundle, tmp_path / "model")


def change(folder, *keys, to):
    """Change one field of the manifest, named by its keys."""
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text())
    place = manifest
    for key in keys[:-1]:
        place = place[key]
    if to is None:
        del place[keys[-1]]
    else:
        place[keys[-1]] = to
    path.write_text(json.dumps(manifest))


def failure(folder) -> str:
    with pytest.raises(BundleError) as error:
        load_bundle(folder)
    return str(error.value)


def test_a_bundle_is_read_as_it_was_written(tiny_bundle):
    bundle = load_bundle(tiny_bundle)
    assert bundle.name == "tiny"
    assert bundle.labels == ("negative", "neutral", "positive")
    assert bundle.modalities == ("text", "image")
    assert bundle.text is not None and bundle.text.tokenizer == tiny_bundle / "tokenizer.json"
    assert bundle.text.normalization == "tweet-1"
    assert bundle.image is not None and bundle.image.size == 32
    assert bundle.fusion.heads == ("text", "image")
    assert bundle.precisions == ("fp32",)
    assert bundle.graphs["fp32"]["image"] == tiny_bundle / "image.onnx"
    assert set(bundle.temperatures) == {"text+image", "text", "image"}
    assert "image.weights" in bundle.files
    assert len(bundle.digest) == 64


@pytest.mark.parametrize(("modality", "other"), [("text", "image"), ("image", "text")])
def test_a_bundle_may_read_one_modality(tmp_path, modality, other):
    bundle = load_bundle(make_bundle(tmp_path / "model", modalities=[modality]))
    assert bundle.modalities == (modality,)
    assert getattr(bundle, other) is None
    assert set(bundle.temperatures) == {modality}
    assert set(bundle.graphs["fp32"]) == {modality, "fusion"}


def test_a_bundle_says_whether_its_fusion_attends(tmp_path, attending_bundle):
    bundle = load_bundle(attending_bundle)
    assert bundle.fusion.attends and bundle.image.cells == 16
    plain = load_bundle(make_bundle(tmp_path / "plain"))
    assert not plain.fusion.attends and not plain.fusion.literal and plain.image.cells is None
    change(tmp_path / "plain", "fusion", "attends", to=True)
    assert "image.cells (a whole number, 1 or more) is missing" in failure(tmp_path / "plain")


def test_the_digest_tells_bundles_apart(tmp_path):
    digests = [load_bundle(make_bundle(tmp_path / str(seed), seed=seed)).digest for seed in (0, 1)]
    assert digests[0] != digests[1]
    assert load_bundle(make_bundle(tmp_path / "again", seed=0)).digest == digests[0]


def test_the_model_card_may_be_edited(folder):
    (folder / "MODEL_CARD.md").write_text("# A model\n")
    assert load_bundle(folder).name == "tiny"


def test_the_default_bundle_is_inside_the_package():
    assert default_bundle_path().parts[-3:] == ("sentimm", "bundles", "default")


def test_a_missing_default_bundle_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("sentimm.bundle.bundle.default_bundle_path", lambda: tmp_path / "default")
    with pytest.raises(BundleNotFoundError, match=r"ships with sentimm is missing from .*default: reinstall"):
        load_bundle()


def test_an_unknown_bundle_is_a_usage_error(tmp_path):
    with pytest.raises(BundleNotFoundError) as error:
        load_bundle(tmp_path / "nowhere")
    assert str(error.value) == (
        f"The model bundle {tmp_path / 'nowhere'} is not there: name a folder that `sentimm export` wrote, or a model "
        "that ships with sentimm (default, world)."
    )
    assert error.value.exit_code == 2


def test_a_folder_without_manifest_and_a_file_are_no_bundles(tmp_path):
    with pytest.raises(BundleNotFoundError, match=r"has no bundle\.json"):
        load_bundle(tmp_path)
    (tmp_path / "model.onnx").touch()
    with pytest.raises(BundleNotFoundError, match="is a file, not a model bundle"):
        load_bundle(tmp_path / "model.onnx")


def test_a_newer_format_names_both_versions(folder):
    change(folder, "format", to=FORMAT + 1)
    assert f"is a bundle of format {FORMAT + 1}, and sentimm " in failure(folder)
    assert f"reads formats up to {FORMAT}: update sentimm." in failure(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b"[]", b"null"])
def test_a_manifest_that_is_not_json_is_named(folder, content):
    (folder / "bundle.json").write_bytes(content)
    assert str(folder / "bundle.json") in failure(folder)
    assert "is damaged" in failure(folder)


@pytest.mark.parametrize(
    ("keys", "to"),
    [
        (("format",), "1"),
        (("labels",), ["one"]),
        (("labels",), ["a", "a"]),
        (("labels",), "abc"),
        (("modalities",), []),
        (("modalities",), ["sound"]),
        (("text",), None),
        (("text", "max_tokens"), 0),
        (("text", "max_tokens"), True),
        (("text", "tokenizer"), "other.json"),
        (("image", "size"), 32.0),
        (("fusion", "heads"), ["sound"]),
        (("fusion", "attends"), "yes"),
        (("fusion", "literal"), 1),
        (("temperatures", "text"), 0),
        (("temperatures", "text+image"), None),
        (("temperatures", "image"), float("inf")),
        (("graphs",), {}),
        (("graphs", "int4"), {}),
        (("graphs", "fp32", "image"), None),
        (("graphs", "fp32", "image"), "elsewhere.onnx"),
        (("files",), []),
        (("files", "image.onnx", "bytes"), -1),
        (("metrics",), 3),
        (("metrics",), {"accuracy": float("nan")}),
        (("provenance",), {"created": float("inf")}),
        (("temperatures", "text"), float("nan")),
        (("labels",), [str(number) for number in range(1001)]),
        (("text", "max_tokens"), 8193),
        (("text", "width"), 16_385),
        (("image", "width"), 16_385),
        (("image", "size"), 2049),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_named(folder, keys, to):
    change(folder, *keys, to=to)
    message = failure(folder)
    assert "bundle.json is damaged" in message
    assert keys[0] in message


def test_more_cells_than_any_image_has_are_refused(attending_bundle, tmp_path):
    folder = shutil.copytree(attending_bundle, tmp_path / "model")
    change(folder, "image", "cells", to=10**6)
    assert "image.cells should be at most 16,384, but is 1000000" in failure(folder)


@pytest.mark.parametrize(
    "value", ["1" * 30, "-" + "9" * 5000, "[" * 500 + "]" * 500, '{"a":' * 40 + "1" + "}" * 40, '"\\ud800"']
)
def test_values_that_nobody_writes_are_an_error(folder, value):
    content = (folder / "bundle.json").read_text()
    (folder / "bundle.json").write_text(content.replace('"parity": {}', f'"parity": {{"int8": {value}}}'))
    assert "bundle.json is damaged, it is not JSON" in failure(folder)


def test_a_number_without_end_is_an_error(folder):
    content = (folder / "bundle.json").read_text()
    (folder / "bundle.json").write_text(content.replace('"parity": {}', '"parity": {"int8": 1e999}'))
    assert "parity should be an object whose numbers are finite" in failure(folder)


def test_a_manifest_too_large_is_not_read(folder):
    with (folder / "bundle.json").open("r+b") as file:
        file.truncate(2**40)
    assert "bundle.json is damaged: a manifest has at most 16,777,216 bytes" in failure(folder)


@pytest.mark.parametrize("name", ["../secret", "a/b.onnx", "/etc/passwd", "..", "a\\b", "C:x", "bundle.json", ""])
def test_a_file_name_that_leads_out_is_refused(folder, name):
    change(folder, "files", name, to={"sha256": "0" * 64, "bytes": 1})
    assert "files should be names of files in the bundle's own folder" in failure(folder)


@pytest.mark.parametrize("name", ["text.onnx", "image.weights", "tokenizer.json", "fusion.onnx"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert failure(folder).startswith(f"{folder / name} is missing from the bundle")


def test_a_file_cut_short_is_named(folder):
    content = (folder / "text.onnx").read_bytes()
    (folder / "text.onnx").write_bytes(content[:-1])
    assert f"text.onnx is damaged: it has {len(content) - 1:,} bytes instead of {len(content):,}" in failure(folder)


def test_a_single_changed_bit_is_found(folder):
    content = bytearray((folder / "image.weights").read_bytes())
    content[100] ^= 1
    (folder / "image.weights").write_bytes(content)
    assert "image.weights is damaged: its SHA-256 is not the one that bundle.json names" in failure(folder)


@pytest.mark.parametrize("name", ["text.onnx", "image.weights", "tokenizer.json", "bundle.json"])
@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("target", ["outside", "model/inside"])
def test_links_are_refused(folder, tmp_path, name, link, target):
    (folder / name).rename(tmp_path / target)
    link(tmp_path / target, folder / name)
    assert failure(folder) == (f"{folder / name} is a link: replace it with a copy of the file.")


def test_links_in_a_circle_are_an_error(folder):
    (folder / "text.onnx").unlink()
    (folder / "text.onnx").symlink_to(folder / "text.onnx")
    assert f"{folder / 'text.onnx'} is a link" in failure(folder)


def test_installers_may_link_the_files_of_the_default_bundle(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("sentimm.bundle.bundle.default_bundle_path", lambda: folder)
    for path in list(folder.iterdir()):
        os.link(path, tmp_path / path.name)
    assert load_bundle().name == load_bundle(folder).name == "tiny"
    (folder / "text.onnx").unlink()
    (folder / "text.onnx").symlink_to(tmp_path / "text.onnx")
    assert "text.onnx is a link" in failure(folder)


@pytest.mark.parametrize("name", ["text.onnx", "bundle.json"])
def test_pipes_and_sockets_are_not_opened(folder, monkeypatch, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert f"{folder / name} is not a plain file" in failure(folder)
    (folder / name).unlink()
    monkeypatch.chdir(folder)  # a socket's path has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(name)
        assert f"{folder / name} is not a plain file" in failure(folder)


def test_a_folder_in_place_of_a_file_is_an_error(folder):
    (folder / "text.onnx").unlink()
    (folder / "text.onnx").mkdir()
    assert f"{folder / 'text.onnx'} is not a plain file" in failure(folder)


def test_a_bundle_may_be_reached_through_a_link(folder, tmp_path):
    (tmp_path / "latest").symlink_to(folder)
    assert load_bundle(tmp_path / "latest").name == "tiny"


def test_writing_a_manifest_checks_what_it_describes(folder):
    fields = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").unlink()
    with pytest.raises(BundleError, match=r"graphs\.fp16\.text"):
        write_manifest(folder, fields | {"graphs": {"fp16": {"text": "text.fp16.onnx"}}})
    assert not (folder / "bundle.json").exists()
    write_manifest(folder, fields)
    assert load_bundle(folder).name == "tiny"


def test_a_manifest_is_not_written_over_folders_and_links(folder):
    fields = json.loads((folder / "bundle.json").read_text())
    (folder / "more").mkdir()
    with pytest.raises(BundleError, match="more is not a plain file"):
        write_manifest(folder, fields)


def test_a_tokenizer_that_is_none_is_named(folder):
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    manifest = json.loads((folder / "bundle.json").read_text())
    fields = {name: value for name, value in manifest.items() if name not in ("format", "files")}
    write_manifest(folder, fields)
    with pytest.raises(BundleError, match=r"tokenizer\.json can't be read as a tokenizer \(.*\): export"):
        load_bundle(folder).text.load_tokenizer()


def test_a_power_loss_leaves_a_whole_bundle_or_none(tmp_path):
    disk = ForgetfulDisk(tmp_path / "model")
    with disk.watched():
        make_bundle(tmp_path / "model")
    finished = [left for left in disk.losses if "bundle.json" in left]
    assert finished and len(finished) < len(disk.losses)
    for number, left in enumerate(finished):
        (tmp_path / str(number)).mkdir()
        for name, content in left.items():
            (tmp_path / str(number) / name).write_bytes(content)
        assert load_bundle(tmp_path / str(number)).name == "tiny"
