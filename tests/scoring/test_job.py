from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentimm.errors import InputError, JobConflictError, OutputError, TableError, UsageError
from sentimm.events import JobFinished, JobStarted, PartCommitted, PostsScored, Surveyed
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job import run_job, survey_job
from sentimm.scoring.job_folder.folder import open_job_folder
from sentimm.scoring.job_folder.output_paths import default_output
from sentimm.scoring.job_folder.progress import read_progress
from sentimm.scoring.local import ChunkSize
from sentimm.scoring.output.problems import name_problems
from sentimm.storage.steps import watching_steps
from tests.scoring.output.test_columns import many_types
from tests.support import corpora
from tests.support.tiny_bundles import make_bundle

ROWS = 20
OUTPUTS = ("scored.parquet", "scored")
ADDED = ["sentiment", "confidence", "p_negative", "p_neutral", "p_positive", "modality", "status"]

pytestmark = pytest.mark.usefixtures("quick_decoding")


@pytest.fixture
def options(tiny_bundle, tmp_path) -> ScoreOptions:
    """A job of three parts."""
    corpora.make_posts(ROWS).write_csv(tmp_path / "posts.csv")
    return ScoreOptions(
        inputs=(str(tmp_path / "posts.csv"),),
        corpus=CorpusOptions(images=corpora.make_images(tmp_path / "images")),
        output=tmp_path / "scored.parquet",
        model=tiny_bundle,
        chunk_rows=8,
    )


def run(options: ScoreOptions, **changes) -> JobFinished:
    return run_job(replace(options, **changes), lambda event: None)


def read(output: Path) -> pl.DataFrame:
    return pl.read_parquet(output)


def job_folder(options: ScoreOptions) -> Path:
    return options.output.with_name(options.output.name + ".job")


class Stop(BaseException):
    """What a listener raises to stop a job."""


def stop_after(parts: int):
    """Make a listener that stops the job after so many parts."""
    seen = []

    def tell(event):
        seen.append(event)
        if sum(isinstance(each, PartCommitted) for each in seen) == parts:
            raise Stop

    return tell


def run_partly(options: ScoreOptions, parts: int = 1, **changes) -> None:
    with pytest.raises(Stop):
        run_job(replace(options, **changes), stop_after(parts))


def test_the_output_has_every_row_in_order_with_the_designs_columns(options):
    done = run(options)
    scored = read(options.output)
    assert scored.columns == ["id", "text", "image", "likes", *ADDED]
    assert scored.select("id", "text", "image", "likes").equals(corpora.make_posts(ROWS))
    assert scored["status"].to_list()[:8] == corpora.STATUSES
    assert (done.rows, done.scored, done.already) == (ROWS, ROWS, False)
    assert dict(scored["status"].value_counts().iter_rows()) == {
        status: number for status, number in done.counts.statuses.items() if number
    }
    assert dict(scored["sentiment"].drop_nulls().value_counts().iter_rows()) == {
        label: number for label, number in done.counts.labels.items() if number
    }


def test_the_metadata_says_how_the_output_came_to_be(options, tiny_bundle):
    run(options)
    metadata = pq.read_metadata(options.output).metadata
    assert metadata[b"sentimm.bundle"] == b"tiny"
    assert metadata[b"sentimm.version"] == b"0.1.0"
    assert json.loads(metadata[b"sentimm.labels"]) == ["negative", "neutral", "positive"]
    fingerprint = json.loads(metadata[b"sentimm.fingerprint"])
    assert metadata[b"sentimm.digest"].decode() == fingerprint["model"]["digest"]
    assert json.loads(metadata[b"sentimm.options"])["images"] == str(options.corpus.images)


def test_a_folder_is_one_dataset_of_parts(options, tmp_path):
    run(options)
    run(options, output=tmp_path / "scored")
    assert sorted(path.name for path in (tmp_path / "scored").iterdir()) == [
        "_SUCCESS",
        "part-000000000000.parquet",
        "part-000000000008.parquet",
        "part-000000000016.parquet",
    ]
    assert read(tmp_path / "scored").equals(read(options.output))
    assert pq.read_table(tmp_path / "scored").num_rows == ROWS


@pytest.mark.parametrize("name", OUTPUTS)
def test_nothing_is_left_but_the_output(options, tmp_path, name):
    run(options, output=tmp_path / name)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["images", "posts.csv", name, f"{name}.problems.csv"]


@pytest.mark.parametrize("name", OUTPUTS)
def test_nothing_has_the_final_name_before_all_is_in_it(options, tmp_path, name):
    output = tmp_path / name
    there = []
    run_job(replace(options, output=output), lambda event: there.append((type(event), output.exists())))
    assert there.pop() == (JobFinished, True)
    assert not any(exists for _, exists in there)


@pytest.mark.parametrize("name", OUTPUTS)
def test_only_a_header_gives_an_output_of_no_rows(options, tmp_path, name):
    corpora.make_posts(0).write_csv(tmp_path / "posts.csv")
    done = run(options, output=tmp_path / name, corpus=CorpusOptions())
    scored = read(tmp_path / name)
    assert done.rows == len(scored) == 0
    assert scored.columns == ["id", "text", "image", "likes", *ADDED]
    assert scored.schema["confidence"] == pl.Float32
    assert run(options, output=tmp_path / name, corpus=CorpusOptions()).already


def test_the_same_command_goes_on_where_it_stopped(options):
    run_partly(options, 2)
    assert not options.output.exists()
    events = []
    done = run_job(options, events.append)
    assert [event.done for event in events if isinstance(event, JobStarted)] == [16]
    assert (done.rows, done.scored) == (ROWS, 4)
    assert sum(done.counts.statuses.values()) == ROWS
    assert not job_folder(options).exists()


def test_a_stop_in_the_middle_of_a_part_drops_that_part(options):
    def tell(event):
        if isinstance(event, PostsScored) and event.rows > 8:
            raise Stop

    with pytest.raises(Stop):
        run_job(options, tell)
    assert read_progress(options.output).scored == 8
    run(options)
    assert len(read(options.output)) == ROWS


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_command_given_again_is_already_done(options, tmp_path, name):
    first = run(options, output=tmp_path / name)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*scored*")}
    assert first.problems == name_problems(tmp_path / name)
    again = run(options, output=tmp_path / name)
    assert (again.already, again.scored, again.rows, again.counts) == (True, 0, ROWS, first.counts)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*scored*")} == before


def test_what_may_change_between_resumes_does(options):
    run_partly(options)
    run(options, chunk_rows=3, threads=1, batch_size=2, device="cpu", precision="fp32")
    assert read(options.output)["id"].to_list() == corpora.make_posts(ROWS)["id"].to_list()


@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"prefix": "x_"}, "--prefix was not given and is x_"),
        ({"limit": 15}, "--limit was not given and is 15"),
        ({"columns": ("id",)}, "--columns was not given and is id"),
        ({"only": "text"}, "--only was not given and is text"),
        ({"infer_types": False}, "--no-infer-types was not given and is given"),
        ({"images": None}, "--images was .*images and is not given"),
        ({"text_column": "text"}, "--text-column was not given and is text"),
    ],
)
def test_another_job_is_told_what_changed(options, is_finished, changes, named):
    if is_finished:
        run(options)
    else:
        run_partly(options)
    other = replace(options, corpus=replace(options.corpus, **changes))
    with pytest.raises(JobConflictError, match=rf"belongs to another job: {named}\. .*--overwrite"):
        run(other)
    assert run(options).rows == ROWS
    assert run(other, overwrite=True).rows == changes.get("limit", ROWS)


def test_a_changed_input_or_model_is_another_job(options, tmp_path):
    run(options)
    with pytest.raises(JobConflictError, match="the model was tiny and is other"):
        run(options, model=make_bundle(tmp_path / "other", name="other"))
    with pytest.raises(JobConflictError, match="the model tiny changed"):
        run(options, model=make_bundle(tmp_path / "retrained", seed=7))
    corpora.make_posts(ROWS + 1).write_csv(tmp_path / "posts.csv")
    with pytest.raises(JobConflictError, match=r"posts\.csv changed"):
        run(options)
    corpora.make_posts(ROWS).write_csv(tmp_path / "more.csv")
    with pytest.raises(JobConflictError, match="the number of inputs was 1 and is 2"):
        run(options, inputs=(str(tmp_path / "posts.csv"), str(tmp_path / "more.csv")))


def test_overwrite_scores_again_and_goes_on_when_it_was_stopped(options):
    run(options)
    run_partly(options, overwrite=True)
    assert not options.output.exists()
    done = run(options, overwrite=True)
    assert (done.rows, done.scored) == (ROWS, ROWS - 8)
    assert run(options, overwrite=True).scored == ROWS


def test_overwrite_begins_anew_where_the_job_was_begun_without_it(options):
    run_partly(options)
    assert run(options, overwrite=True).scored == ROWS


def test_overwrite_takes_nothing_away_that_is_not_ours(options, tmp_path):
    foreign = tmp_path / "foreign.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(foreign)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "part-000000000000.parquet").write_bytes(foreign.read_bytes())
    notes = tmp_path / "notes"
    run(options, output=notes)
    (notes / "diary.txt").write_text("dear diary")
    other_job = tmp_path / "free.parquet.job"
    other_job.mkdir()
    (other_job / "mine.txt").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for output in (foreign, folder, notes, tmp_path / "free.parquet", tmp_path / "images", tmp_path / "posts.csv"):
        with pytest.raises(UsageError, match=r"sentimm did not write|was not written by sentimm|is the input"):
            run(options, output=output, overwrite=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def cut(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-9])


def flip_bit(part: Path) -> None:
    content = bytearray(part.read_bytes())
    content[len(content) // 8] ^= 1
    part.write_bytes(content)


def empty(part: Path) -> None:
    part.write_bytes(b"")


def write_nulls(part: Path) -> None:
    """As a power failure may leave a file."""
    part.write_bytes(bytes(part.stat().st_size))


@pytest.mark.parametrize("damage", [cut, flip_bit, empty, write_nulls, Path.unlink])
@pytest.mark.parametrize("name", ["part-000000000000.parquet", "part-000000000000.problems.parquet"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_part_that_is_damaged_is_scored_again_and_the_others_are_kept(options, tmp_path, damage, name, output):
    run(options, output=tmp_path / "undisturbed.parquet")
    options = replace(options, output=tmp_path / output)
    run_partly(options, 2)
    damage(job_folder(options) / name)
    events = []
    done = run_job(options, events.append)
    assert [event.damaged for event in events if isinstance(event, JobStarted)] == [
        int(damage is not Path.unlink or "problems" in name)
    ]
    assert (done.scored, done.rows) == (ROWS - 8, ROWS)
    assert read(options.output).equals(read(tmp_path / "undisturbed.parquet"))
    problems = [name_problems(tmp_path / each).read_text() for each in (output, "undisturbed.parquet")]
    assert problems[0] == problems[1]


def test_two_processes_cannot_write_one_job(options):
    with open_job_folder(options.output), pytest.raises(JobConflictError, match="Another process is working on"):
        run(options)
    assert not job_folder(options).exists()
    assert run(options).scored == ROWS


def test_an_error_before_scoring_leaves_nothing_behind(options, tmp_path):
    with pytest.raises(InputError, match="is not there"):
        run(options, inputs=(str(tmp_path / "gone.csv"),))
    with pytest.raises(UsageError, match="--prefix"):
        corpora.make_posts(2).with_columns(status=pl.lit("x")).write_csv(tmp_path / "posts.csv")
        run(options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "posts.csv"]


def test_an_output_that_cannot_be_written_is_named(options, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match=r"scored\.parquet can't be written: .*file is not a folder"):
        run(options, output=tmp_path / "file" / "scored.parquet")
    with pytest.raises(UsageError, match="names no file or folder"):
        run(options, output=Path())


def test_a_full_disk_is_one_sentence_and_the_job_goes_on_later(options, monkeypatch):
    def write_nothing(*_arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("sentimm.scoring.job_folder.parts.write_parquet", write_nothing)
        with pytest.raises(OutputError, match=r"part-000000000000\.parquet can't be written: No space left on device"):
            run(options)
    assert not list(job_folder(options).glob("*.tmp"))
    assert run(options).rows == ROWS


def test_folders_above_the_output_are_made(options, tmp_path):
    run(options, output=tmp_path / "a" / "b" / "scored.parquet")
    assert (tmp_path / "a" / "b" / "scored.parquet").exists()


def test_several_inputs_add_source_and_row(options, tmp_path):
    inputs = (str(tmp_path / "posts.csv"), str(tmp_path / "second.csv"))
    corpora.make_posts(3).write_csv(tmp_path / "second.csv")
    run(options, inputs=inputs)
    scored = read(options.output)
    assert scored.columns == ["id", "text", "image", "likes", "source", "row", *ADDED]
    assert scored["source"].to_list() == [inputs[0]] * ROWS + [inputs[1]] * 3
    assert scored["row"].to_list() == [*range(ROWS), *range(3)]


def test_a_parquet_table_keeps_its_types_also_over_a_stop(options, tmp_path):
    posts = pl.concat([many_types().drop("categorical", "enum").with_columns(text=pl.lit("good"))] * 3)
    posts.write_parquet(tmp_path / "posts.parquet")
    options = replace(options, inputs=(str(tmp_path / "posts.parquet"),), corpus=CorpusOptions(), chunk_rows=4)
    run_partly(options)
    assert run(options).scored == len(posts) - 4
    kept = read(options.output).select(posts.columns)
    assert kept.schema == posts.schema
    assert kept.equals(posts)


def test_a_record_that_is_no_row_keeps_its_place(options, tmp_path):
    (tmp_path / "posts.csv").write_text("id,text\n1,good\n2,bad,too,long\n3,great\n")
    done = run(options, corpus=CorpusOptions())
    scored = read(options.output)
    assert scored["status"].to_list() == ["ok", "row_unreadable", "ok"]
    assert scored["sentiment"].is_null().to_list() == [False, True, False]
    assert scored["modality"].to_list() == ["text", "none", "text"]
    assert done.counts.statuses["row_unreadable"] == 1


def test_standard_input_is_kept_for_the_next_attempt(options, monkeypatch):
    def pipe(content: str):
        class Stdin:
            buffer = __import__("io").BytesIO(content.encode())

        monkeypatch.setattr(sys, "stdin", Stdin)

    lines = "".join(json.dumps({"text": text}) + "\n" for text in ["good", "bad", "so so"])
    options = replace(options, inputs=("-",), corpus=CorpusOptions(), chunk_rows=1)
    pipe(lines)
    run_partly(options)
    assert len(list(job_folder(options).glob("stdin-*.ndjson"))) == 1
    pipe("{}\n" + lines)
    with pytest.raises(JobConflictError, match="standard input changed"):
        run(options)
    pipe(lines)
    assert run(options).scored == 2
    pipe(lines)
    assert run(options).already
    assert read(options.output)["text"].to_list() == ["good", "bad", "so so"]
    assert not job_folder(options).exists()


def test_a_folder_of_posts_is_scored_also_with_its_output_inside(options, tmp_path):
    images = tmp_path / "images"
    (images / "0.txt").write_text("a good day")
    options = replace(
        options, inputs=(str(images),), corpus=CorpusOptions(), output=images / "out.parquet", chunk_rows=2
    )
    run_partly(options)
    run(options)
    assert run(options).already
    assert read(images / "out.parquet")["status"].to_list() == ["ok", "ok", "ok", "image_unreadable"]


def test_a_survey_writes_nothing_and_checks_the_names(options, tmp_path):
    survey = survey_job(options, lambda event: None)
    assert isinstance(survey, Surveyed)
    assert (survey.rows, survey.texts, survey.images_named, survey.images_found) == (ROWS, 12, 14, 10)
    assert survey.columns == (("id", "String"), ("text", "String"), ("image", "String"), ("likes", "Int64"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "posts.csv"]
    corpora.make_posts(2).with_columns(status=pl.lit("x")).write_csv(tmp_path / "posts.csv")
    with pytest.raises(UsageError, match="--prefix"):
        survey_job(options, lambda event: None)


@pytest.mark.parametrize(
    ("inputs", "name"),
    [
        (("data/tweets.csv",), "tweets.scored.parquet"),
        (("data/my.tweets.NDJSON.gz",), "my.tweets.scored.parquet"),
        (("tweets.parquet",), "tweets.scored.parquet"),
        (("-",), "stdin.scored.parquet"),
        (("2026-*.csv",), "posts.scored.parquet"),
        (("a.csv", "b.csv"), "posts.scored.parquet"),
        (("some/folder/",), "folder.scored.parquet"),
    ],
)
def test_the_default_output_is_named_after_the_input(inputs, name):
    assert default_output(inputs) == Path(name)


def test_parts_grow_until_they_take_some_seconds():
    size = ChunkSize(None)
    sizes = []
    for _ in range(8):
        sizes.append(size.rows)
        size.adapt(size.rows, size.rows / 1000)
    assert sizes == [256, 1024, 4096, 15000, 15000, 15000, 15000, 15000]
    size.adapt(15000, 30.0)
    assert size.rows == 7500
    size.adapt(7500, 0.001)
    size.adapt(30000, 0.001)
    assert size.rows == 16_384


def test_an_input_that_changes_while_it_is_read_is_an_error(options, tmp_path):
    def tell(event):
        if isinstance(event, JobStarted):
            corpora.make_posts(5).write_csv(tmp_path / "posts.csv")

    with pytest.raises(TableError, match=r"posts\.csv changed while it was being scored: restore it .* --overwrite"):
        run_job(options, tell)
    assert not options.output.exists()


class Killed(BaseException):
    """Stands for a kill in tests that stay in this process."""


def killed_at(step: int) -> AbstractContextManager[None]:
    steps = iter(range(1, 10_000))

    def reach_step() -> None:
        if next(steps) == step:
            raise Killed

    return watching_steps(reach_step)


@pytest.mark.slow
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_stop_at_any_step_of_the_commit_is_made_good(options, tmp_path, name, overwrite):
    options = replace(options, output=tmp_path / name, chunk_rows=12)
    run(options)
    expected = read(options.output)
    if not overwrite:
        run(options, output=tmp_path / "undisturbed.parquet")
    for step in range(1, 200):
        if not overwrite:
            remove(options.output)
        with killed_at(step):
            try:
                run(options, overwrite=overwrite)
                break
            except Killed:
                pass
        assert overwrite or not options.output.exists() or read_progress(options.output).state == "done"
        run(options, overwrite=overwrite)
        assert read(options.output).equals(expected), f"killed at step {step}"
        assert not job_folder(options).exists()
    assert 25 < step < 199


def remove(output: Path) -> None:
    name_problems(output).unlink(missing_ok=True)
    for path in output.iterdir() if output.is_dir() else ():
        path.unlink()
    output.rmdir() if output.is_dir() else output.unlink(missing_ok=True)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(0, 30), kills=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12)), max_size=4))
def test_any_kills_and_part_sizes_give_every_row_once(options, tmp_path, rows, kills):
    remove(options.output)
    corpora.make_posts(rows).write_csv(tmp_path / "posts.csv")
    options = replace(options, corpus=replace(options.corpus, allow_missing=True))
    for step, chunk_rows in kills:
        with killed_at(step), suppress(Killed):
            run(options, chunk_rows=chunk_rows)
    run(options)
    scored = read(options.output)
    assert scored["id"].cast(pl.String).to_list() == corpora.make_posts(rows)["id"].to_list()
    assert scored["status"].to_list() == [corpora.STATUSES[row % corpora.KINDS] for row in range(rows)]


def command_line(options: ScoreOptions) -> list[str]:
    return [
        *(sys.executable, "-m", "sentimm", "score", *options.inputs, "--images", str(options.corpus.images)),
        *("-o", str(options.output), "--model", str(options.model), "--chunk-rows", str(options.chunk_rows), "--quiet"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_process_killed_between_two_steps_resumes_to_the_same_rows(options, tmp_path, name):
    options = replace(options, output=tmp_path / name, chunk_rows=12)
    run(options, output=tmp_path / "undisturbed.parquet")
    expected = read(tmp_path / "undisturbed.parquet")
    for step in range(1, 100, 5):  # every one: `test_a_stop_at_any_step_of_the_commit_is_made_good`
        remove(options.output)
        killed = subprocess.run(
            command_line(options), env={**os.environ, "SENTIMM_FAILPOINT": str(step)}, capture_output=True, text=True
        )
        if killed.returncode == 0:
            break
        assert (killed.returncode, killed.stderr) == (86, "")
        run(options)
        assert read(options.output).equals(expected), f"killed at step {step}"
        assert not job_folder(options).exists()
    assert 25 < step < 99
    assert read(options.output).equals(expected)


@pytest.mark.parametrize("output", ["out", "out.parquet"])
def test_a_glob_leaves_out_what_an_earlier_attempt_wrote(tiny_bundle, tmp_path, output):
    posts = corpora.make_posts(6).with_columns(image=pl.lit("gone.jpg"))
    posts.write_parquet(tmp_path / "posts.parquet")
    options = ScoreOptions(
        inputs=(str(tmp_path / "*.parquet"),), output=tmp_path / output, model=tiny_bundle, threads=1
    )
    assert run_job(options, lambda _: None).rows == 6
    assert run_job(options, lambda _: None).already
    assert run_job(replace(options, overwrite=True), lambda _: None).rows == 6


@pytest.mark.parametrize("output", ["out", "out.parquet"])
def test_an_output_is_no_input_however_it_is_named(tiny_bundle, tmp_path, output):
    corpora.make_posts(6).write_parquet(tmp_path / "posts.parquet")
    options = ScoreOptions(
        inputs=(str(tmp_path / "posts.parquet"),), output=tmp_path / output, model=tiny_bundle, threads=1
    )
    run_job(options, lambda _: None)
    part = next((tmp_path / output).glob("*.parquet"), tmp_path / output)
    for inputs in (
        (str(part),),
        (f"{tmp_path}/o*/*.parquet" if part.parent != tmp_path else f"{tmp_path}/o*.parquet",),
    ):
        again = replace(options, inputs=inputs, overwrite=True, corpus=CorpusOptions(columns=("id",)))
        with pytest.raises(UsageError, match=r"is the (out|in)put"):
            run_job(again, lambda _: None)
    assert len(pl.read_parquet(part)) == 6


def test_outputs_that_could_not_be_written_in_the_end_are_refused_first(tiny_bundle, tmp_path):
    corpora.make_posts(2).write_csv(tmp_path / "posts.csv")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    options = ScoreOptions(inputs=(str(tmp_path / "posts.csv"),), output=tmp_path / "link", model=tiny_bundle)
    for changes, message in (
        ({}, "is a link to a folder"),
        ({"output": tmp_path / "real", "problems": tmp_path / "real" / "p.csv"}, "can't be inside the output"),
        ({"output": tmp_path / "o\udce9"}, "is not valid UTF-8"),
    ):
        with pytest.raises((UsageError, InputError), match=message):
            run_job(replace(options, **changes), lambda _: None)


def test_a_new_job_leaves_the_problems_of_another_one_alone(tiny_bundle, tmp_path):
    corpora.make_posts(2).with_columns(text=pl.lit("")).write_csv(tmp_path / "posts.csv")
    options = ScoreOptions(
        inputs=(str(tmp_path / "posts.csv"),),
        output=tmp_path / "one.parquet",
        model=tiny_bundle,
        problems=tmp_path / "problems.csv",
    )
    run_job(options, lambda _: None)
    listed = (tmp_path / "problems.csv").read_text()
    assert run_job(options, lambda _: None).already
    with pytest.raises(UsageError, match=r"problems\.csv already exists, and .*two\.parquet does not"):
        run_job(replace(options, output=tmp_path / "two.parquet"), lambda _: None)
    assert (tmp_path / "problems.csv").read_text() == listed
