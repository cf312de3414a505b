from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from sentimm.errors import DecoderError
from sentimm.images import decode_image
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job import run_job
from sentimm.scoring.pipeline import decoder_pool as decoders
from sentimm.scoring.pipeline.decoder import Decoder, DecoderLimits
from sentimm.scoring.pipeline.decoder_pool import DecoderPool
from tests.support import bad_decoder
from tests.support.posts import corpora

pytestmark = [pytest.mark.isolated, pytest.mark.skipif(os.name == "nt", reason="Windows has no decoder processes")]

SIZE = 16
DIES = {"crash": "SIGSEGV", "abort": "SIGABRT", "exit": "exit code 3"}


@pytest.fixture
def bad(monkeypatch):
    """Decoders that hostile files can hurt, and that are not waited for long."""
    monkeypatch.setattr(decoders, "LIMITS", DecoderLimits(seconds=1, memory=1 << 30, code=bad_decoder.CODE))


def make_file(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (shade, 90, 200)).save(file, "PNG")
    return file.getvalue()


def check(decoder: Decoder, *contents: bytes) -> None:
    np.testing.assert_array_equal(decoder.pixels, [decode_image(content, SIZE) for content in contents])


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(holds, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_pixels_and_reasons_are_those_of_decoding_here():
    good = [make_file(shade) for shade in (0, 100, 200)]
    files = [good[0], b"", good[1], good[2][:-30], b"\x1b[2J"]
    with DecoderPool(SIZE, 8) as pool, pool.borrow() as decoder:
        errors = decoder.decode(files)
        assert [None if error is None else str(error) for error in errors] == [
            None,
            "is empty: the download failed",
            None,
            "can't be decoded: image file is truncated",
            "is not an image in a format that can be read",
        ]
        check(decoder, good[0], good[1])
        assert decoder.decode([good[2]]) == [None]
        check(decoder, *good)


def test_a_decoder_is_lent_again_with_its_process():
    with DecoderPool(SIZE, 1) as pool:
        with pool.borrow() as first, pool.borrow() as second:
            assert first is not second
            first.decode([make_file(1)])
            pid = first.start().pid
        with pool.borrow() as again:
            assert again in (first, second) and again.decoded == 0
            assert first.start().pid == pid
    assert not is_running(pid)


@pytest.mark.slow
@pytest.mark.parametrize("fault", DIES)
def test_a_file_that_kills_its_decoder_is_unreadable_and_the_others_are_not(bad, fault):
    good = [make_file(0), make_file(200)]
    with DecoderPool(SIZE, 8) as pool, pool.borrow() as decoder:
        errors = decoder.decode([good[0], fault.encode(), good[1]])
        assert [error is None for error in errors] == [True, False, True]
        assert str(errors[1]) == f"can't be decoded: its decoder died ({DIES[fault]})"
        check(decoder, *good)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [b"hang", b"sleep"])
def test_a_file_that_takes_too_long_is_unreadable(bad, fault):
    with DecoderPool(SIZE, 8) as pool, pool.borrow() as decoder:
        errors = decoder.decode([make_file(0), fault])
        assert str(errors[1]) == "takes more than 1 seconds to decode"
        check(decoder, make_file(0))


def test_a_file_that_takes_too_much_memory_is_unreadable(bad, monkeypatch):
    monkeypatch.setattr(decoders, "LIMITS", replace(decoders.LIMITS, seconds=60))
    with DecoderPool(SIZE, 8) as pool, pool.borrow() as decoder:
        pid = decoder.start().pid
        errors = decoder.decode([b"eat", make_file(0)])
        assert str(errors[0]) == "takes too much memory to decode"
        check(decoder, make_file(0))
        assert decoder.start().pid == pid


def test_what_a_decoder_prints_goes_nowhere(bad, capfd):
    with DecoderPool(SIZE, 8) as pool, pool.borrow() as decoder:
        assert len(decoder.decode([b"chatter"])) == 1
    assert capfd.readouterr() == ("", "")


def test_a_process_that_something_else_kills_costs_no_image():
    with DecoderPool(SIZE, 2) as pool, pool.borrow() as decoder:
        for shade in (0, 200):
            os.kill(decoder.start().pid, signal.SIGKILL)
            assert decoder.decode([make_file(shade)]) == [None]
        check(decoder, make_file(0), make_file(200))


def test_a_decoder_that_hangs_is_not_waited_for_at_the_end():
    failures = []
    pool = DecoderPool(SIZE, 1, limits=DecoderLimits(seconds=600, code=bad_decoder.CODE))

    def decode() -> None:
        try:
            with pool.borrow() as decoder:
                decoder.decode([b"sleep"])
        except DecoderError as error:
            failures.append(str(error))

    thread = threading.Thread(target=decode)
    thread.start()
    wait_until(lambda: any(decoder.largest for decoder in pool.busy))
    pool.close()
    thread.join(10)
    assert failures == ["The scorer was closed: it decodes no more images."]
    with pytest.raises(DecoderError), pool.borrow():
        pass


def test_a_decoder_ends_with_the_process_that_it_works_for(tmp_path):
    """Also where it hangs."""
    owner = subprocess.Popen([sys.executable, "-m", "tests.support.bad_decoder"], stdout=subprocess.PIPE)
    with owner:
        pid = int(owner.stdout.readline())
        assert is_running(pid)
        owner.kill()
    wait_until(lambda: not is_running(pid))


def test_interrupting_a_terminal_does_not_end_decoders():
    with DecoderPool(SIZE, 1) as pool, pool.borrow() as decoder:
        pid = decoder.start().pid
        os.kill(pid, signal.SIGINT)
        decoder.decode([make_file(0)])
        assert decoder.start().pid == pid


def test_a_process_that_cannot_be_started_is_one_sentence(monkeypatch):
    for executable in ("/nowhere/python", "/bin/false"):
        monkeypatch.setattr(sys, "executable", executable)
        with (
            pytest.raises(DecoderError, match=r"process that decodes images can't be started \(.*\): .* --threads"),
            DecoderPool(SIZE, 1) as pool,
            pool.borrow() as decoder,
        ):
            decoder.decode([make_file(0)])


def test_modules_in_the_working_directory_are_not_imported(tmp_path, monkeypatch):
    for name in ("PIL", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w')")
    monkeypatch.chdir(tmp_path)
    with DecoderPool(SIZE, 1) as pool, pool.borrow() as decoder:
        assert decoder.decode([make_file(0)]) == [None]
    assert not (tmp_path / "imported").exists()


def test_memory_of_large_files_is_given_back():
    with DecoderPool(SIZE, 1, limits=DecoderLimits(kept_bytes=1000)) as pool:
        with pool.borrow() as decoder:
            decoder.decode([bytes(2000)])
        with pool.borrow() as other:
            assert other is not decoder
            assert decoder.is_closed


@pytest.mark.slow
def test_a_job_goes_on_over_files_that_kill_its_decoders(bad, tiny_bundle, tmp_path):
    images = corpora.make_images(tmp_path / "images")
    faults = ["crash", "abort", "exit", "hang", "eat"]
    for fault in faults:
        (images / f"{fault}.jpg").write_bytes(fault.encode())
    posts = corpora.make_posts(40)
    names = posts["image"].to_list()
    for place, fault in enumerate(faults):
        names[6 * place] = f"{fault}.jpg"
    posts = posts.with_columns(image=pl.Series(names))
    posts.write_csv(tmp_path / "posts.csv")
    output = tmp_path / "scored.parquet"
    options = ScoreOptions((str(tmp_path / "posts.csv"),), CorpusOptions(images), output, tiny_bundle, chunk_rows=16)
    done = run_job(options, lambda _event: None)
    statuses = [corpora.STATUSES[row % corpora.KINDS] for row in range(40)]
    statuses[0:30:6] = ["image_unreadable"] * 5
    scored = pl.read_parquet(output)
    assert scored["status"].to_list() == statuses
    assert scored.filter(pl.col("text").is_not_null())["sentiment"].null_count() == 0
    assert done.rows == 40
