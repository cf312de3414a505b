from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import polars as pl
import pytest

from sentimm.console.scoring.progress import ScoreConsole
from sentimm.errors import OutputError
from sentimm.events import Counts, JobFinished, JobStarted, PostsScored
from tests.support.commands import fail, run
from tests.support.posts import corpora
from tests.support.tiny.bundles import make_bundle

ROWS = 16
pytestmark = pytest.mark.usefixtures("here", "built_in")


@pytest.mark.isolated
def test_the_users_command_writes_the_scored_table_beside(capsys, here):
    code, out, err = run(capsys, "score", "posts.csv", "--images", "images/")
    assert code == 0
    scored = pl.read_parquet("posts.scored.parquet")
    assert scored["status"].to_list() == corpora.STATUSES * 2
    assert sorted(path.name for path in here.iterdir()) == [
        *("images", "posts.csv", "posts.scored.parquet", "posts.scored.parquet.problems.csv")
    ]
    assert err.splitlines()[0].startswith("Scoring with the default model. On the CPU in fp32")
    assert "posts.csv: 16 posts, 10 with text, 8 of 12 images found." in err
    assert "Written to posts.scored.parquet" in out


def test_the_summary_says_what_came_out_and_what_went_wrong(capsys):
    _, out, _ = run(capsys, "score", "posts.csv", "--images", "images")
    lines = [line.strip() for line in out.splitlines()]
    assert lines[1].startswith("16 posts in ") and lines[1].endswith("posts/s")
    for label in ("negative", "neutral", "positive"):
        assert any(line.startswith(label) and line.split()[-2].endswith("%") for line in lines)
    assert "4 by text and image · 6 by text alone · 2 by image alone · 4 not scored" in lines
    assert "2  images can't be decoded            status = image_unreadable" in lines
    assert "4  images not found                   status = image_missing" in lines
    assert "2  posts have neither text nor image  status = empty" in lines
    assert "Each is listed with its reason in posts.scored.parquet.problems.csv" in lines
    assert not any(line != line.rstrip() for line in out.splitlines())


def test_the_summary_says_how_many_encodings_repeats_saved(capsys):
    _, out, _ = run(capsys, "score", "posts.csv", "--images", "images")
    assert out.splitlines()[2] == "  Reused the results of 5 repeated texts and 4 repeated images"
    _, out, _ = run(capsys, "score", "posts.csv", "--images", "images", "--overwrite", "--json")
    result = json.loads(out)
    assert (result["saved_texts"], result["saved_images"]) == (5, 4)
    _, out, _ = run(capsys, "score", "posts.csv", "--images", "images", "--overwrite", "--no-dedupe")
    assert "Repeats" not in out


def test_the_best_batch_sizes_are_found_once_and_kept_in_the_job(capsys, monkeypatch):
    found = []

    def find(engine):
        found.append(engine.batch_sizes)
        return {"text": 3, "image": 1}

    def stop(_folder, _assembled):
        raise OutputError("stopped")

    monkeypatch.setattr("sentimm.runtime.batch_sizes.find_batch_sizes", find)
    command = ("score", "posts.csv", "--images", "images", "--batch-size", "auto")
    with monkeypatch.context() as stopping:
        stopping.setattr("sentimm.scoring.job_folder.folder.Job.finish", stop)
        _, _, err = run(capsys, *command)
    assert "Batches of 3 texts and 1 image, the fastest here." in err
    job = json.loads(Path("posts.scored.parquet.job/job.json").read_text())
    assert list(job["batch_sizes"].values()) == [{"text": 3, "image": 1}]
    code, _, err = run(capsys, *command)
    assert code == 0 and len(found) == 1
    assert "Batches of 3 texts and 1 image, as measured before." in err


def test_a_batch_size_is_a_number_or_auto(capsys):
    code, message = fail(capsys, "score", "posts.csv", "--batch-size", "large")
    assert (code, message) == (2, "--batch-size: 'large' is neither a number nor auto.")


def test_json_is_one_object_on_stdout(capsys):
    _, out, err = run(capsys, "score", "posts.csv", "--images", "images", "--json")
    result = json.loads(out)
    assert result["output"] == "posts.scored.parquet"
    assert (result["rows"], result["scored"], result["already_done"]) == (ROWS, ROWS, False)
    assert sum(result["labels"].values()) == 12
    assert result["modalities"]["text+image"] == 4
    assert result["statuses"]["empty"] == 2
    assert result["model"]["device"] == "cpu"
    assert err != ""


def test_quiet_prints_nothing(capsys):
    assert run(capsys, "score", "posts.csv", "--quiet") == (0, "", "")


def test_a_command_given_again_is_already_done(capsys):
    run(capsys, "score", "posts.csv")
    code, out, _ = run(capsys, "score", "posts.csv")
    assert code == 0
    assert "Already done: posts.scored.parquet holds all 16 posts." in out


def test_options_shape_the_output(capsys):
    code, _, _ = run(
        capsys,
        *("score", "posts.csv", "--limit", 3, "--columns", "likes,id", "--prefix", "m_", "--no-infer-types"),
        *("--only", "text", "--device", "cpu", "--precision", "fp32", "--threads", 1, "--batch-size", 2),
        *("--chunk-rows", 2, "-o", "out"),
    )
    assert code == 0
    scored = pl.read_parquet("out")
    assert scored.columns[:3] == ["likes", "id", "m_sentiment"]
    assert scored["likes"].to_list() == ["0", "1", "2"]
    assert scored["m_status"].to_list() == ["ok", "ok", "empty"]


def test_views_are_added_where_they_are_asked_for(capsys):
    assert run(capsys, "score", "posts.csv", "--images", "images", "-o", "out.parquet", "--views")[0] == 0
    scored = pl.read_parquet("out.parquet")
    assert scored.columns[-3:] == ["text_sentiment", "image_sentiment", "conflict"]
    assert scored["conflict"].is_not_null().to_list() == (scored["modality"] == "text+image").to_list()
    code, message = fail(capsys, "score", "posts.csv", "--images", "images", "-o", "out.parquet")
    assert code == 2
    assert "--views was given and is not given" in message


def test_views_of_a_model_without_heads(capsys, tmp_path):
    make_bundle(tmp_path / "bare", heads=[])
    for more in ([], ["--dry-run"]):
        code, message = fail(capsys, "score", "posts.csv", "--model", "bare", "--views", *more)
        assert code == 2
        assert message == (
            "--views needs a model with heads for text and for images, and tiny has none: drop --views, or train "
            "a model with --heads text,image."
        )


def test_another_model_is_used_when_it_is_named(capsys, tmp_path):
    make_bundle(tmp_path / "mine", labels=("bad", "good"), name="mine")
    _, out, err = run(capsys, "score", "posts.csv", "--model", "mine")
    assert "Scoring with the model mine." in err
    assert "bad" in out
    assert "p_bad" in pl.read_parquet("posts.scored.parquet").columns


def test_own_bundles_are_hinted_at(capsys, tmp_path):
    make_bundle(tmp_path / "bundles" / "mine")
    _, _, err = run(capsys, "score", "posts.csv")
    assert "--model bundles/mine" in err
    _, _, err = run(capsys, "score", "posts.csv", "--model", "bundles/mine", "--overwrite")
    assert "--model" not in err


def test_a_dry_run_shows_the_survey_and_writes_nothing(capsys, here):
    code, out, _ = run(capsys, "score", "posts.csv", "--images", "images", "--dry-run")
    assert code == 0
    assert "posts.csv  csv  16 posts" in out
    assert "12  with an image, 8 of them found" in out
    assert "text: column 'text'" in out
    assert "likes  Int64" in out
    assert sorted(path.name for path in here.iterdir()) == ["images", "posts.csv"]


def test_a_dry_run_as_json(capsys):
    _, out, _ = run(capsys, "score", "posts.csv", "--images", "images", "--dry-run", "--json")
    survey = json.loads(out)
    assert (survey["rows"], survey["images_named"], survey["images_found"]) == (16, 12, 8)
    assert survey["columns"][3] == ["likes", "Int64"]


def test_standard_input_is_ndjson(capsys, monkeypatch):
    class Stdin:
        buffer = io.BytesIO(b'{"text": "good"}\n{"text": "bad"}\n')

    monkeypatch.setattr(sys, "stdin", Stdin)
    code, _, err = run(capsys, "score", "-")
    assert code == 0
    assert "standard input: 2 posts, 2 with text." in err
    assert pl.read_parquet("stdin.scored.parquet")["text"].to_list() == ["good", "bad"]


def test_records_that_are_no_rows_are_counted(capsys):
    Path("posts.csv").write_text("id,text\n1,good\n2,too,long,here\n")
    _, out, err = run(capsys, "score", "posts.csv")
    assert "1  row can't be read  status = row_unreadable" in out
    assert "1 record can't be read as a row" in err


def test_the_log_tells_what_is_wrong_with_each_image(capsys):
    run(capsys, "score", "posts.csv", "--images", "images", "--log-file", "run.log")
    log = Path("run.log").read_text()
    assert "post 4: the image images/broken.jpg" in log
    assert "post 12: the image images/broken.jpg" in log


def test_control_characters_in_names_are_not_printed(capsys):
    name = "po\x1b[31msts.csv"
    corpora.make_posts(1).rename({"likes": "li\x07kes"}).write_csv(name)
    _, out, err = run(capsys, "score", name, "--dry-run")
    assert "\x1b" not in out + err and "\x07" not in out + err
    code, message = fail(capsys, "score", "no\x1b]0;title\x07thing.csv")
    assert code == 2 and "\x1b" not in message and "\x07" not in message


def test_only_a_header_is_an_output_of_no_rows(capsys):
    Path("posts.csv").write_text("id,text\n")
    code, out, _ = run(capsys, "score", "posts.csv")
    assert code == 0
    assert "No posts: the output has all columns and no rows." in out
    assert pl.read_parquet("posts.scored.parquet").shape == (0, 9)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_job_with_the_words_to_resume(capsys, monkeypatch, number):
    show = ScoreConsole.show

    def show_and_kill(console, event):
        show(console, event)
        if isinstance(event, PostsScored) and event.rows > 8:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(ScoreConsole, "show", show_and_kill)
        code, out, err = run(capsys, "score", "posts.csv", "--chunk-rows", 4)
    assert code == 128 + number
    assert out == ""
    assert "Stopping after this step (press again to stop at once) ..." in err.splitlines()
    assert err.splitlines()[-1] == (
        "Stopped. 8 of 16 posts are kept in posts.scored.parquet.job. To resume, run the same command again."
    )
    code, _, err = run(capsys, "score", "posts.csv", "--chunk-rows", 4)
    assert code == 0
    assert "Resuming: 8 of 16 posts are done." in err
    assert len(pl.read_parquet("posts.scored.parquet")) == 16


def wait_until_read(pipe: IO[str]) -> None:
    """Wait until the other end has read all that was written into a pipe."""
    import fcntl  # not on Windows
    import termios

    deadline = time.monotonic() + 20
    while int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is left in a pipe")
def test_a_signal_while_standard_input_is_waited_for_stops_at_once(tiny_bundle):
    process = subprocess.Popen(
        [sys.executable, "-m", "sentimm", "score", "-", "--model", str(tiny_bundle)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None and process.stdin is not None
    process.stdin.write('{"text": "good"}\n')
    process.stdin.flush()
    assert process.stderr.readline().startswith("Scoring with the model tiny.")
    wait_until_read(process.stdin)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 143
    assert "Stopped before any post was scored" in process.stderr.read()
    process.stdin.close()
    process.stderr.close()
    assert not Path("stdin.scored.parquet.job").exists()


def test_progress_is_plain_lines_where_stderr_is_no_terminal(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("sentimm.console.scoring.progress.time.monotonic", lambda: now[0])
    with ScoreConsole() as console:
        console.show(JobStarted(Path("out.parquet"), rows=4000, done=1000))
        for rows in range(1000, 4001, 100):
            now[0] += 1.0
            console.show(PostsScored(rows))
    assert capsys.readouterr().err.splitlines() == [
        "Resuming: 1,000 of 4,000 posts are done.",
        "Scoring: 1,900 of 4,000 posts (48%), 90 posts/s, 23 s left",
        "Scoring: 2,900 of 4,000 posts (72%), 95 posts/s, 12 s left",
        "Scoring: 3,900 of 4,000 posts (98%), 97 posts/s, 1.0 s left",
    ]


def test_a_terminal_gets_a_bar_that_goes_away(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    with ScoreConsole() as console:
        console.show(JobStarted(Path("out.parquet"), rows=400, done=0))
        console.show(PostsScored(200))
        counts = Counts({"negative": 1, "positive": 3}, {"text": 4}, {"ok": 4})
        console.show(JobFinished(Path("out.parquet"), 4, 4, 2.0, counts))
    out, err = capsys.readouterr()
    assert "Scoring" in err and "of 400 posts" in err
    assert err.endswith("\x1b[2K")
    assert "4 posts in 2.0 s, 2.0 posts/s" in out
    assert "75.0%" in out
