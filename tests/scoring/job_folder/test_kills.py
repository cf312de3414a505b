from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import polars as pl
import pytest

from sentimm.scoring.output.problems import name_problems
from tests.support.failures import kills
from tests.support.posts import corpora
from tests.support.profile import IN_CI

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

ROWS = 4000


@pytest.fixture
def arguments(tiny_bundle, tmp_path):
    """A command that writes scored.parquet in some forty parts."""
    corpora.make_posts(ROWS).write_csv(tmp_path / "posts.csv")
    images = corpora.make_images(tmp_path / "images")
    return [
        *(str(tmp_path / "posts.csv"), "--images", str(images), "--model", str(tiny_bundle), "--chunk-rows", "100"),
        *("-o", str(tmp_path / "scored.parquet")),
    ]


@pytest.mark.slow
def test_random_kills_lose_and_repeat_no_row(arguments, tmp_path):
    output, expected = tmp_path / "scored.parquet", tmp_path / "expected.parquet"
    seconds = kills.measure(arguments, output)
    output.rename(expected)
    problems = name_problems(output).read_text()
    chance, inside = random.Random(10), 0
    for _ in range(4 if IN_CI else 2):
        output.unlink(missing_ok=True)
        name_problems(output).unlink(missing_ok=True)
        inside += sum(kills.kill(arguments, output, chance, seconds / 2) for _ in range(2))
        kills.finish(arguments)
        assert kills.compare(output, expected) == (0, 0)
        assert name_problems(output).read_text() == problems
        assert not output.with_name("scored.parquet.job").exists()
    assert inside >= (3 if IN_CI else 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "everyone", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGTERM, False, 143)],
)
def test_a_signal_ends_a_job_that_can_be_gone_on_with(arguments, tmp_path, number, everyone, code):
    output = tmp_path / "scored.parquet"
    process = kills.start([*arguments, "--log-file", str(tmp_path / "log")])
    assert kills.wait_for_part(process, output, 0)
    began = time.monotonic()
    # As Ctrl-C in a terminal: the decoders hear of it too.
    os.killpg(process.pid, number) if everyone else process.send_signal(number)
    assert process.wait(10) == code
    assert time.monotonic() - began < 10
    assert 0 < len(kills.list_parts(output)) < ROWS / 100
    kills.finish(arguments)
    assert pl.read_parquet(output)["id"].to_list() == corpora.make_posts(ROWS)["id"].to_list()


def test_a_second_interrupt_ends_a_job_at_once():
    """Also where it does not come to the place at which the first one would be heard."""
    code = (
        "import time; from sentimm.cli.stopping import StopRequest; request = StopRequest(print).__enter__(); "
        "request(); print('ready', flush=True); time.sleep(60); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == -signal.SIGINT
