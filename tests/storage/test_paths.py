from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sentimm import storage
from sentimm.errors import MissingExtraError, UsageError
from sentimm.storage import to_path
from tests.support.servers import forget_file_systems


def test_local_files_stay_local(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"123")
    path = to_path(str(tmp_path / "file"))
    assert isinstance(path, Path) and not storage.is_remote(path)
    assert storage.read_bytes(path) == b"123" and storage.read_bytes(path, 2) == b"12"
    assert storage.exists(path) and storage.is_folder(tmp_path) and not storage.is_folder(path)
    assert storage.find_state(path) is not None and storage.find_state(tmp_path / "none") is None
    with pytest.raises(FileNotFoundError):
        storage.open_file(tmp_path / "none")


def test_only_object_storage_is_written_to() -> None:
    storage.require_writable(Path("out"))
    with pytest.raises(UsageError):
        storage.require_writable(to_path("http://127.0.0.1/out"))


def test_says_what_can_be_reached() -> None:
    with pytest.raises(UsageError):
        to_path("nonsense://a/b")


def test_says_what_a_store_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ValueError("an account is needed.\nOr a key.")

    monkeypatch.setattr("upath.UPath", refuse)
    with pytest.raises(UsageError, match=r"^az://posts/posts\.csv can't be reached: an account is needed\.$"):
        to_path("az://posts/posts.csv")


def test_says_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_file_systems()
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        to_path("s3://posts/file")
