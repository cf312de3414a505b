from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from sentimm import storage
from sentimm.errors import MissingExtraError, UsageError
from sentimm.storage import RemoteFile, to_path
from sentimm.storage.local_store import LocalStore
from sentimm.storage.object_store import ObjectStore
from sentimm.storage.web_store import WebStore
from tests.support.file_systems import MemoryStore, forget_file_systems


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


def test_local_links_and_pipes_are_told_apart(tmp_path: Path) -> None:
    store = storage.store_of(tmp_path)
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "broken").symlink_to(tmp_path / "none")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    os.mkfifo(tmp_path / "pipe")
    names = ["file", "link", "broken", "circle", "pipe", "none"]
    paths = [tmp_path / name for name in names]
    assert [storage.lexists(path) for path in paths] == [True, True, True, True, True, False]
    assert [storage.is_regular(path) for path in paths] == [True, True, False, False, False, False]
    assert [store.is_link(path) for path in paths] == [False, True, False, False, False, False]
    assert storage.find_real_name(tmp_path / "link") == os.path.realpath(tmp_path / "file")
    assert store.is_inside(tmp_path / "link", os.path.realpath(tmp_path))
    assert not store.is_inside(tmp_path / ".." / "x", os.path.realpath(tmp_path))


def test_libraries_get_a_path_or_a_file(tmp_path: Path, memory: MemoryStore) -> None:
    (tmp_path / "file").write_bytes(b"1")
    local, remote = tmp_path / "file", to_path("memory://posts/file")
    ObjectStore().upload(local, remote)
    with storage.open_source(local) as source:
        assert source == local
    assert storage.load_source(local) == local
    with storage.open_source(remote) as source:
        assert not isinstance(source, Path) and source.read() == b"1"
    loaded = storage.load_source(remote)
    assert not isinstance(loaded, Path) and loaded.read() == b"1"
    assert list(storage.map_files(storage.read_bytes, [local, remote])) == [b"1", b"1"]
    assert stat.S_ISREG(storage.store_of(remote).find_mode(remote))
    with pytest.raises(FileNotFoundError):
        storage.store_of(remote).find_mode(to_path("memory://posts/none"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("posts.csv", LocalStore), ("s3://a/b", ObjectStore), ("https://a/b", WebStore), ("HTTP://a/b", WebStore)],
)
def test_a_name_leads_to_its_store(name: str, kind: type) -> None:
    assert type(storage.store_of(name)) is kind
    if kind is not LocalStore:
        assert type(storage.store_of(RemoteFile(name))) is kind
