"""What can go wrong while a job runs, made to happen: none of it loses or repeats a row."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from sentimm.errors import FailuresError, OutOfMemoryError, OutputError, TableError, UsageError
from sentimm.events import JobStarted, PartCommitted, PostsScored, Surveyed
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.runtime.engine import Engine
from sentimm.scoring.job import run_job
from sentimm.scoring.output.problems import name_problems
from sentimm.scoring.pipeline import chunk_scorer as pipeline
from tests.support.failures.steps import failing_at
from tests.support.posts import corpora
from tests.support.profile import IN_CI

ROWS = 40
PROBLEMS_HEADER = ["row", "id", "status", "file", "reason", "record"]


@pytest.fixture
def options(tiny_bundle, tmp_path) -> ScoreOptions:
    """A job of five parts."""
    corpora.make_posts(ROWS).write_csv(tmp_path / "posts.csv")
    return ScoreOptions(
        inputs=(str(tmp_path / "posts.csv"),),
        corpus=CorpusOptions(images=corpora.make_images(tmp_path / "images")),
        output=tmp_path / "out" / "scored.parquet",
        model=tiny_bundle,
        chunk_rows=8,
    )


def run(options: ScoreOptions, tell=lambda event: None, **changes):
    return run_job(replace(options, **changes), tell)


def check(options: ScoreOptions) -> None:
    """Run the command again, and check that every row comes out once."""
    run(options)
    scored = pl.read_parquet(options.output, glob=False)
    posts = corpora.make_posts(ROWS)
    assert scored.select(posts.columns).equals(posts)
    assert scored["status"].to_list() == [corpora.STATUSES[row % corpora.KINDS] for row in range(ROWS)]
    assert len(pl.read_csv(name_problems(options.output), glob=False)) == sum(scored["status"] != "ok")
    left = sorted(path.name for path in options.output.parent.iterdir())
    assert left == ["scored.parquet", "scored.parquet.problems.csv"]


def once(kind: type, action, number: int = 1):
    """Make a listener that does something at the first (or a later) event of a kind."""
    seen = []

    def tell(event) -> None:
        if isinstance(event, kind):
            seen.append(event)
            if len(seen) == number:
                action()

    return tell


@pytest.mark.slow
@pytest.mark.parametrize(("number", "stride"), [(errno.ENOSPC, 1 if IN_CI else 4), (errno.EIO, 6), (errno.EROFS, 7)])
def test_a_disk_that_fails_at_any_step_is_one_sentence_and_the_job_goes_on_later(options, number, stride):
    for step in range(1, 200, stride):
        with failing_at(step, OSError(number, os.strerror(number))):
            try:
                run(options, chunk_rows=16)
                break
            except OutputError as error:
                assert f"can't be written: {os.strerror(number)}" in str(error)
        check(replace(options, chunk_rows=16))
        shutil.rmtree(options.output.parent)
    assert 30 < step < 199


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize("limit", [100, 4000, 9000])
def test_files_that_may_not_grow_are_one_sentence_and_the_job_goes_on_later(options, tmp_path, limit):
    """The limit is real: it hits the lock, a part, or the output that is put together from them."""
    posts = pl.concat([corpora.make_posts(ROWS)] * 40).with_columns(
        text=pl.Series([f"{n * n}" for n in range(40 * ROWS)])
    )
    posts.write_csv(tmp_path / "posts.csv")
    code = (
        "import resource, sys; from sentimm.cli.app import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); main(sys.argv[1:])"
    )
    command = [*options.inputs, "-o", str(options.output), "--model", str(options.model), "--chunk-rows", "400"]
    done = subprocess.run([sys.executable, "-c", code, "score", *command], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: ") and "File too large" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    run(options, corpus=CorpusOptions(), chunk_rows=400)
    assert pl.read_parquet(options.output)["text"].equals(posts["text"].cast(pl.Int64))


@pytest.mark.skipif(sys.platform != "linux", reason="folders of the Linux kernel, where nobody may write")
@pytest.mark.parametrize("folder", ["/proc", "/sys"])
def test_a_folder_that_can_only_be_read_is_one_sentence(options, folder):
    with pytest.raises(OutputError, match=rf"{folder}/scored\.parquet(\.job)? can't be written: "):
        run(options, output=Path(folder) / "scored.parquet")


@pytest.mark.parametrize("part", [1, 3])
@pytest.mark.parametrize("levels", [0, 1])
def test_an_output_folder_that_is_removed_while_it_runs_is_one_sentence(options, part, levels):
    folder = [options.output.with_name("scored.parquet.job"), options.output.parent][levels]
    with pytest.raises(OutputError, match=r"part-.* can't be written: No such file or directory"):
        run(options, once(PartCommitted, lambda: shutil.rmtree(folder), part))
    check(options)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write("9999,more,,1\n")


def replace_with_other_posts(path: Path) -> None:
    """As many rows, and as many bytes."""
    path.with_name("new").write_bytes(path.read_bytes().replace(b"good", b"evil"))
    path.with_name("new").replace(path)


def overwrite(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"good", b"evil"))


@pytest.mark.parametrize("change", [cut, append, replace_with_other_posts, overwrite, Path.unlink])
@pytest.mark.parametrize(("kind", "number"), [(Surveyed, 1), (JobStarted, 1), (PartCommitted, 2), (PostsScored, 2)])
def test_an_input_that_changes_while_it_runs_is_noticed(options, change, kind, number):
    table = Path(options.inputs[0])
    content, status = table.read_bytes(), table.stat()
    with pytest.raises(TableError, match=r"posts\.csv (changed while it was being scored|can't be read)"):
        run(options, once(kind, lambda: change(table), number))
    assert not options.output.exists()
    table.write_bytes(content)
    os.utime(table, ns=(status.st_atime_ns, status.st_mtime_ns))
    check(options)


def test_batches_get_smaller_where_the_device_has_no_memory(options, monkeypatch):
    limits, real = {"text": 1, "image": 1, "fusion": 3}, Engine._run
    monkeypatch.setattr("sentimm.runtime.engine.BATCHES", {"cpu": {"text": 8, "image": 4, "fusion": 1024}})
    failures = []

    def limited(self, part, inputs, outputs):
        name = {"text": "input_ids", "image": "pixels", "fusion": "text_index"}[part]
        if len(inputs[name]) > limits[part]:
            failures.append(part)
            raise OutOfMemoryError(f"the {part} graph")
        return real(self, part, inputs, outputs)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_run", limited)
        run(options)
    assert set(failures) == set(limits)
    assert len(failures) < 60  # it does not try the large ones again and again
    scored = pl.read_parquet(options.output)
    options.output.unlink()
    check(options)
    assert pl.read_parquet(options.output).equals(scored)


def test_a_device_without_memory_for_one_post_is_one_sentence(options, monkeypatch):
    class Session:
        def run(self, outputs, inputs):
            raise RuntimeError("[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer of size 7")

    def break_sessions(self, *arguments, real=Engine.__init__, **keywords):
        real(self, *arguments, **keywords)
        self._sessions = {**self._sessions, "image": Session()}

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "__init__", break_sessions)
        with pytest.raises(OutOfMemoryError, match=r"image graph ran out of memory on cpu .*buffer of size 7"):
            run(options)
    check(options)


def test_a_machine_without_memory_is_one_sentence_and_the_job_goes_on_later(options, monkeypatch):
    calls = []

    def normalize(texts, rules, real=pipeline.normalize_texts):
        calls.append(rules)
        if len(calls) == 4:
            raise MemoryError
        return real(texts, rules)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "normalize_texts", normalize)
        with pytest.raises(OutOfMemoryError, match=r"ran out of memory.*run the same command again to resume"):
            run(options)
    assert 0 < len(list(options.output.with_name("scored.parquet.job").glob("part-????????????.parquet"))) < 5
    check(options)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("megabytes", [200, 400, 600, 800, 1200] if IN_CI else [400, 800])
def test_a_real_limit_of_memory_loses_no_row(options, megabytes):
    """However the libraries fail then: the same command, with memory, ends with every row."""
    code = (
        "import resource, sys; from sentimm.cli.app import main; "
        f"resource.setrlimit(resource.RLIMIT_AS, (({megabytes} << 20),) * 2); main(sys.argv[1:])"
    )
    command = [*options.inputs, "--images", str(options.corpus.images), "-o", str(options.output)]
    command += ["--model", str(options.model), "--chunk-rows", "8"]
    subprocess.run([sys.executable, "-c", code, "score", *command], capture_output=True, timeout=100)
    check(options)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("method", ["encode_texts", "encode_images", "fuse"])
def test_a_worker_that_dies_ends_the_job_and_the_job_goes_on_later(options, monkeypatch, method, error):
    calls, real = [], getattr(Engine, method)

    def dies(self, *arguments):
        calls.append(method)
        if len(calls) == 3:
            raise error
        return real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, method, dies)
        with pytest.raises(type(error)):
            run(options, dedupe=False)
    assert not options.output.exists()
    check(options)


@pytest.mark.slow
@pytest.mark.isolated
@pytest.mark.skipif(os.name == "nt", reason="Windows has no decoder processes")
def test_decoders_that_something_kills_cost_nothing(options, monkeypatch, tmp_path):
    corpora.make_posts(10 * ROWS).write_csv(tmp_path / "posts.csv")
    started = []

    def note(*arguments, real=subprocess.Popen, **keywords):
        started.append(process := real(*arguments, **keywords))
        return process

    monkeypatch.setattr("sentimm.scoring.pipeline.decoder.subprocess.Popen", note)

    seen = []

    def kill(event) -> None:
        if isinstance(event, PartCommitted):
            seen.append(event)
            # Far enough apart that no image meets two of them, which would make it unreadable.
            for process in list(started) if len(seen) in (5, 25) else ():
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)

    run(options, kill, dedupe=False)
    assert len(started) > 2
    statuses = [corpora.STATUSES[row % corpora.KINDS] for row in range(10 * ROWS)]
    assert pl.read_parquet(options.output)["status"].to_list() == statuses


def test_too_many_unreadable_images_end_the_job_and_what_was_done_is_kept(options, tmp_path):
    posts = pl.concat([corpora.make_posts(ROWS)] * 20)  # of eight posts four have images, one of them broken
    posts.write_csv(tmp_path / "posts.csv")
    with pytest.raises(FailuresError) as caught:
        run(options, chunk_rows=80, max_failed=24.0)
    assert str(caught.value) == (
        "30 of 120 images can't be read (25.0%), and --max-failed allows 24%. The reasons are in "
        f"{name_problems(options.output)}. 240 of 800 posts are kept: run the same command with a larger --max-failed "
        "to resume."
    )
    assert sum(pl.read_csv(name_problems(options.output))["status"] == "image_unreadable") == 30
    with pytest.raises(FailuresError):  # at once
        run(options, lambda event: pytest.fail("scored") if isinstance(event, PostsScored) else None, max_failed=24.0)
    assert run(options, max_failed=25.0).scored == 800 - 240


def test_a_small_corpus_of_unreadable_images_is_refused_at_its_end(options):
    with pytest.raises(FailuresError, match=r"5 of 20 images can't be read \(25\.0%\)"):
        run(options, max_failed=10)
    assert not options.output.exists()
    assert run(options).scored == 0


@pytest.mark.parametrize("percent", [-1, 100.5, float("nan")])
def test_a_percentage_is_one(options, percent):
    with pytest.raises(UsageError, match="--max-failed"):
        replace(options, max_failed=percent)


def test_every_post_with_a_problem_is_listed(options, tmp_path):
    lines = (tmp_path / "posts.csv").read_text().splitlines()
    lines[3] = '0002,"a ""broken"" record",1.png,2,too,long'
    (tmp_path / "posts.csv").write_text("\n".join(lines[:9]))
    done = run(options)
    problems = pl.read_csv(done.problems, infer_schema=False)
    assert done.problems == name_problems(options.output)
    assert problems.columns == PROBLEMS_HEADER
    assert problems.rows() == [
        ("2", None, "row_unreadable", str(tmp_path / "posts.csv"), "has 6 fields where the header has 4", lines[3]),
        ("3", "0003", "empty", None, "has neither text nor image", None),
        (
            *("4", "0004", "image_unreadable", str(tmp_path / "images" / "broken.jpg")),
            *("is not an image in a format that can be read", None),
        ),
        ("5", "0005", "image_missing", "gone.png", "is not in the image folder", None),
        ("7", "0007", "image_missing", "gone.png", "is not in the image folder", None),
    ]


def test_an_image_that_is_a_url_is_said_to_be_one(options, tmp_path):
    pl.DataFrame({"text": "good", "image": ["0.png", "https://example.org/a.jpg"]}).write_csv(tmp_path / "posts.csv")
    problems = pl.read_csv(run(options).problems, infer_schema=False)
    assert problems.rows() == [
        ("1", None, "image_missing", "https://example.org/a.jpg", "is a URL, which is not fetched", None)
    ]


def test_rows_are_counted_over_all_inputs(options, tmp_path):
    corpora.make_posts(4).write_csv(tmp_path / "more.csv")
    done = run(options, inputs=(*options.inputs, str(tmp_path / "more.csv")))
    assert pl.read_csv(done.problems)["row"].to_list()[-2:] == [39, 43]


def test_no_problems_make_no_file_and_take_an_earlier_one_away(options, tmp_path):
    assert run(options).problems is not None
    pl.DataFrame({"text": ["good"]}).write_csv(tmp_path / "posts.csv")
    done = run(options, corpus=CorpusOptions(), overwrite=True)
    assert done.problems is None and not name_problems(options.output).exists()


def test_problems_can_be_written_elsewhere(options, tmp_path):
    done = run(options, problems=tmp_path / "odd.csv")
    assert done.problems == tmp_path / "odd.csv" and done.problems.exists()
    assert not name_problems(options.output).exists()
    assert run(options, problems=tmp_path / "odd.csv").problems == tmp_path / "odd.csv"


def test_problems_of_a_finished_job_can_be_had_elsewhere_too(options, tmp_path):
    first = run(options).problems
    again = run(options, problems=tmp_path / "odd.csv")
    assert again.already and again.problems == tmp_path / "odd.csv"
    assert again.problems.read_bytes() == first.read_bytes()


def test_another_job_s_list_of_problems_stays(options, tmp_path):
    listed = run(options).problems
    pl.DataFrame({"text": ["good"]}).write_csv(tmp_path / "fine.csv")
    fine = {"inputs": (str(tmp_path / "fine.csv"),), "output": tmp_path / "fine.parquet", "corpus": CorpusOptions()}
    run(options, **fine)
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=f"lists the problems of {options.output}: choose another name"):
            run(options, **fine, problems=listed, overwrite=overwrite)
    assert listed.exists()


def test_a_list_of_problems_takes_nothing_away_that_is_not_ours(options, tmp_path):
    (tmp_path / "diary.csv").write_text("dear diary\n")
    (tmp_path / "folder").mkdir()
    for path, words in (
        (tmp_path / "diary.csv", "is not a list of problems"),
        (tmp_path / "folder", "is not a list of problems"),
        (Path(options.inputs[0]), "can't be written to .*posts.csv, which"),
        (options.output, "can't be written to .*scored.parquet, which"),
        (tmp_path / "nowhere" / "odd.csv", "There is no folder"),
    ):
        with pytest.raises(UsageError, match=words):
            run(options, problems=path)
    assert (tmp_path / "diary.csv").read_text() == "dear diary\n"


def test_names_that_are_patterns_are_names(options, tmp_path):
    options = replace(options, output=tmp_path / "out [2020]*?" / "scored.parquet")
    check(options)


def test_threads_end_with_the_job(options, monkeypatch):
    before = threading.active_count()
    run(options)
    assert threading.active_count() == before
