from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sentimm.events import PartCommitted
from sentimm.options import ScoreOptions
from sentimm.scoring.job import run_job
from tests.support import corpora
from tests.support.commands import run


class Stop(BaseException):
    pass


@pytest.fixture
def options(tiny_bundle, tmp_path) -> ScoreOptions:
    corpora.make_posts(16).write_csv(tmp_path / "posts.csv")
    return ScoreOptions(
        inputs=(str(tmp_path / "posts.csv"),), output=tmp_path / "out.parquet", model=tiny_bundle, chunk_rows=4
    )


def test_a_finished_job_shows_what_is_in_its_output(capsys, options):
    run_job(options, lambda event: None)
    code, out, err = run(capsys, "status", options.output)
    assert (code, err) == (0, "")
    assert out.startswith(f"{options.output} is done: 16 posts.\n")
    assert "10 by text alone · 6 not scored" in out


def test_a_finished_folder_is_done_too(capsys, options, tmp_path):
    run_job(replace(options, output=tmp_path / "out"), lambda event: None)
    assert run(capsys, "status", tmp_path / "out").out.startswith(f"{tmp_path / 'out'} is done: 16 posts.\n")


def test_a_stopped_job_says_how_far_it_is(capsys, options):
    def tell(event):
        if event == PartCommitted(12):
            raise Stop

    with pytest.raises(Stop):
        run_job(options, tell)
    code, out, _ = run(capsys, "status", options.output)
    assert code == 0
    assert out.startswith(f"{options.output} is not finished.\n")
    assert "75%  12 of 16 posts\n" in out
    assert "To resume, run the command that started it again." in out
    progress = json.loads(run(capsys, "status", options.output, "--json").out)
    assert (progress["state"], progress["scored"], progress["rows"]) == ("stopped", 12, 16)


def test_a_running_job_says_how_fast_it_is(capsys, options):
    seen = []

    def tell(event):
        if event == PartCommitted(12):
            seen.append(run(capsys, "status", options.output))
            seen.append(run(capsys, "status", options.output, "--json"))

    run_job(options, tell)
    assert seen[0].out.startswith(f"{options.output} is being written.\n")
    assert "posts/s" in seen[0].out and "left; last part finished" in seen[0].out
    progress = json.loads(seen[1].out)
    assert progress["state"] == "running"
    assert progress["posts_per_second"] > 0


def test_nothing_there_is_an_error(capsys, tmp_path):
    code, out, err = run(capsys, "status", tmp_path / "none.parquet")
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: There is no output and no job at {tmp_path / 'none.parquet'}")
    (tmp_path / "posts.csv").write_text("text\ngood\n")
    code, out, err = run(capsys, "status", tmp_path / "posts.csv")
    assert (code, out) == (2, "")
    assert (
        err == f"Error: {tmp_path / 'posts.csv'} was not written by `sentimm score`: name an output, not the posts.\n"
    )
