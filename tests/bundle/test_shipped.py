"""The bundles that ship with sentimm: found by their names, listed, and with files that they share."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sentimm import Scorer
from sentimm.bundle.bundle import list_shipped, load_bundle
from sentimm.bundle.files import hash_file
from sentimm.errors import BundleError, UsageError
from sentimm.findings.adaptation.adapted_bundle import Origin, write_adapted
from sentimm.findings.adaptation.choice import Candidate, Comparison
from sentimm.findings.quality.figures import Figure
from sentimm.runtime.correction import Correction
from tests.support.commands import fail, run
from tests.support.tiny.bundles import make_bundle

RECIPES = Path(__file__).parents[2] / "export/recipes"
SAMPLES = Path(__file__).parents[2] / "samples"
IMAGE_FILES = ["image.onnx", "image.weights"]


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of two bundles that ship, `default` and `world`, which differ in the text graph."""
    folder = tmp_path / "bundles"
    make_bundle(folder / "default")
    world = shutil.copytree(folder / "default", folder / "world")
    change(world, languages=["en", "sw"], name="world")
    other = make_bundle(tmp_path / "other", seed=1)
    shutil.copyfile(other / "text.onnx", world / "text.onnx")
    change(world, text=(other / "text.onnx"))
    monkeypatch.setattr("sentimm.bundle.bundle.default_bundle_path", lambda: folder / "default")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("posts.csv").write_text("text\nwhat a good day\n")
    return folder


@pytest.fixture
def share_files(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    import share_files

    yield share_files.share_files
    sys.modules.pop("share_files")


def change(folder: Path, text: Path | None = None, **fields: object) -> None:
    manifest = json.loads((folder / "bundle.json").read_text()) | fields
    if text is not None:
        donor = json.loads((text.parent / "bundle.json").read_text())
        manifest["files"]["text.onnx"] = donor["files"]["text.onnx"]
    (folder / "bundle.json").write_text(json.dumps(manifest))


def score(capsys: pytest.CaptureFixture[str], *model: str) -> list[float]:
    assert run(capsys, "score", "posts.csv", "-o", "out.parquet", "--overwrite", *model).code == 0
    return pl.read_parquet("out.parquet")["p_positive"].to_list()


def test_a_bundle_that_ships_is_found_by_its_name(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(list_shipped()) == ["default", "world"]
    assert score(capsys, "--model", "default") == score(capsys)
    assert score(capsys, "--model", "world") == score(capsys, "--model", str(shipped / "world")) != score(capsys)
    assert Scorer("world").bundle.path == shipped / "world"


def test_a_folder_of_the_same_name_is_asked_for(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_bundle(Path("world"), seed=2)
    message = (
        "world is a model that ships with sentimm, and a bundle here: write ./world for the one here, or rename that "
        "to use the other."
    )
    assert fail(capsys, "score", "posts.csv", "--model", "world") == (2, message)
    own = score(capsys, "--model", "./world")
    assert load_bundle(Path("world")).path == Path("world")
    Path("world").rename("mine")
    assert score(capsys, "--model", "mine") == own != score(capsys, "--model", "world")


@pytest.mark.parametrize("command", [("score", "posts.csv", "--model"), ("info",)])
def test_an_unknown_name_is_an_error_that_lists_the_names(
    shipped: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    message = (
        "The model bundle wrold is not there: name a folder that `sentimm export` wrote, or a model that ships with "
        "sentimm (default, world)."
    )
    assert fail(capsys, *command, "wrold") == (2, message)


def test_info_lists_what_ships(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys, "info").out.splitlines()
    assert lines[-2].startswith("  Ships  --model default: ") and lines[-2].endswith(" MB")
    assert lines[-1].startswith("         --model world: 2 languages (en, sw), ")
    of_one = run(capsys, "info", "world").out
    assert of_one.startswith("world: ") and "  en, sw\n" in of_one and "Ships" not in of_one


def test_what_bundles_share_is_there_once(
    shipped: Path, share_files, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = score(capsys, "--model", "world")
    same = ["fusion.onnx", *IMAGE_FILES, "tokenizer.json"]
    assert share_files(shipped / "world", shipped / "default") == same
    assert sorted(path.name for path in (shipped / "world").iterdir()) == ["bundle.json", "text.onnx"]
    bundle = load_bundle("world")
    assert bundle.graphs["fp32"]["image"] == shipped / "default" / "image.onnx"
    assert set(bundle.files) == set(load_bundle("default").files)
    assert score(capsys, "--model", "world") == before
    assert share_files(shipped / "world", shipped / "default") == []
    assert load_bundle("world") == bundle


def test_a_graph_is_shared_with_its_weights_or_not_at_all(shipped: Path, share_files) -> None:
    third = make_bundle(shipped / "third")
    weights = third / "image.weights"
    weights.write_bytes(weights.read_bytes()[::-1])
    manifest = json.loads((third / "bundle.json").read_text())
    manifest["files"]["image.weights"]["sha256"] = hash_file(weights)
    (third / "bundle.json").write_text(json.dumps(manifest))
    assert share_files(shipped / "world", third) == ["fusion.onnx", "tokenizer.json"]


def test_only_what_ships_may_take_files_of_others(shipped: Path, share_files, tmp_path: Path) -> None:
    share_files(shipped / "world", shipped / "default")
    shutil.copytree(shipped / "default", tmp_path / "copies" / "default")
    copy = shutil.copytree(shipped / "world", tmp_path / "copies" / "world")
    with pytest.raises(
        BundleError, match=r"takes fusion\.onnx from another bundle \(default\), which only models that"
    ):
        load_bundle(copy)
    manifest = json.loads((shipped / "world" / "bundle.json").read_text())
    for place in ("..", "../../other", "", "world/../default", 3):
        manifest["files"]["image.onnx"]["bundle"] = place
        (shipped / "world" / "bundle.json").write_text(json.dumps(manifest))
        with pytest.raises(BundleError):
            load_bundle("world")


@pytest.mark.parametrize("name", IMAGE_FILES)
def test_a_shared_file_is_checked(shipped: Path, share_files, name: str) -> None:
    share_files(shipped / "world", shipped / "default")
    (shipped / "default" / name).write_bytes(b"another")
    with pytest.raises(BundleError, match=rf"{name} is damaged"):
        load_bundle("world")
    (shipped / "default" / name).unlink()
    with pytest.raises(BundleError, match=rf"{name} is missing"):
        load_bundle("world")


def test_weights_that_are_not_beside_their_graph_are_refused(shipped: Path) -> None:
    manifest = json.loads((shipped / "world" / "bundle.json").read_text())
    manifest["files"]["image.onnx"]["bundle"] = "default"
    (shipped / "world" / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"default/image\.onnx is refused"):
        load_bundle("world")


def test_an_adapted_model_has_all_files_of_its_own(shipped: Path, share_files, tmp_path: Path) -> None:
    share_files(shipped / "world", shipped / "default")
    compared = Comparison(1.0, 0.5, (Candidate("prior", 0.9, 0.6, Figure(0.1, None, None)),))
    origin = Origin(("sheet.csv",), labels=9, posts=99)
    correction = Correction(np.ones(3), np.zeros(3))
    adapted = write_adapted(tmp_path / "adapted", load_bundle("world"), correction, compared, origin)
    assert not adapted.shared
    assert adapted.files == load_bundle("world").files


def test_a_name_of_the_api_is_no_path(shipped: Path) -> None:
    make_bundle(Path("world"), seed=2)
    with pytest.raises(UsageError, match=r"write \./world"):
        Scorer("world")
    assert Scorer("./world").bundle.path == Path("world")


def test_the_models_that_ship_read_english_and_other_languages(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert list(list_shipped()) == ["default", "world"]
    right = {}
    for model in list_shipped():
        output = tmp_path / f"{model}.parquet"
        inputs = (str(SAMPLES / "world.csv"), "--images", str(SAMPLES / "images"))
        assert run(capsys, "score", *inputs, "--model", model, "-o", str(output)).code == 0
        scored = pl.read_parquet(output)
        right[model] = (scored["sentiment"] == scored["label"]).sum()
    assert right["world"] >= 22 > right["default"]
