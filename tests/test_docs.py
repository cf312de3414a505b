from __future__ import annotations

import inspect
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "samples").glob("*.md")])
WRITER = runpy.run_path(str(ROOT / "docs" / "write_commands.py"))
COMMANDS: dict[str, Callable[..., Any]] = WRITER["list_commands"]()

COMMAND_LINE = re.compile(r"(?:^|&& |`)sentimm ([a-z]+)([^`\n]*)", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]+)")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def option_names(name: str) -> set[str]:
    parameters = [*WRITER["list_parameters"](COMMANDS[name]), *WRITER["list_common"]()]
    return {part for parameter in parameters for spelling in parameter.names for part in spelling.split("/")}


def test_every_command_is_documented_as_it_is() -> None:
    documented = read(ROOT / "docs" / "reference" / "commands.md")
    assert documented == WRITER["render_commands"](), "run `python docs/write_commands.py`"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_a_command_does_and_ends_with_an_example(name: str) -> None:
    paragraphs = (inspect.getdoc(COMMANDS[name]) or "").split("\n\n")
    assert len(paragraphs[0]) > 20
    assert f"sentimm {name}" in paragraphs[-1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help(name: str) -> None:
    silent = [found for found in WRITER["list_parameters"](COMMANDS[name]) if not found.help]
    assert silent == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_command_lines_in_the_documentation_exist(page: Path) -> None:
    for command, rest in COMMAND_LINE.findall(read(page)):
        assert command in COMMANDS, f"sentimm {command}"
        unknown = set(OPTION.findall(rest.partition(" && ")[0])) - option_names(command)
        assert unknown == set(), f"sentimm {command}{rest}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_named_in_the_documentation_exist(page: Path) -> None:
    known = set().union(*(option_names(name) for name in COMMANDS))
    named = set(re.findall(r"`(--[a-z][a-z-]+)[^`]*`", read(page)))
    assert named - known == set()


def test_the_readme_shows_the_commands_that_are_checked() -> None:
    readme, check = read(ROOT / "README.md"), read(ROOT / ".ci" / "run")
    for command in (
        "pip install .",
        "sentimm score samples/posts.csv --images samples/images -o",
        "pip install '.[dev]'",
    ):
        assert command in readme
        assert command.replace("pip install", "pip install --quiet") in check
