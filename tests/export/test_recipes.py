"""The recipes ask for what the commands have."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from sentimm_export.options import ExportOptions

from sentimm.option_fields import list_fields
from sentimm.training.options import TrainOptions

RECIPES = Path(__file__).parents[2] / "export/recipes"
KINDS = {"train": TrainOptions, "export": ExportOptions}


@pytest.mark.parametrize("recipe", ["default.toml", "eyes.toml"])
def test_the_options_of_a_recipe_exist(recipe: str) -> None:
    steps = tomllib.loads((RECIPES / recipe).read_text())["step"]
    assert steps
    for step in steps:
        command, *arguments = step["command"]
        known = {"-o"} | {name for field in list_fields(KINDS[command]) for name in (field.flag, *field.option.names)}
        assert {each for each in arguments if each.startswith("-")} <= known


def test_a_recipe_reads_what_its_steps_before_have_written() -> None:
    written: set[str] = set()
    for step in tomllib.loads((RECIPES / "eyes.toml").read_text())["step"]:
        command = step["command"]
        used = {each for each in command if each.startswith("{work}/")} - {command[command.index("-o") + 1]}
        assert used <= written
        written.add(command[command.index("-o") + 1])
