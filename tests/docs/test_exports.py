"""The commands of the guide to inputs, on files of the shapes that other programs export."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from sentimm.corpus import survey_corpus
from sentimm.options import CorpusOptions
from sentimm.storage import to_path
from tests.support.commands import run
from tests.support.stores.s3_server import S3Server

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
    assert bool(found["images_found"]) == any(name in command for name in ("--images", "instaloader", "huggingface"))
    several = ("x-archive", "4cat/posts", "gallery-dl", "instagram/content", "instaloader", "apify/instagram.csv")
    assert found["several_images"] == any(name in command for name in several)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_an_export_in_object_storage_is_read_alike(command: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    export = "/".join(command.split()[1].split("/")[:3])
    s3.put_folder(ROOT / export, f"s3://posts/{export}")
    _, source, *options = shlex.split(command)
    images = Path(options[1]) if options[:1] == ["--images"] else None
    local = survey_corpus([source], CorpusOptions(images=images)).to_json()
    remote_images = None if images is None else to_path(f"s3://posts/{images}")
    remote = survey_corpus([f"s3://posts/{source}"], CorpusOptions(images=remote_images)).to_json()
    notes = [note.replace("s3://posts/", "") for note in remote.pop("notes")]
    assert notes == local.pop("notes")
    assert remote.pop("sources")[0][1:] == local.pop("sources")[0][1:]
    assert remote == local


def test_every_export_has_a_command() -> None:
    shapes = {path.name for path in (ROOT / "samples/exports").iterdir()}
    assert {command.split("/")[2] for command in COMMANDS} == shapes
