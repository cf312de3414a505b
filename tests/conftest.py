"""Fixtures that all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_bundles import make_bundle


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text+image bundle with both heads, fp32; don't write into it (make your own with `make_bundle`)."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def attending_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_bundle`, but its fusion takes sequences too."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "attending", attends=True)
