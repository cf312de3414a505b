from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from shutil import which

import pytest

from sentimm.corpus import MISSING, expand_inputs
from sentimm.corpus.tables import folder_posts as folders
from sentimm.errors import InputError
from tests.support.posts.reading import read_all, read_chunks, survey, write


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """A folder in the layout of MVSA, and what else lies about in folders."""
    folder = tmp_path / "posts"
    (folder / "sub").mkdir(parents=True)
    for name in ("1.jpg", "2.PNG", "10.jpg", "b.jpg", "b.png", "._1.jpg", "notes.md", "sub/x.jpg"):
        write(folder / name, "image")
    for name, text in (("1.txt", "one\r\n"), ("2.TXT", "two"), ("alone.txt", "text only"), ("b.txt", b"\xff\xfeb\0")):
        write(folder / name, text)
    return folder


def test_every_image_is_a_post_with_the_text_of_its_stem(posts: Path) -> None:
    chunk = read_all(posts)
    assert chunk.frame.rows() == [
        ("1", "one\r\n", "1.jpg"),
        ("10", None, "10.jpg"),
        ("2", "two", "2.PNG"),
        ("alone", "text only", None),
        ("b", "b", "b.jpg"),
        ("b", "b", "b.png"),
    ]
    assert chunk.frame.columns == ["id", "text", "image"]
    assert chunk.images == [posts / "1.jpg", posts / "10.jpg", posts / "2.PNG", None, posts / "b.jpg", posts / "b.png"]
    assert chunk.texts.to_list() == chunk.frame["text"].to_list()


def test_a_table_beside_a_folder_of_images_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    (tmp_path / "tweets.csv").write_text("text\ngood\n")
    with pytest.raises(InputError, match=rf"pass {tmp_path / 'tweets.csv'} with --images {tmp_path / 'photos'}, or"):
        expand_inputs([str(tmp_path)])
    with pytest.raises(InputError, match="An INPUT is empty"):
        expand_inputs([""])


def test_the_survey_counts_what_is_there(posts: Path) -> None:
    found = survey(posts)
    assert (found.rows, found.texts, found.images_named, found.images_found) == (6, 5, 5, 5)
    assert found.repeated_texts == 1
    assert found.sources[0].format == "folder"
    assert found.notes == (
        f"{posts} has 1 sub-folder, which is not read.",
        f"{posts} has 1 other file, which is not read: notes.md.",
    )


def test_one_modality_may_be_left_out(posts: Path) -> None:
    assert read_all(posts, only="text").images == [None] * 6
    assert read_all(posts, only="image").texts.to_list() == [None] * 6
    assert len([image for image in read_all(posts, only="image").images if image]) == 5


@pytest.mark.parametrize("start", range(7))
def test_a_reader_can_start_anywhere(posts: Path, monkeypatch: pytest.MonkeyPatch, start: int) -> None:
    monkeypatch.setattr(folders, "BLOCK_ROWS", 2)
    ids = [each for chunk in read_chunks(posts, rows=3, start=start) for each in chunk.frame["id"]]
    assert ids == ["1", "10", "2", "alone", "b", "b"][start:]


def test_only_regular_files_inside_the_folder_are_read(posts: Path, tmp_path: Path) -> None:
    write(tmp_path / "secret.txt", "secret")
    write(tmp_path / "secret.jpg", "secret")
    (posts / "1.txt").unlink()
    (posts / "1.txt").symlink_to(tmp_path / "secret.txt")
    (posts / "1.jpg").unlink()
    (posts / "1.jpg").symlink_to(tmp_path / "secret.jpg")
    os.mkfifo(posts / "pipe.jpg")
    os.mkfifo(posts / "pipe.txt")
    chunk = read_all(posts)
    assert chunk.frame.row(0) == ("1", None, "1.jpg")
    assert chunk.images[0] is MISSING
    assert "pipe" not in chunk.frame["id"]


def test_a_text_that_is_far_too_long_is_unreadable(posts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MAX_RECORD_BYTES", 100)
    write(posts / "10.txt", "x" * 101)
    chunk = read_all(posts)
    assert chunk.unreadable.tolist() == [False, True, False, False, False, False]
    assert chunk.frame.row(1) == (None, None, None)
    assert "too long" in chunk.problems[0].reason


def test_a_folder_and_a_table_are_read_together(posts: Path, tmp_path: Path) -> None:
    table = write(tmp_path / "posts.csv", "id,text,image\n7,hello,1.jpg\n")
    chunk = read_all(posts, table)
    assert chunk.images[-1] is None
    assert chunk.frame.row(-1) == ("7", "hello", "1.jpg", str(table), 0)
    assert read_all(posts, table, images=posts / "sub", allow_missing=True).images[-1] is MISSING


def test_a_folder_without_posts_is_a_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    (folder / "general").mkdir(parents=True)
    for name, advice in (
        ("notes.docx", f"a folder in it that holds posts, such as {folder / 'general'}."),
        ("posts.csv", f"the tables in it that hold posts, such as {folder / 'posts.csv'}."),
    ):
        write(folder / name, "text\ngood\n")
        with pytest.raises(InputError) as raised:
            survey(folder)
        assert str(raised.value) == f"The folder {folder} holds no images and no .txt files: name {advice}"
    assert read_all(folder / "posts.csv").texts.to_list() == ["good"]
    with pytest.raises(InputError, match=r"name a folder of posts, or a table\.$"):
        survey(folder / "general")


def test_numbered_images_belong_to_the_text_that_has_no_image_of_its_own(tmp_path: Path) -> None:
    for name in ("a_1.jpg", "a_10.jpg", "a_2.jpg", "b_1.jpg", "c.jpg", "c_1.jpg", "d_1.jpg"):
        (tmp_path / name).touch()
    for name in ("a", "b_1", "c", "d"):
        (tmp_path / f"{name}.txt").write_text(name)
    chunk = read_all(tmp_path)
    assert chunk.frame.rows() == [
        ("a", "a", '["a_1.jpg", "a_2.jpg", "a_10.jpg"]'),
        ("b_1", "b_1", "b_1.jpg"),
        ("c", "c", "c.jpg"),
        ("c_1", None, "c_1.jpg"),
        ("d", "d", "d_1.jpg"),
    ]
    assert chunk.images[0] == tuple(tmp_path / name for name in ("a_1.jpg", "a_2.jpg", "a_10.jpg"))


@pytest.mark.skipif(which("jq") is None, reason="needs jq")
def test_texts_that_a_downloader_wrote_beside_the_images_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As gallery-dl does with --write-metadata; what is advised is done."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my images"
    folder.mkdir()
    for number, text in enumerate(["good", "bad"], start=1):
        write(folder / f"160{number}_1.jpg", "an image")
        post = {"tweet_id": int(f"160{number}"), "content": text, "filename": f"F{number}x", "author": {"name": "ann"}}
        write(folder / f"160{number}_1.jpg.json", json.dumps(post, indent=4))
    (note,) = (note for note in survey(folder).notes if "gallery-dl" in note)
    command, images = re.findall(r"`(.*)` makes a table, to be scored with --images (.*)\.", note)[0]
    subprocess.run(command, shell=True, check=True)
    found = survey(tmp_path / "posts.jsonl", images=Path(*shlex.split(images)))
    assert (found.texts, found.images_found) == (2, 2)
    assert read_all(tmp_path / "posts.jsonl").texts.to_list() == ["good", "bad"]
