from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import run_apart
from tests.support.posts import corpora
from tests.support.posts.labelled_corpus import make_labelled_corpus

ROWS = 16


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with posts.csv and images/."""
    monkeypatch.chdir(tmp_path)
    corpora.make_posts(ROWS).write_csv("posts.csv")
    corpora.make_images(Path("images"))
    return tmp_path


@pytest.fixture
def built_in(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> None:
    """The default model is the tiny one."""
    monkeypatch.setattr("sentimm.bundle.bundle.default_bundle_path", lambda: tiny_bundle)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_labelled_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def report(corpus: Path, tiny_bundle: Path) -> dict[str, object]:
    place = ("--images", corpus / "images", "--model", tiny_bundle)
    found = json.loads(run_apart("evaluate", corpus / "posts.csv", *place, "--json"))
    assert isinstance(found, dict)
    return found
