"""Images of the folder that belong to no post: the survey counts them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sentimm.corpus import CorpusReader, survey_corpus
from sentimm.corpus.images.image_lookup import ImageFolder
from sentimm.options import CorpusOptions
from sentimm.storage import to_path
from tests.support.commands import run
from tests.support.posts.reading import survey, write
from tests.support.posts.tables import FORMATS, write_table
from tests.support.stores.file_systems import MemoryStore


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg", "c.jpg", "15_1.jpg", "15_2.jpg", "sub/d.jpg", "sub/e.jpg", "._a.jpg", "a.json"):
        write(folder / name, "image")
    return folder


@FORMATS
@pytest.mark.parametrize(
    ("cells", "strays", "first"),
    [
        (["a.jpg", "b.jpg", "gone.jpg"], 3, "15_1.jpg"),
        (["A.JPG", "b", "media/c.jpg"], 2, "15_1.jpg"),
        (["a.jpg|b.jpg", "c.jpg", "15_1.jpg;15_2.jpg"], 0, ""),
        (["sub/d.jpg", "a.jpg", "b.jpg"], 4, "15_1.jpg"),
    ],
)
def test_images_that_no_post_names_are_counted(
    tmp_path: Path, images: Path, suffix: str, cells: list[str], strays: int, first: str
) -> None:
    path = write_table(tmp_path, suffix, {"text": ["x"] * 3, "image": cells})
    found = survey(path, images=images)
    assert found.stray_images == found.to_json()["stray_images"] == strays
    note = f"{strays} images in {images} belong to no post; the first: {first}."
    assert [each for each in found.notes if "belong" in each] == ([note] if strays else [])


@FORMATS
def test_images_that_no_id_finds_are_counted(tmp_path: Path, images: Path, suffix: str) -> None:
    path = write_table(tmp_path, suffix, {"text": ["x", "y"], "id": ["15", "a"]})
    found = survey(path, images=images)
    assert (found.images_found, found.several_images, found.stray_images) == (2, 1, 2)
    (images / "b.jpg").unlink()
    assert f"1 image in {images} belongs to no post: c.jpg." in survey(path, images=images).notes


def test_several_tables_share_the_images(tmp_path: Path, images: Path) -> None:
    tables = [write(tmp_path / f"{name}.csv", f"text,image\nx,{name}.jpg\n") for name in "ab"]
    assert survey(*tables, images=images).stray_images == 3


def test_nothing_is_counted_where_posts_or_images_are_left_out(tmp_path: Path, images: Path) -> None:
    path = write(tmp_path / "posts.csv", "text,image\nx,a.jpg\ny,b.jpg\n")
    for options in ({"limit": 1}, {"limit": 2}, {"only": "text"}):
        found = survey(path, images=images, **options)
        assert (found.stray_images, found.notes) == (0, ())
    assert survey(path, images=images, limit=3).stray_images == 3
    assert survey(images).stray_images == 0


def test_images_in_object_storage_are_counted_without_another_listing(
    tmp_path: Path, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (to_path(memory.url) / "images" / name).write_bytes(b"image")
    path = write(tmp_path / "posts.csv", "text,image\nx,a.jpg\ny,b.jpg\n")
    listed = []
    original = ImageFolder._find
    monkeypatch.setattr(ImageFolder, "_find", lambda self, *names: listed.append(names) or original(self, *names))
    found = survey(path, images=to_path(f"{memory.url}/images"))
    assert (found.stray_images, listed) == (1, [])


def test_reading_counts_nothing(tmp_path: Path, images: Path) -> None:
    path = write(tmp_path / "posts.csv", "text,image\nx,a.jpg\ny,sub/d.jpg\n")
    options = CorpusOptions(images=images)
    folder = ImageFolder(images)
    assert CorpusReader(survey_corpus([str(path)], options), options, images=folder).read(2) is not None
    assert folder.strays is None


def test_the_command_says_so(tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "posts.csv", "text,image\nx,a.jpg\ny,b.jpg\n")
    done = run(capsys, "score", path, "--images", images, "--dry-run", "--json")
    assert json.loads(done.out)["stray_images"] == 3
