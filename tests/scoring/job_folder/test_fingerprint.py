from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from sentimm.bundle.bundle import load_bundle
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job_folder.fingerprint import Fingerprint, adopt_inputs, describe_changes, take_fingerprint
from tests.support.failures.local_jobs import run, run_partly
from tests.support.posts.reading import survey

# Jobs of earlier versions are resumed by their fingerprints: a name that is added here is left out where it has its
# default, as `views` is; see CONTRIBUTING.md.
ALWAYS = {
    "images": None,
    "text_column": None,
    "image_column": None,
    "id_column": None,
    "columns": None,
    "only": None,
    "limit": None,
    "prefix": "",
    "no_infer_types": False,
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    pl.DataFrame({"text": ["good", "bad"]}).write_csv(tmp_path / "posts.csv")
    return tmp_path / "posts.csv"


def take(table: Path, bundle: Path, **options: object) -> Fingerprint:
    asked = ScoreOptions(inputs=(str(table),), output=table.with_suffix(".parquet"), model=bundle, **options)  # type: ignore[arg-type]
    return take_fingerprint(survey(table), asked, load_bundle(bundle), "fp32")


def test_what_a_fingerprint_says_of_options_that_were_not_given(table: Path, tiny_bundle: Path) -> None:
    assert take(table, tiny_bundle)["options"] == ALWAYS


def test_each_option_of_a_fingerprint_is_named_when_it_changes(table: Path, tiny_bundle: Path) -> None:
    given = {**ALWAYS, "images": "photos", "prefix": "a_", "no_infer_types": True, "limit": 7, "views": True}
    given |= {name: "x" for name, value in given.items() if value is None}
    given |= {"encoding": "cp1252", "no_header": True, "union": True}
    corpus = CorpusOptions(prefix="b_", encoding="cp1251", no_header=True, union=True)
    every = take(table, tiny_bundle, views=True, corpus=corpus)
    assert every["options"].keys() == given.keys()
    for name, value in given.items():
        if name in ("views", "no_header", "union"):
            value = None
        changed = {**every, "options": {**every["options"], name: value}}
        (clause,) = describe_changes(changed, every)
        assert clause.startswith(f"--{name.replace('_', '-')} was ")
    assert describe_changes(every, every) == []


def test_a_copy_of_a_table_without_its_time_is_the_same_input(table: Path, tiny_bundle: Path) -> None:
    before = take(table, tiny_bundle)
    os.utime(table, (1, 1))
    after = take(table, tiny_bundle)
    assert describe_changes(before, after) == [f"{table} changed"]
    assert adopt_inputs(before, after) == before
    content = table.read_text()
    table.write_text(content.replace("good", "fine"))
    assert describe_changes(before, adopt_inputs(before, take(table, tiny_bundle))) == [f"{table} changed"]


def test_jobs_that_know_only_the_edges_of_a_table_go_on(table: Path, tiny_bundle: Path) -> None:
    now = take(table, tiny_bundle)
    (described,) = now["inputs"]
    before = {**now, "inputs": [{name: value for name, value in described.items() if name != "sha256"}]}
    assert adopt_inputs(before, now) == before
    os.utime(table, (1, 1))
    later = take(table, tiny_bundle)
    assert adopt_inputs(before, later) == later


def test_a_stopped_job_goes_on_and_a_finished_one_stays_on_a_copy(table: Path, tiny_bundle: Path) -> None:
    pl.DataFrame({"text": ["good", "bad"] * 5}).write_csv(table)
    options = ScoreOptions((str(table),), output=table.with_suffix(".parquet"), model=tiny_bundle, chunk_rows=4)
    run_partly(options)
    os.utime(table, (1, 1))
    assert run(options).scored == 6
    os.utime(table, (2, 2))
    assert run(options).already


def test_a_job_that_did_not_read_several_columns_of_images_does_not_go_on(
    table: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    pl.DataFrame({"text": ["good"], "image_1": ["a.jpg"], "image_2": ["b.jpg"]}).write_csv(table)
    (tmp_path / "images").mkdir()
    found = survey(table, images=tmp_path / "images", allow_missing=True)
    asked = ScoreOptions(inputs=(str(table),), output=table.with_suffix(".parquet"), model=tiny_bundle)
    now = take_fingerprint(found, asked, load_bundle(tiny_bundle), "fp32")
    before = {**now, "options": {name: value for name, value in now["options"].items() if name != "image_columns"}}
    assert describe_changes(before, now) == ["which columns of images are read was not given and is image_*"]


def test_what_is_repaired_in_the_texts_is_a_part_of_the_job(table: Path, tiny_bundle: Path) -> None:
    pl.DataFrame({"text": ["<p>good</p>", "bad"]}).write_csv(table)
    now = take(table, tiny_bundle)
    before = {**now, "options": {name: value for name, value in now["options"].items() if name != "repairs"}}
    assert describe_changes(before, now) == ["what is repaired in the texts was not given and is markup"]
    named = take(table, tiny_bundle, corpus=CorpusOptions(null_values=("-",)))
    assert describe_changes(now, named) == ["--null-values was not given and is -"]
