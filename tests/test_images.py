from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sentimm import images
from sentimm.errors import ImageError
from sentimm.images import decode_image, read_image

pillow_heif.register_heif_opener()


def encode(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def two_halves(mode: str = "RGB", size: tuple[int, int] = (200, 120)) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", size, (230, 20, 20))
    image.paste((20, 20, 230), (size[0] // 2, 0, *size))
    return image.convert(mode)


@pytest.mark.parametrize(
    ("file_format", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "CMYK"),
        ("PNG", "RGB"),
        ("PNG", "P"),
        ("PNG", "RGBA"),
        ("WEBP", "RGB"),
        ("GIF", "P"),
        ("BMP", "RGB"),
        ("TIFF", "RGB"),
        ("TIFF", "CMYK"),
        ("AVIF", "RGB"),
        ("AVIF", "RGBA"),
        ("HEIF", "RGB"),
    ],
)
def test_every_format_gives_the_same_picture(file_format: str, mode: str) -> None:
    pixels = decode_image(encode(two_halves(mode), file_format), 32)
    assert pixels.shape == (3, 32, 32)
    assert pixels.dtype == np.uint8
    left, right = pixels[:, 4:28, 4:12].mean(axis=(1, 2)), pixels[:, 4:28, 20:28].mean(axis=(1, 2))
    assert left[0] > 180 and left[2] < 70
    assert right[2] > 180 and right[0] < 70


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16"])
def test_greys_keep_their_brightness(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((40, 40), 200 * 257, dtype=np.uint16))
    else:
        image = Image.new("L", (40, 40), 255 if mode == "1" else 200).convert(mode)
    pixels = decode_image(encode(image, "PNG"), 16)
    expected = 255 if mode == "1" else 200
    assert np.abs(pixels.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_transparency_is_laid_on_white(file_format: str) -> None:
    pixels = decode_image(encode(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), file_format), 8)
    assert (pixels >= 254).all()


def test_a_transparent_palette_is_laid_on_white() -> None:
    image = Image.new("P", (20, 20), 0)
    image.putpalette([0, 0, 0] * 256)
    assert (decode_image(encode(image, "GIF", transparency=0), 8) >= 254).all()


@pytest.mark.parametrize("file_format", ["JPEG", "AVIF", "HEIF"])
def test_exif_orientation_is_applied(file_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: what is stored as left is the top
    pixels = decode_image(encode(two_halves(), file_format, exif=exif.tobytes()), 32)
    assert pixels[0, 4:12].mean() > 180
    assert pixels[2, 20:28].mean() > 180


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    pixels = decode_image(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), 8)
    assert pixels[0].min() > 200 and pixels[2].max() < 60


def test_a_large_jpeg_decoded_at_reduced_scale_is_close_to_the_full_one() -> None:
    rng = np.random.default_rng(0)
    base = Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)).resize(
        (1600, 1200), Image.Resampling.BICUBIC
    )
    full = np.asarray(base.resize((64, 64), Image.Resampling.BILINEAR), dtype=int)
    pixels = decode_image(encode(base, "JPEG", quality=95), 64)
    assert np.abs(pixels.transpose(1, 2, 0).astype(int) - full).mean() < 4


@pytest.mark.parametrize("size", [(300, 200), (2000, 1501), (1345, 40), (224, 224), (7, 5)])
def test_pictures_are_resized_as_by_pillow_to_a_grey_level(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), "BMP")
    found = [decode_image(data, side).astype(int) for side in (32, 224)]
    monkeypatch.setattr(images, "resizer", None)
    for pixels in found:
        assert np.abs(pixels - decode_image(data, pixels.shape[1])).max() <= 1


def test_one_pixel_is_an_image() -> None:
    assert decode_image(encode(Image.new("RGB", (1, 1), "red"), "PNG"), 8).shape == (3, 8, 8)


def test_a_path_is_read(tmp_path: Path) -> None:
    file = tmp_path / "name.without.meaning"
    file.write_bytes(encode(two_halves(), "PNG"))
    assert decode_image(file, 8).shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (bytes(100), "not an image in a format"),
        (encode(two_halves(), "PNG")[:60], "can't be decoded"),
        (encode(two_halves(), "JPEG")[:400], "can't be decoded"),
        (encode(two_halves(), "ICO"), "is an icon"),
    ],
)
def test_what_is_no_image_is_an_image_error(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        decode_image(data, 16)


def test_a_heic_photo_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = encode(two_halves(), "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"^is a HEIC photo: pip install 'sentimm\[heic\]'$"):
        decode_image(photo, 16)


def test_importing_images_imports_no_decoder_of_heic() -> None:
    code = "import sys, sentimm.images; print('pillow_heif' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.slow
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_of_200_megapixels_is_read_and_a_larger_one_is_not(progressive: bool) -> None:
    photo = bytearray(encode(Image.new("L", (16_320, 12_240), 200), "JPEG", progressive=progressive))
    assert np.abs(decode_image(bytes(photo), 16).astype(int) - 200).max() <= 2
    frame = photo.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    photo[frame + 5 : frame + 9] = struct.pack(">HH", 16_320, 16_320)
    with pytest.raises(ImageError, match="has 16320 x 16320 pixels, more than the 250 million allowed"):
        decode_image(bytes(photo), 16)


def test_what_a_large_file_is_goes_before_its_size(tmp_path: Path) -> None:
    for name, content in (("15.mp4", b"\0\0\0\x18ftypisom"), ("15.jpg", encode(two_halves(), "JPEG"))):
        with (tmp_path / name).open("wb") as file:
            file.write(content)
            file.truncate(400 << 20)  # mostly a hole: it takes no room
    with pytest.raises(ImageError, match="is a video"):
        read_image(tmp_path / "15.mp4")
    with pytest.raises(ImageError, match="has 419 MB, more than the 268 MB allowed"):
        read_image(tmp_path / "15.jpg")


def test_a_missing_file_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        decode_image(tmp_path / "gone.jpg", 16)


def test_a_decompression_bomb_is_an_image_error() -> None:
    png = bytearray(encode(Image.new("1", (1, 1)), "PNG"))
    header = png.index(b"IHDR")
    png[header + 4 : header + 12] = struct.pack(">II", 60_000, 60_000)
    png[header + 17 : header + 21] = struct.pack(">I", zlib.crc32(png[header : header + 17]))
    with pytest.raises(ImageError, match="pixels"):
        decode_image(bytes(png), 16)


@given(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"]), st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_decode_or_are_an_image_error(file_format: str, data: st.DataObject) -> None:
    content = bytearray(encode(two_halves(size=(40, 30)), file_format))
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[position] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        assert decode_image(bytes(content), 16).shape == (3, 16, 16)
    except ImageError as error:
        assert str(error)
