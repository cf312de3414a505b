from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentimm import images
from sentimm.errors import ImageError
from sentimm.image_kinds import HEAD_BYTES, describe_kind, is_avif, is_heic
from sentimm.images import read_image
from sentimm.storage import RemoteFile, read_bytes, to_path
from tests.support.stores.file_systems import MemoryStore

FAILED = ": the download failed"
BOX = b"\0\0\0\x18ftyp%b\0\0\0\0mif1%b" + bytes(200)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", f"is empty{FAILED}"),
        (b"<!doctype html><title>404</title>", f"is a web page{FAILED}"),
        (b"\xef\xbb\xbf\r\n<!-- saved --><HTML lang=en>", f"is a web page{FAILED}"),
        ("<html><body>nicht gefunden \xfc".encode("utf-16"), f"is a web page{FAILED}"),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "is an SVG drawing, which is not read: convert it to PNG",
        ),
        (b"<?xml version='1.0'?>\n<!-- by hand -->\n<!DOCTYPE svg PUBLIC 'x'>\n<svg:svg>", "is an SVG drawing"),
        (b"<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code></Error>", "is an XML document, such as a server's"),
        (b'{"errors": [{"code": 88}]}', f"is JSON, such as a server's error{FAILED}"),
        (b'[{"code": 88}]', f"is JSON, such as a server's error{FAILED}"),
        (b"URL signature expired", f"is text ('URL signature expired'){FAILED}"),
        (b"error " * 50, "is text ('error error"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n", "is a Git LFS pointer, not the image"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "is a video, and only still images are read"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "is a video"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "is a video"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0webm", "is a video"),
        (b"RIFF\0\0\0\0AVI LIST", "is a video"),
        (b"%PDF-1.7\n%\xe2\xe3", "is a PDF document, not an image"),
    ],
)
def test_a_reason_says_what_a_file_is(data: bytes, reason: str) -> None:
    assert str(describe_kind(data)).startswith(reason)


@pytest.mark.parametrize("data", [bytes(20), b"\xff\xd8\xff\xe0\0\x10JFIF", b"caf\xe9 \xe9t\xe9", b" \n"])
def test_of_other_bytes_nothing_is_said(data: bytes) -> None:
    assert describe_kind(data) is None


@pytest.mark.parametrize(
    ("brand", "other", "kinds"),
    [
        (b"heic", b"heic", (True, False)),
        (b"mif1", b"heic", (True, False)),
        (b"mif1", b"miaf", (True, False)),
        (b"avif", b"miaf", (False, True)),
        (b"mif1", b"avif", (False, True)),
    ],
)
def test_photos_of_phones_are_told_by_their_brands(brand: bytes, other: bytes, kinds: tuple[bool, bool]) -> None:
    data = BOX % (brand, other)
    assert (is_heic(data), is_avif(data)) == kinds
    assert describe_kind(data) is None


@given(st.binary(max_size=64), st.sampled_from([b"", b"\0\0\0\x18ftyp", b"<", b"<!--", b"{", b"\xff\xfe", b"RIFF"]))
def test_any_bytes_are_described_or_not(data: bytes, begin: bytes) -> None:
    kind = describe_kind(begin + data)
    assert kind is None or kind.isprintable()


def test_a_video_in_object_storage_is_told_by_its_first_bytes(
    memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (to_path(memory.url) / "15.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(1 << 20))
    lengths = []

    def read(image: RemoteFile, most: int) -> bytes:
        lengths.append(most)
        return read_bytes(image, most)

    monkeypatch.setattr(images, "read_bytes", read)
    with pytest.raises(ImageError, match="is a video"):
        read_image(RemoteFile(f"{memory.url}/15.mp4"))
    assert lengths == [HEAD_BYTES]
