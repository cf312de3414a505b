"""The commands of the guide to inputs, on files of the shapes that other programs export."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.support.commands import run

ROOT = Path(__file__).parents[2]
COMMANDS = re.findall(r"`sentimm (score samples/exports/[^`]+)`", (ROOT / "docs/guides/inputs.md").read_text())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_guide_reads_the_export(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    code, out, err = run(capsys, *shlex.split(command), "--dry-run", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["texts"] == (3 if "x-archive" in command else 2)
    assert found["unreadable"] == 0
    assert bool(found["images_found"]) == ("--images" in command or "instaloader" in command)
    several = ("x-archive", "4cat", "gallery-dl", "instagram/content", "instaloader")
    assert found["several_images"] == any(name in command for name in several)


def test_every_export_has_a_command() -> None:
    shapes = {path.name for path in (ROOT / "samples/exports").iterdir()}
    assert {command.split("/")[2] for command in COMMANDS} == shapes
