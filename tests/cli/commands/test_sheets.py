"""`evaluate` on labelling sheets."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.findings.corpora import LABELS, make_scored
from tests.support.commands import fail, run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """A working directory with scored.parquet; its posts. Neither torch nor scikit-learn is there."""
    monkeypatch.chdir(tmp_path)
    for module in ("torch", "sklearn", "scipy", "onnxruntime"):
        monkeypatch.setitem(sys.modules, module, None)
    scored = make_scored(1000)
    scored.write_parquet("scored.parquet")
    return scored


def draw(capsys: pytest.CaptureFixture[str], *arguments: object) -> None:
    assert run(capsys, "sample", "scored.parquet", *arguments).code == 0


def read_sheet(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def label(path: str, scored: pl.DataFrame, other: str = "") -> None:
    """Fill in a CSV sheet with the truth, or with `other` in the first row."""
    truth = dict(scored.select("text", "truth").iter_rows())
    rows = read_sheet(path)
    pl.DataFrame(
        [row | {"label": other if other and not n else truth[row["text"]]} for n, row in enumerate(rows)]
    ).write_csv(path)


def export_label_studio(path: str, scored: pl.DataFrame, export: str) -> None:
    """Write what Label Studio exports of the tasks in a folder."""
    truth = dict(scored.select("text", "truth").iter_rows())
    tasks = json.loads((Path(path) / "tasks.json").read_text(encoding="utf-8"))
    for task in tasks:
        choice = {"from_name": "label", "type": "choices", "value": {"choices": [truth[task["data"]["text"]]]}}
        task["annotations"] = [{"completed_by": 1, "was_cancelled": False, "result": [choice]}]
    Path(export).write_text(json.dumps(tasks), encoding="utf-8")


@pytest.mark.parametrize("kind", ["csv", "label-studio"])
def test_a_sheet_is_evaluated_by_its_design(capsys: pytest.CaptureFixture[str], here: pl.DataFrame, kind: str) -> None:
    if kind == "csv":
        draw(capsys, "--labels", 300, "-o", "sheet.csv")
        label("sheet.csv", here)
        arguments: list[object] = ["sheet.csv"]
    else:
        draw(capsys, "--labels", 300, "-o", "sheet", "--format", kind)
        export_label_studio("sheet", here, "export.json")
        arguments = ["export.json", "--design", "sheet.design.parquet"]
    found = json.loads(run(capsys, "evaluate", *arguments, "--json").out)
    accuracy = (here["sentiment"] == here["truth"]).mean()
    report = found["report"]
    assert report["accuracy"]["low"] <= accuracy <= report["accuracy"]["high"]
    assert sum(map(sum, report["confusion"])) == pytest.approx(1000) == found["posts"]
    assert [each["label"] for each in report["labels"]] == list(LABELS) == found["labels"]
    shown = run(capsys, "evaluate", *arguments)
    assert shown.code == 0
    assert "speak for the 1,000 posts" in shown.out
    assert f"{report['accuracy']['value']:.1%}" in shown.out


def test_people_who_label_the_same_rows_have_an_alpha(capsys: pytest.CaptureFixture[str], here: pl.DataFrame) -> None:
    draw(capsys, "--labels", 120, "--annotators", "anna,ben", "--overlap", 40, "-o", "sheet.csv")
    label("sheet.anna.csv", here)
    label("sheet.ben.csv", here)
    found = json.loads(run(capsys, "evaluate", "sheet.anna.csv", "sheet.ben.csv", "--json").out)
    assert (found["annotators"], found["alpha"], found["alpha_ordinal"]) == (2, 1.0, 1.0)
    assert "2 people agree with an alpha" in run(capsys, "evaluate", "sheet.anna.csv", "sheet.ben.csv").out


def test_a_report_is_written(capsys: pytest.CaptureFixture[str], here: pl.DataFrame) -> None:
    pytest.importorskip("matplotlib")
    draw(capsys, "--labels", 100, "-o", "sheet.csv")
    label("sheet.csv", here)
    assert run(capsys, "evaluate", "sheet.csv", "-o", "report").code == 0
    assert json.loads(Path("report/report.json").read_text(encoding="utf-8"))["labelled"] > 90
    assert Path("report/confusion.png").stat().st_size > 1000


def test_what_is_wrong_with_a_sheet_is_told(capsys: pytest.CaptureFixture[str], here: pl.DataFrame) -> None:
    draw(capsys, "--labels", 100, "-o", "sheet.csv")
    assert fail(capsys, "evaluate", "sheet.csv") == (
        2,
        "sheet.csv holds no labels yet: fill in the column `label` first.",
    )
    label("sheet.csv", here, "splendid")
    assert "splendid" in fail(capsys, "evaluate", "sheet.csv")[1]
    label("sheet.csv", here)
    code, message = fail(capsys, "evaluate", "sheet.csv", "--labels", "a,b")
    assert (code, message) == (
        2,
        "--labels does not go with a labelling sheet, which is compared with the answers in its design file: "
        "leave it out.",
    )
    draw(capsys, "--labels", 100, "--seed", 2, "-o", "other.csv")
    code, message = fail(capsys, "evaluate", "sheet.csv", "--design", "other.design.parquet")
    assert code == 2 and "ids that are not in its design" in message
    label("other.csv", here)
    code, message = fail(capsys, "evaluate", "sheet.csv", "scored.parquet")
    assert code == 2 and "evaluate each by itself" in message
    Path("sheet.design.parquet").unlink()
    code, message = fail(capsys, "evaluate", "sheet.csv")
    assert code == 2 and "sheet.csv is a labelling sheet, but sheet.design.parquet" in message


def test_posts_chosen_to_train_on_say_nothing_of_the_corpus(
    capsys: pytest.CaptureFixture[str], here: pl.DataFrame
) -> None:
    draw(capsys, "--labels", 100, "--for-training", "-o", "sheet.csv")
    label("sheet.csv", here)
    code, message = fail(capsys, "evaluate", "sheet.csv")
    assert code == 2 and "--for-training" in message


def test_a_corpus_beside_a_design_is_no_sheet(capsys: pytest.CaptureFixture[str], here: pl.DataFrame) -> None:
    # `tweets.csv` is the corpus, and `sample` was asked for `tweets.jsonl`.
    here.select("text", label="truth").write_csv("tweets.csv")
    draw(capsys, "--labels", 100, "-o", "other.csv")
    Path("other.design.parquet").rename("tweets.design.parquet")
    code, message = fail(capsys, "evaluate", "tweets.csv")
    assert "sheet" not in message
    assert code != 0  # for scikit-learn is not there
