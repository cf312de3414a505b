from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from sentimm.bundle.bundle import load_bundle
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job_folder.fingerprint import Fingerprint, describe_changes, take_fingerprint
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
    every = take(table, tiny_bundle, views=True, corpus=CorpusOptions(prefix="b_"))
    assert every["options"].keys() == given.keys()
    for name, value in given.items():
        if name == "views":
            value = None
        changed = {**every, "options": {**every["options"], name: value}}
        (clause,) = describe_changes(changed, every)
        assert clause.startswith(f"--{name.replace('_', '-')} was ")
    assert describe_changes(every, every) == []
