"""The JSON of each command, which others read: keys and types as in json_shapes.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sentimm import doctor
from sentimm.events import Event, PartCommitted
from sentimm.options import ScoreOptions
from sentimm.runtime import batch_sizes, devices
from sentimm.scoring.job import run_job
from tests.support.commands import run

SHAPES: dict[str, Any] = json.loads(Path(__file__).with_name("json_shapes.json").read_text(encoding="utf-8"))
SCORE = ("score", "posts.csv", "--images", "images", "-o", "scored.parquet", "--json")


def describe(value: object) -> object:
    """Return a value's shape: keys of objects, the first element's shape for lists, else the name of the type.

    An object that occurs often is described by its name among the shapes.
    """
    if isinstance(value, dict):
        shape = {key: describe(each) for key, each in value.items()}
        return next((name for name in ("interval", "label figures", "report") if SHAPES[name] == shape), shape)
    if isinstance(value, list):
        return [describe(each) for each in value[:1]]
    return type(value).__name__


def read_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> object:
    code, out, err = run(capsys, *arguments)
    assert code == 0, err
    assert out.count("\n") == 1
    return json.loads(out)


@pytest.fixture(autouse=True)
def fixed_machine(built_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose facts do not depend on where the tests run."""
    monkeypatch.setattr(batch_sizes, "TRIAL_SECONDS", 0.01)
    monkeypatch.setattr(devices, "find_installed", lambda name: None if name == "onnxruntime" else "1.0")
    monkeypatch.setattr(doctor, "list_gpus", lambda: ("a GPU",))
    monkeypatch.setattr(doctor, "find_reason_against_cuda", lambda bundle: "no driver")
    monkeypatch.setattr(doctor, "find_int8_instructions", lambda: ("avx2",))


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ("score", SCORE),
        ("score --dry-run", (*SCORE, "--dry-run")),
        ("bench", ("bench", "posts.csv", "--images", "images", "--json")),
        ("info", ("info", "--json")),
        ("doctor", ("doctor", "--json")),
    ],
)
def test_json_has_its_keys_and_types(
    shape: str, arguments: tuple[str, ...], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert describe(read_json(capsys, *arguments)) == SHAPES[shape]


def test_json_of_an_evaluation_is_the_report(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = (corpus / "posts.csv", "--images", corpus / "images", "-o", tmp_path / "report")
    found = read_json(capsys, "evaluate", *place, "--json")
    assert describe(found) == SHAPES["evaluate"]
    assert json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8")) == found


def test_json_of_a_status_is_the_same_while_a_job_runs_and_after_it(
    here: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = here / "scored.parquet"
    running = []

    def tell(event: Event) -> None:
        if event == PartCommitted(12):
            running.append(read_json(capsys, "status", output, "--json"))

    run_job(ScoreOptions(inputs=("posts.csv",), output=output, model=tiny_bundle, chunk_rows=4), tell)
    assert [describe(each) for each in running] == [SHAPES["status, running"]]
    assert describe(read_json(capsys, "status", output, "--json")) == SHAPES["status, done"]
