"""Images whose names nearly match: they are found, and the survey says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sentimm.corpus import MISSING
from sentimm.storage import to_path
from tests.support.commands import fail, run
from tests.support.posts.reading import read_all, survey, write
from tests.support.posts.tables import FORMATS, write_table
from tests.support.stores.file_systems import MemoryStore


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("cat.jpg", "101.png"):
        write(folder / name, "image")
    return folder


@FORMATS
def test_names_that_nearly_match_are_found_counted_and_said(tmp_path: Path, images: Path, suffix: str) -> None:
    names = [str(images / "cat.jpg"), "cat.jpg?width=640", "images/CAT.JPG", "cat.jpg", "dog.jpg", "101.0"]
    path = write_table(tmp_path, suffix, {"text": ["a"] * 6, "image": names})
    found = survey(path, images=images)
    assert (found.images_named, found.images_found) == (6, 5)
    assert found.notes[0].startswith("4 images are found by the last part of a path or URL in the column 'image'")
    chunk = read_all(path, images=images)
    assert chunk.images == [images / "cat.jpg"] * 4 + [MISSING, images / "101.png"]


CELLS = [
    "{root}/cat.jpg",
    "cat",
    "cat.jpeg",
    "CAT.JPG",
    "cat.jpg?width=640",
    "images/cat.jpg",
    "Images\\cat.jpg",
    "C:\\photos\\cat.jpg",
    "file:///home/ana/images/cat.jpg",
    "https://example.org/media/cat.jpg",
    "https://example.org/media/cat.jpg:large",
    "https://example.org/media/cat?format=jpg&name=large",
]


@pytest.fixture(params=["local", "object storage"])
def root(request: pytest.FixtureRequest, images: Path, memory: MemoryStore) -> Path:
    """The images, here or in object storage."""
    if request.param == "local":
        return images
    root = to_path(f"{memory.url}/images")
    for path in images.iterdir():
        (root / path.name).write_bytes(path.read_bytes())
    return root


@FORMATS
def test_each_near_name_is_found_here_and_in_object_storage(tmp_path: Path, root: Path, suffix: str) -> None:
    cells = [cell.replace("{root}", str(root)) for cell in CELLS]
    path = write_table(tmp_path, suffix, {"text": ["a"] * len(cells), "image": cells})
    found = survey(path, images=root)
    assert (found.images_named, found.images_found, found.stray_images) == (len(cells), len(cells), 1)
    assert found.notes[0].startswith(f"{len(cells)} images are found by the last part of a path or URL")
    images = read_all(path, images=root).images
    assert [str(image) for image in images] == [f"{root}/cat.jpg"] * len(cells)


@pytest.mark.slow
@FORMATS
@pytest.mark.parametrize("column", ["id", "image"])
def test_numbers_that_a_spreadsheet_changed_are_found_or_named(
    tmp_path: Path, root: Path, suffix: str, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_table(tmp_path, suffix, {column: ["101.0", "101", "1.59E+18"], "text": ["a", "b", "c"]})
    done = run(capsys, "score", path, "--images", root, "--dry-run", "--json")
    found = json.loads(done.out)
    assert (done.code, found["images_found"]) == (0, 2)
    assert any(note.startswith(f"A spreadsheet rounded 1 id in the column {column!r}") for note in found["notes"])
    write_table(tmp_path, suffix, {column: ["1.59E+18", "1.6E+18"], "text": ["a", "b"]})
    code, message = fail(capsys, "score", path, "--images", root)
    assert code == 2 and f"a spreadsheet rounded the ids in the column {column!r} (such as 1.59E+18)" in message


@FORMATS
def test_paths_that_find_one_image_are_warned_of(tmp_path: Path, images: Path, suffix: str) -> None:
    path = write_table(tmp_path, suffix, {"text": ["a", "b"], "image": ["2020/cat.jpg", "2021/cat.jpg"]})
    assert "Different paths in the column 'image' find one image" in survey(path, images=images).notes[1]


@FORMATS
def test_ids_lose_their_fraction_and_rounded_ones_are_named(tmp_path: Path, images: Path, suffix: str) -> None:
    path = write_table(tmp_path, suffix, {"id": ["101.0", "1.59E+18"], "text": ["a", "b"]})
    assert survey(path, images=images).notes == (
        "1 image is found by an id in the column 'id' that lost or gained a .0.",
        "A spreadsheet rounded 1 id in the column 'id' (such as 1.59E+18), which find no image: export the table again "
        "with that column as text.",
        f"1 image in {images} belongs to no post: cat.jpg.",
    )
    assert read_all(path, images=images).images == [images / "101.png", None]


def test_exact_names_have_no_note(tmp_path: Path, images: Path) -> None:
    path = write(tmp_path / "posts.csv", "text,image\na,cat.jpg\nb,101.png\n")
    assert survey(path, images=images).notes == ()
