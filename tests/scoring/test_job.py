from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from sentimm.errors import InputError, OutputError, TableError, UsageError
from sentimm.events import JobFinished, JobStarted
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job import run_job, survey_job
from sentimm.scoring.job_folder.output_paths import default_output
from sentimm.scoring.local import ChunkSize
from tests.scoring.output.test_columns import many_types
from tests.support.failures.local_jobs import OUTPUTS, ROWS, job_folder, read, run, run_partly
from tests.support.posts import corpora

ADDED = ["sentiment", "confidence", "p_negative", "p_neutral", "p_positive", "modality", "status"]


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
    assert (survey.rows, survey.texts, survey.images_named, survey.images_found) == (ROWS, 12, 14, 10)
    assert {name: str(dtype) for name, dtype in survey.schema.items()} == {
        "id": "String",
        "text": "String",
        "image": "String",
        "likes": "Int64",
    }
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
        corpus=CorpusOptions(allow_missing=True),
    )
    run_job(options, lambda _: None)
    listed = (tmp_path / "problems.csv").read_text()
    assert run_job(options, lambda _: None).already
    with pytest.raises(UsageError, match=r"problems\.csv already exists, and .*two\.parquet does not"):
        run_job(replace(options, output=tmp_path / "two.parquet"), lambda _: None)
    assert (tmp_path / "problems.csv").read_text() == listed
