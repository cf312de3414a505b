"""Writing that leaves the old state or the new."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from sentimm.errors import OutputError
from sentimm.storage import to_path
from sentimm.storage.atomic import (
    TEMPORARY,
    commit_file,
    commit_folder,
    publish_file,
    reading,
    remove_file,
    rename_folder,
    write_file,
    writing,
)
from sentimm.storage.steps import watching_steps
from tests.support.file_systems import MemoryStore
from tests.support.power import ForgetfulDisk


class Killed(BaseException):
    pass


def kill_at(step: int) -> Callable[[], None]:
    """Return a watcher that raises at a step."""
    steps = iter(range(1, 100))

    def reach_step() -> None:
        if next(steps) == step:
            raise Killed

    return reach_step

    return reach_step


def test_a_power_loss_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    disk = ForgetfulDisk(folder)
    with disk.watched():
        commit_folder(folder)
        write_file(folder / "file", b"old")
        write_file(folder / "file", b"new")
    contents = [left.get("file") for left in disk.losses]
    assert set(contents) == {None, b"old", b"new"} and contents[-1] == b"new"
    assert contents.index(None) < contents.index(b"old") < contents.index(b"new")


def test_a_published_file_is_synced_too(tmp_path: Path) -> None:
    disk = ForgetfulDisk(tmp_path)
    (tmp_path / "written").write_bytes(b"new")
    with disk.watched():
        publish_file(tmp_path / "written", tmp_path / "file")
    assert {left.get("file") for left in disk.losses} == {None, b"new"}


def test_a_kill_at_any_step_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for step in range(1, 10):
        path.write_bytes(b"old")
        try:
            with watching_steps(kill_at(step)):
                write_file(path, b"new")
            break
        except Killed:
            assert path.read_bytes() in (b"old", b"new")
    assert step == 6 and path.read_bytes() == b"new"


def test_what_fails_while_it_is_written_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(ValueError, match="no"), commit_file(path) as temporary:
        temporary.write_bytes(b"half")
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []
    full = pytest.raises(OutputError, match=f"{path} can't be written: No space left on device.")
    with full, commit_file(path, tmp_path / "other") as temporary:
        assert temporary == tmp_path / "other"
        raise OSError(errno.ENOSPC, "words that name the temporary file")
    assert list(tmp_path.iterdir()) == []


def test_folders_are_made_with_those_above_them(tmp_path: Path) -> None:
    commit_folder(tmp_path / "a" / "b")
    write_file(tmp_path / "a" / "b" / "file", b"1")
    rename_folder(tmp_path / "a" / "b", tmp_path / "c", last="file")
    assert (tmp_path / "c" / "file").read_bytes() == b"1"
    with pytest.raises(OutputError, match="c can't be written: File exists"):
        commit_folder(tmp_path / "c")
    remove_file(tmp_path / "c" / "file")
    remove_file(tmp_path / "c" / "file")


def test_a_file_in_object_storage_appears_as_a_whole(memory: MemoryStore) -> None:
    path = to_path("memory://posts/folder/file")
    with commit_file(path) as temporary:
        assert temporary.name == "file" and not temporary.name.endswith(TEMPORARY)
        temporary.write_bytes(b"new")
        assert memory.list_keys() == []
    assert memory.read(str(path)) == b"new"
    remove_file(path)
    assert memory.list_keys() == []


def test_an_error_says_whether_something_was_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"file can't be read: Input/output error\.$"), reading(tmp_path / "file"):
        raise OSError(errno.EIO, "no")
    with pytest.raises(OutputError, match=r"file can't be written: no\.$"), writing(tmp_path / "file"):
        raise OSError("no")
