"""Awkward images through whole jobs: each is a row with its status; none stops the job or leads out of its folder."""

from __future__ import annotations

import os
import subprocess
import sys

import polars as pl
import pytest

from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job import run_job
from tests.support.posts import awkward_images
from tests.support.posts.awkward_images import BAD, EITHER, GONE, GOOD

pytestmark = [pytest.mark.isolated, pytest.mark.skipif(os.name == "nt", reason="made of links and pipes")]


@pytest.mark.slow
def test_every_awkward_image_is_a_row_with_its_status(tiny_bundle, tmp_path):
    expected = awkward_images.make_folder(tmp_path / "images")
    posts = pl.DataFrame({"text": ["a good day"] * len(expected), "image": list(expected)})
    posts.write_csv(tmp_path / "posts.csv")
    options = ScoreOptions(
        (str(tmp_path / "posts.csv"),), CorpusOptions(tmp_path / "images"), tmp_path / "scored.parquet", tiny_bundle
    )
    done = run_job(options, lambda _event: None)
    scored = pl.read_parquet(tmp_path / "scored.parquet")
    assert scored["image"].to_list() == list(expected)
    assert scored["sentiment"].null_count() == 0
    found = dict(zip(expected, scored["status"].to_list(), strict=True))
    assert {name: status for name, status in found.items() if expected[name] != EITHER} == {
        name: status for name, status in expected.items() if status != EITHER
    }
    assert set(found.values()) == {GOOD, BAD, GONE}
    problems = pl.read_csv(done.problems, infer_schema=False)
    assert problems["row"].cast(pl.Int64).to_list() == [
        row for row, status in enumerate(found.values()) if status != GOOD
    ]
    assert problems["reason"].null_count() == 0


@pytest.mark.slow
def test_a_folder_of_awkward_images_is_scored_as_one(tiny_bundle, tmp_path):
    expected = awkward_images.make_folder(tmp_path / "images")
    options = ScoreOptions((str(tmp_path / "images"),), CorpusOptions(), tmp_path / "scored.parquet", tiny_bundle)
    run_job(options, lambda _event: None)
    scored = pl.read_parquet(tmp_path / "scored.parquet")
    found = dict(zip(scored["image"].to_list(), scored["status"].to_list(), strict=True))
    assert found["whole.png"] == GOOD and found["bomb.png"] == BAD
    for name in ("folder.jpg", "pipe.jpg", "socket.jpg", "zero.jpg", "out.jpg", "loop.jpg"):
        assert found.get(name, GONE) == GONE
    assert sum(status == GOOD for status in found.values()) >= sum(status == GOOD for status in expected.values()) / 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory as Linux tells it")
def test_bombs_take_bounded_memory(tmp_path):
    """The largest image that is allowed is decoded; what is larger, or unfolds to more, is not."""
    code = """
import io, resource, sys
from PIL import Image
from sentimm.scoring.pipeline import decoder_pool as decoders
from tests.support.posts import awkward_images

Image.MAX_IMAGE_PIXELS = None
with decoders.DecoderPool(32, 4) as pool, pool.borrow() as decoder:
    file = io.BytesIO()
    Image.new("RGBA", (10_900, 11_000), (200, 10, 10, 128)).save(file, "PNG", compress_level=1)
    files = [file.getvalue(), awkward_images.make_text_bomb()]
    del file
    files += [awkward_images.claim_size(name, 60_000) for name in ("PNG", "GIF", "JPEG", "BMP", "TIFF")]
    files += [awkward_images.claim_size(name, 10_000) for name in ("PNG", "GIF", "JPEG", "BMP", "TIFF")]
    files.append(awkward_images.add_metadata(awkward_images.encode("JPEG"), 200))
    for file in files:
        print(decoder.decode([file])[0])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *answers, megabytes = done.stdout.split("\n")[:-1]
    assert answers[0] == answers[-1] == "None"
    assert all("too many" in answer or "more than" in answer or "can't be" in answer for answer in answers[1:7])
    assert int(megabytes) < 4096
