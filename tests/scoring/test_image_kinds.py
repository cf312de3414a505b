"""Files in the place of images, through the command: by name and by id they are unreadable, and said what they are."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.support.commands import run
from tests.support.posts.awkward_images import encode
from tests.support.posts.tables import FORMATS, write_table

FILES = {
    "15.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing"),
    "16.html": (b"<!doctype html><title>404</title>", "is a web page: the download failed"),
    "17.mp4": (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "is a video"),
    "18.jpg": (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    "19.png": (b'{"error": 404}', "is JSON, such as a server's error"),
    "20.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), ""),
    "21.gif": (b"", "is empty: the download failed"),
    "1234567_2.webm": (b"\x1a\x45\xdf\xa3\x01\0\0\0webm", "is a video"),
}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, (content, _) in FILES.items():
        (folder / name).write_bytes(content)
    for name in ("1.jpg", "2.avif", "3.jfif", "4.jpg", "4.mp4"):
        (folder / name).write_bytes(encode("AVIF" if name.endswith("avif") else "JPEG"))
    for name in ("5.txt", "5.json"):
        (folder / name).write_text("text")
    return folder


def score(
    capsys: pytest.CaptureFixture[str], bundle: Path, path: Path, images: Path
) -> tuple[dict[str, str], list[str]]:
    """Score posts; return their statuses by id or image, and the reasons in the list of problems, in order."""
    output = path.with_name("scored.parquet")
    done = run(capsys, "score", path, "--images", images, "--model", bundle, "--output", output)
    assert done.code == 0, done.err
    scored = pl.read_parquet(output)
    key = "image" if "image" in scored.columns else "id"
    statuses = dict(zip(scored[key].cast(pl.String).to_list(), scored["status"].to_list(), strict=True))
    return statuses, pl.read_csv(f"{output}.problems.csv")["reason"].to_list()


@FORMATS
@pytest.mark.parametrize("column", ["id", "image"])
def test_what_is_no_image_is_unreadable_and_said(
    capsys: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path, images: Path, suffix: str, column: str
) -> None:
    good = ["1.jpg", "2.avif", "3.jfif", "4.jpg"]
    names = [*FILES, *good]
    values = names if column == "image" else [name.split(".")[0].removesuffix("_2") for name in names]
    path = write_table(tmp_path, suffix, {column: values, "text": ["a good day"] * len(values)})
    statuses, reasons = score(capsys, tiny_bundle, path, images)
    assert list(statuses.values()) == ["image_unreadable"] * len(FILES) + ["ok"] * len(good)
    assert len(reasons) == len(FILES)
    for reason, (_, expected) in zip(reasons, FILES.values(), strict=True):
        assert reason.startswith(expected)


def test_texts_and_tables_in_the_folder_are_no_images(
    capsys: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path, images: Path
) -> None:
    path = write_table(tmp_path, "csv", {"id": ["1", "5", "17"], "text": ["a", "b", "c"]})
    statuses, _ = score(capsys, tiny_bundle, path, images)
    assert statuses == {"1": "ok", "5": "ok", "17": "image_unreadable"}
    done = run(capsys, "score", path, "--images", images, "--dry-run")
    assert "For 1 post the folder has no image under the id in the column 'id'" in " ".join(done.out.split())


def test_a_photo_and_a_video_in_one_cell_are_two(
    capsys: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path, images: Path
) -> None:
    path = write_table(tmp_path, "csv", {"image": ["1.jpg|17.mp4"], "text": ["a good day"]})
    statuses, reasons = score(capsys, tiny_bundle, path, images)
    assert statuses == {"1.jpg|17.mp4": "ok"}
    assert reasons == ["is a video, and only still images are read"]
