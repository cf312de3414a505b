"""Recipes run end to end, with tiny networks of the same classes and tiny tables."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import polars as pl
import pytest
from sentimm_export.options import ExportOptions

from sentimm.bundle.bundle import load_bundle
from sentimm.option_fields import list_fields
from sentimm.training.options import TrainOptions
from tests.export.test_families import write_network
from tests.support.tiny.models import make_corpus, make_image_encoder, make_text_encoder
from tests.support.tiny.text_families import make_family

ROOT = Path(__file__).parents[2]

KINDS = {"train": TrainOptions, "export": ExportOptions}


def run_recipe(name: str, data: Path, work: Path, **parameters: object) -> subprocess.CompletedProcess[str]:
    changes = [part for name, value in parameters.items() for part in ("--set", f"{name}={value}")]
    command = [sys.executable, ROOT / "export/recipes/run.py", ROOT / f"export/recipes/{name}.toml"]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "export"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [*command, "--data", data, "--work", work, *changes],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables that the recipes ask for, of a dozen posts each."""
    folder = tmp_path_factory.mktemp("data")
    posts = pl.read_csv(make_corpus(folder / "mvsa_single", 24), infer_schema=False)
    posts.write_csv(folder / "mvsa_single/train.csv")
    tweets = posts.select("id", "text", "label").filter(pl.col("text") != "")
    language = pl.Series("lang", ["am", "hi", "hi"]).gather(pl.int_range(len(tweets), eager=True) % 3)
    for name, table in (("semeval_tweets", tweets), ("multilingual_tweets", tweets.with_columns(language))):
        (folder / name).mkdir()
        table.write_csv(folder / name / "train.csv")
    return folder


@pytest.mark.parametrize("recipe", sorted((ROOT / "export/recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_the_options_of_a_recipe_exist(recipe: Path) -> None:
    steps = [step["command"] for step in tomllib.loads(recipe.read_text())["step"]]
    assert {command for command, *_ in steps} <= {*KINDS, "unpack_e5.py"}
    for command, *arguments in steps:
        if command in KINDS:
            fields = list_fields(KINDS[command])
            options = {"-o"} | {name for field in fields for name in (field.flag, *field.option.names)}
            assert {each for each in arguments if each.startswith("-")} <= options


@pytest.mark.slow
def test_the_strong_recipe_makes_a_bundle(tmp_path: Path, data: Path) -> None:
    stand_ins = {
        "text_encoder": make_family(tmp_path / "roberta", "Roberta"),
        "image_encoder": write_network(tmp_path, "test_vit"),
        "image_size": 32,
        "epochs": 1,
        "batch_size": 8,
        "max_tokens": 48,
    }
    first = run_recipe("strong", data, tmp_path / "work", **stand_ins)
    assert first.returncode == 0, first.stderr
    bundle = load_bundle(tmp_path / "work/strong-bundle")
    assert sorted(bundle.precisions) == ["fp16", "fp32", "int8"]
    again = run_recipe("strong", data, tmp_path / "work", **stand_ins)
    assert again.stderr.count("already exists") == 3


@pytest.mark.slow
def test_the_recipe_of_the_world_bundle_makes_a_bundle(tmp_path: Path, data: Path) -> None:
    # In the place of the unpacked encoder, whose package is not here.
    make_text_encoder(tmp_path / "work/multilingual-e5-small")
    stand_ins = {
        "image_encoder": make_image_encoder(tmp_path / "image"),
        "image_size": 32,
        "epochs": 1,
        "fusion_epochs": 1,
        "max_tokens": 48,
        "levels": 1,
    }
    done = run_recipe("world", data, tmp_path / "work", **stand_ins)
    assert done.returncode == 0, done.stderr
    bundle = load_bundle(tmp_path / "work/world-bundle")
    assert bundle.text is not None and bundle.text.normalization == "tweet-2-names"
    assert bundle.image is not None


def test_a_parameter_that_the_recipe_lacks_is_named(tmp_path: Path, data: Path) -> None:
    failed = run_recipe("strong", data, tmp_path / "work", encoder="x")
    assert failed.returncode == 1
    assert "--set encoder=x: the recipe's parameters are text_encoder, image_encoder" in failed.stderr
