"""Fixtures that all tests share."""

from __future__ import annotations

import os

# Two processes run the tests on two cores: each computes, and lets the commands that it starts compute, in one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

# What fixtures need is imported in them: the process that only gives out the tests needs none of it.
if TYPE_CHECKING:
    from tests.support.stores.file_systems import MemoryStore
    from tests.support.stores.s3_server import S3Server
    from tests.support.stores.web_server import WebServer

settings.register_profile("default", deadline=None)  # a case takes long where the machine is busy
settings.register_profile("ci", settings.get_profile("default"), print_blob=True)
settings.load_profile("default")  # hypothesis itself loads another one where it finds CI


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Replace what UTF-8 can't hold in reports, such as names of files: they are sent to another process."""
    return make_printable((yield))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is tried in CI alone, and run the file that takes by far the longest first.

    At the end, it would run alone in one of the processes.
    """
    if settings.get_current_profile_name() != "ci" and "ci" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("ci")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("ci")]
    items.sort(key=lambda item: item.path.name != "test_ray_cluster.py")


def make_printable(value: Any) -> Any:
    """Replace what UTF-8 can't hold in all strings of a report."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {make_printable(key): make_printable(each) for key, each in value.items()}
    return type(value)(map(make_printable, value)) if isinstance(value, list | tuple) else value


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text+image bundle with both heads, fp32; don't write into it (make your own with `make_bundle`)."""
    from tests.support.tiny.bundles import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def attending_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_bundle`, but its fusion takes sequences too."""
    from tests.support.tiny.bundles import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundles") / "attending", attends=True)


@pytest.fixture(autouse=True)
def choose_decoding(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode images in this process, as on Windows, unless a test is `isolated`: each decoder's takes half a second."""
    if request.node.get_closest_marker("isolated") is None:
        monkeypatch.setattr("sentimm.scoring.pipeline.decoder_pool.ISOLATED", False)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Object storage for the whole session; take `s3`."""
    from tests.support.stores.s3_server import S3Server

    with S3Server() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """Object storage with an empty bucket, which this process and those that it starts find by the environment."""
    from tests.support.stores.file_systems import forget_file_systems

    s3_server.reset()
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    forget_file_systems()
    yield s3_server
    forget_file_systems()


@pytest.fixture
def memory() -> Iterator[MemoryStore]:
    """Object storage in memory, empty."""
    from tests.support.stores.file_systems import MemoryStore

    store = MemoryStore()
    yield store
    store.reset()


@pytest.fixture
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """A web server that serves the folder `web.folder`, empty at first."""
    from tests.support.stores.web_server import WebServer

    with WebServer(tmp_path_factory.mktemp("web")) as server:
        yield server
