from __future__ import annotations

import os
from pathlib import Path

import pytest

from sentimm.corpus import MISSING
from sentimm.corpus.images.id_index import split_suffix
from sentimm.corpus.images.image_lookup import ImageFolder
from sentimm.errors import InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of images with sub-folders, links and things that are no files; a secret lies beside it."""
    root = tmp_path / "images"
    (root / "sub" / "deep").mkdir(parents=True)
    for name in ("a.jpg", "b.PNG", "1.jpeg", "1.png", "2.WEBP", "3.txt", "sub/c.gif", "sub/deep/d.bmp", "x y é.jpg"):
        (root / name).write_bytes(b"x")
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.jpg").write_bytes(b"x")
    (root / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "in.jpg").symlink_to(root / "sub" / "c.gif")
    (root / "broken.jpg").symlink_to(root / "nowhere.jpg")
    (root / "loop.jpg").symlink_to(root / "loop.jpg")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "inner").symlink_to(root / "sub")
    (root / "folder.jpg").mkdir()
    os.mkfifo(root / "pipe.jpg")
    (root / "pipe_link.jpg").symlink_to(root / "pipe.jpg")
    return root


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.jpg", "a.jpg"),
        (" a.jpg ", "a.jpg"),
        ("./a.jpg", "a.jpg"),
        ("a.JPG", "a.jpg"),
        ("b.png", "b.PNG"),
        ("x y é.jpg", "x y é.jpg"),
        ("sub/c.gif", "sub/c.gif"),
        ("sub//c.gif", "sub/c.gif"),
        ("sub/deep/d.bmp", "sub/deep/d.bmp"),
        ("sub\\deep\\d.bmp", "sub/deep/d.bmp"),
        ("in.jpg", "in.jpg"),
        ("inner/c.gif", "inner/c.gif"),
    ],
)
def test_images_are_found_by_name(root: Path, name: str, found: str) -> None:
    assert ImageFolder(root).find_by_name(name) == root / found


@pytest.mark.parametrize(
    "name",
    [
        "no.jpg",
        "../secret.jpg",
        "sub/../a.jpg",
        "sub/../../secret.jpg",
        "..",
        ".",
        "/",
        "/etc/passwd",
        "out.jpg",
        "out/secret.jpg",
        "broken.jpg",
        "loop.jpg",
        "folder.jpg",
        "folder.jpg/x.jpg",
        "a.jpg/x.jpg",
        "pipe.jpg",
        "pipe_link.jpg",
        "sub",
        "sub/",
        "nowhere/x.jpg",
        "a.jpg\0",
        "a\0/a.jpg",
        "x" * 5000 + "/a.jpg",
        "file:///etc/passwd",
        "https://example.org/secret.jpg",
        "https://example.org/../a.jpg",
        "data:image/png;base64,AAAA",
    ],
)
def test_what_is_not_in_the_folder_is_missing(root: Path, name: str) -> None:
    assert ImageFolder(root).find_by_name(name) is MISSING


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("{root}/a.jpg", "a.jpg"),
        ("{root}/sub/c.gif", "sub/c.gif"),
        ("images/sub/deep/d.bmp", "sub/deep/d.bmp"),
        ("media/a.jpg", "a.jpg"),
        ("C:\\Users\\me\\a.jpg", "a.jpg"),
        ("\\\\server\\a.jpg", "a.jpg"),
        ("https://example.org/a.jpg", "a.jpg"),
        ("HTTP://example.org/media/a.jpg?width=640", "a.jpg"),
        ("//example.org/a.jpg#top", "a.jpg"),
        ("https://example.org/x%20y%20%C3%A9.jpg", "x y é.jpg"),
        ("a.jpg?width=640", "a.jpg"),
        ("A.jpg", "a.jpg"),
        ("a", "a.jpg"),
        ("a.jpeg", "a.jpg"),
        ("2.0", "2.WEBP"),
        ("2", "2.WEBP"),
    ],
)
def test_images_are_found_by_names_that_nearly_match(root: Path, name: str, found: str) -> None:
    folder = ImageFolder(root)
    name = name.replace("{root}", str(root))
    assert folder.find_by_name(name) == root / found
    assert (folder.count_by_name([name, "gone.jpg", "sub/c.gif"]), folder.near["names"]) == ((3, 2), 1)


@pytest.mark.parametrize("name", ["1", "1.bmp", "1.0", "x/1.gif", "gone", "{root}/../secret.jpg", "x/../images/a.jpg"])
def test_a_near_name_of_two_images_or_one_with_dots_finds_none(root: Path, name: str) -> None:
    assert ImageFolder(root).find_by_name(name.replace("{root}", str(root))) is MISSING


def test_ids_lose_and_gain_a_fraction(root: Path) -> None:
    (root / "7.0.jpg").write_bytes(b"x")
    folder = ImageFolder(root)
    assert (folder.find_by_id("2.0"), folder.find_by_id("7")) == (root / "2.WEBP", root / "7.0.jpg")
    assert (folder.count_by_id(["2.0", "7", "a"]), folder.near["ids"]) == ((3, 3, 0), 2)


@pytest.mark.parametrize("name", [None, "", "  "])
def test_no_name_is_no_image(root: Path, name: str | None) -> None:
    assert ImageFolder(root).find_by_name(name) is None


@pytest.mark.parametrize(
    ("post_id", "found"),
    [("a", "a.jpg"), ("b", "b.PNG"), ("1", "1.jpeg"), ("2", "2.WEBP"), ("in", "in.jpg"), ("x y é", "x y é.jpg")],
)
def test_images_are_found_by_id(root: Path, post_id: str, found: str) -> None:
    assert ImageFolder(root).find_by_id(post_id) == root / found


@pytest.mark.parametrize("post_id", [None, "", "3", "a.jpg", "../secret", "sub/c", "c", "folder", "pipe", "no"])
def test_an_id_without_an_image_is_a_post_without_an_image(root: Path, post_id: str | None) -> None:
    assert ImageFolder(root).find_by_id(post_id) is None


@pytest.mark.parametrize("post_id", ["out", "broken", "pipe_link"])
def test_an_id_whose_link_leads_nowhere_or_out_is_missing(root: Path, post_id: str) -> None:
    assert ImageFolder(root).find_by_id(post_id) is MISSING


def test_counting_finds_what_finding_finds(root: Path) -> None:
    names = ["a.jpg", " a.JPG ", "sub/c.gif", "no.jpg", "out.jpg", "in.jpg", "http://x.org/a.jpg", "", " ", None]
    assert ImageFolder(root).count_by_name(names) == (7, 5)
    assert ImageFolder(root).count_by_id(["a", " 1 ", "out", "in", "no", "", None]) == (4, 3, 0)


def test_the_folder_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    folder = ImageFolder(tmp_path / "link")
    assert folder.find_by_name("sub/c.gif") == tmp_path / "link" / "sub/c.gif"
    assert folder.find_by_name("in.jpg") == tmp_path / "link" / "in.jpg"


def test_each_folder_is_listed_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    folder = ImageFolder(root)
    for _ in range(3):
        for name in ("a.jpg", "no.jpg", "sub/c.gif", "sub/no.gif", "nowhere/x.jpg"):
            folder.find_by_name(name)
        folder.find_by_id("a")
    assert sorted(set(listed)) == sorted(listed)


def test_a_wrong_folder_is_a_clear_error(root: Path) -> None:
    with pytest.raises(InputError) as raised:
        ImageFolder(root / "nowhere")
    assert str(raised.value) == (
        f"The image folder {root / 'nowhere'} is not there: name the folder of the posts' images with --images."
    )
    assert raised.value.exit_code == 2
    with pytest.raises(InputError, match="is not a folder"):
        ImageFolder(root / "a.jpg")


@pytest.mark.parametrize(
    ("name", "parts"),
    [("a.JPG", ("a", ".jpg")), ("a.b.png", ("a.b", ".png")), (".jpg", (".jpg", "")), ("a", ("a", "")), ("", ("", ""))],
)
def test_suffixes(name: str, parts: tuple[str, str]) -> None:
    assert split_suffix(name) == parts
