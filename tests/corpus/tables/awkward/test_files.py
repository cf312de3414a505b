"""Files that are none, and names that can't be used: one sentence says what is wrong."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from sentimm.errors import InputError, TableError
from tests.support.posts.reading import write
from tests.support.posts.scored_tables import OK, Score, fail


def _bind_socket(path: Path) -> None:
    os.chdir(path.parent)
    socket.socket(socket.AF_UNIX).bind(path.name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "is not a regular file"),
        (_bind_socket, "is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
        (lambda path: path.symlink_to("/dev/null"), "is not a regular file"),
        (lambda path: (os.mkfifo(path.with_name("pipe")), path.symlink_to("pipe")), "is not a regular file"),
        (os.mkdir, "holds no images and no .txt files"),
        (lambda path: path.symlink_to("gone"), "is not there"),
        (lambda path: path.symlink_to(path.name), "can't be read: Too many levels of symbolic links"),
    ],
    ids=["fifo", "socket", "zero", "null", "link to a fifo", "folder", "dangling", "circle"],
)
@pytest.mark.parametrize("name", ["posts.csv", "posts.ndjson", "posts.parquet"])
@pytest.mark.filterwarnings("ignore:unclosed")
def test_what_is_no_file_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object], message: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name)
    assert message in fail(InputError, tmp_path / name)


def test_names_that_cannot_be_looked_up_are_one_sentence(tmp_path: Path) -> None:
    assert "File name too long" in fail(InputError, tmp_path / ("x" * 300 + ".csv"))
    assert "No file matches" in fail(InputError, tmp_path / ("x" * 300 + "*.csv"))
    write(tmp_path / "posts.csv", "text\na\n")
    assert "is not there" in fail(InputError, tmp_path / "posts.csv" / "more.csv")


def test_names_that_are_no_utf8_are_one_sentence(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    write(folder / "posts.csv", "text\na\n")
    for name in (folder / "posts.csv", folder, tmp_path / "*" / "posts.csv"):
        assert "is not valid UTF-8" in fail(InputError, name)
    path = write(tmp_path / "posts.csv", "text\na\n")
    assert "is not valid UTF-8" in fail(InputError, path, images=folder)


def test_a_folder_of_what_is_no_file_has_no_posts_of_it(tmp_path: Path, score: Score) -> None:
    folder = tmp_path / "posts"
    folder.mkdir()
    for name in ("a.txt", "a.jpg"):
        os.mkfifo(folder / name)
    for name, target in {"b.txt": "/dev/zero", "c.png": "/dev/zero", "d.txt": "gone", "e.txt": "e.txt"}.items():
        (folder / name).symlink_to(target)
    (folder / "f.txt").mkdir()
    names = [b"g.txt", b"new\nline.txt", b"\x1b[31m.txt", b"\xff.txt", "\u202e.txt".encode()]
    for name in names:
        with open(os.fsencode(folder) + b"/" + name, "wb") as file:  # noqa: PTH123 (bytes)
            file.write(b"good")
    found = score(folder)
    assert found.statuses == [OK] * len(names)
    assert sorted(found.frame["id"]) == sorted(["g", "new\nline", "\x1b[31m", "?", "\u202e"])


def test_a_format_under_the_suffix_of_another_is_named(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pl.DataFrame({"text": ["a"]}).write_parquet(buffer)
    assert "is a Parquet file, not CSV" in fail(TableError, write(tmp_path / "posts.csv", buffer.getvalue()))
