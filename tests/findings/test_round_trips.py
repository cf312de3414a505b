"""Sheets that come back as people's spreadsheets and labelling tools save them, end to end."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from tests.findings.corpora import make_scored
from tests.support.commands import fail, run

Row = dict[str, str]


@pytest.fixture(autouse=True)
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """A working directory with scored.parquet, whose texts hold what spreadsheets stumble over."""
    monkeypatch.chdir(tmp_path)
    odd = ('=1+1; "so", he said', "Grüße aus Köln", "0012", "two\nlines", "-5 points", "plain")
    scored = make_scored(400).with_columns(
        text=pl.Series([f"{odd[number % len(odd)]} {number}" for number in range(400)])
    )
    scored.write_parquet("scored.parquet")
    return scored


def draw(capsys: pytest.CaptureFixture[str], *arguments: object) -> None:
    drawn = run(capsys, "sample", "scored.parquet", "--labels", 80, *arguments)
    assert drawn.code == 0, drawn.err


def read_rows(path: str) -> list[Row]:
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        return [row | {"label": choose_label(row["sheet_id"])} for row in csv.DictReader(file)]


def choose_label(sheet_id: str) -> str:
    return ("negative", "neutral", "positive")[int(sheet_id[-4:]) % 3]


def estimate(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[float]:
    found = run(capsys, "shares", "scored.parquet", *arguments, "--json")
    assert found.code == 0, found.err
    return [row["share"] for row in json.loads(found.out)["shares"]]


@pytest.fixture
def expected(capsys: pytest.CaptureFixture[str]) -> list[float]:
    """The shares by a sheet that a program filled in; sheet.csv is drawn anew, without labels."""
    draw(capsys, "-o", "sheet.csv")
    rows = read_rows("sheet.csv")
    with Path("filled.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return estimate(capsys, "--labels", "filled.csv", "--design", "sheet.design.parquet")


def write(rows: Sequence[Row], names: Sequence[str], delimiter: str = ",", end: str = "\r\n") -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(names)
    writer.writerows([row.get(name.strip().lower(), "") for name in names] for row in rows)
    return buffer.getvalue()


NAMES = ("sheet_id", "text", "image", "label", "unsure", "comment")
HABITS: dict[str, Callable[[list[Row]], bytes]] = {
    "semicolons in cp1252": lambda rows: write(rows, NAMES, ";").encode("cp1252", errors="replace"),
    "a mark and semicolons": lambda rows: write(rows, NAMES, ";").encode("utf-8-sig"),
    "tabs in UTF-16": lambda rows: write(rows, NAMES, "\t").encode("utf-16"),
    "empty columns at the end": lambda rows: write(rows, [*NAMES, "", "", ""]).encode(),
    "empty rows at the end": lambda rows: (write(rows, NAMES) + ",,,,,\r\n" * 50).encode(),
    "other order": lambda rows: write(sorted(rows, key=lambda row: row["text"]), NAMES[::-1]).encode(),
    "only two columns": lambda rows: write(rows, ("label", "sheet_id")).encode(),
    "own columns and names in capitals": lambda rows: write(rows, ("Nr", "SHEET_ID", " Label", "Text")).encode(),
    "line ends of an old Mac": lambda rows: write(rows, NAMES, ",", "\r").encode("mac-roman", errors="replace"),
    "short names": lambda rows: write(
        [row | {"label": f" {row['label'][:3].upper()}"} for row in rows], NAMES
    ).encode(),
    "apostrophes": lambda rows: write([row | {"sheet_id": f"'{row['sheet_id']}"} for row in rows], NAMES).encode(),
}


@pytest.mark.parametrize("habit", HABITS)
def test_what_a_spreadsheet_saves(capsys: pytest.CaptureFixture[str], expected: list[float], habit: str) -> None:
    Path("sheet.csv").write_bytes(HABITS[habit](read_rows("sheet.csv")))
    assert estimate(capsys, "--labels", "sheet.csv") == pytest.approx(expected)


@pytest.mark.parametrize("numbers", [False, True])
def test_a_workbook_that_is_filled_in(
    capsys: pytest.CaptureFixture[str], expected: list[float], *, numbers: bool
) -> None:
    xlsxwriter, fastexcel = pytest.importorskip("xlsxwriter"), pytest.importorskip("fastexcel")
    draw(capsys, "-o", "sheet.xlsx")
    frame = fastexcel.read_excel("sheet.xlsx").load_sheet(0, dtypes="string").to_polars()
    assert sorted(frame["sheet_id"]) == sorted(row["sheet_id"] for row in read_rows("sheet.csv"))
    assert "0012 2" in frame["text"].to_list() or frame["text"].str.starts_with("0012").any()
    with xlsxwriter.Workbook("sheet.xlsx") as book:
        page = book.add_worksheet("posts")
        page.write_row(0, 0, frame.columns)
        for number, row in enumerate(frame.iter_rows(named=True), 1):
            page.write_string(number, 0, row["sheet_id"])
            label = choose_label(row["sheet_id"])
            if numbers:
                page.write_number(number, 3, ("negative", "neutral", "positive").index(label) - 1)
            else:
                page.write_string(number, 3, label.title())
        page.write_blank(len(frame) + 40, 9, None, book.add_format({"bold": True}))  # a cell that was once touched
    assert estimate(capsys, "--labels", "sheet.xlsx") == pytest.approx(expected)


def make_label_studio(tasks: list[dict[str, Any]], *, least: bool) -> list[dict[str, Any]]:
    """Return what Label Studio exports of tasks, as JSON or JSON-MIN, by two people of whom one skips all."""
    exported = []
    for number, task in enumerate(tasks, 1):
        label = choose_label(task["data"]["sheet_id"])
        if least:
            times = {"created_at": "2024-05-01T10:00:00.0Z", "updated_at": "2024-05-01T10:00:00.0Z", "lead_time": 3.1}
            exported.append(
                {**task["data"], "id": number, "label": label, "annotator": 1, "annotation_id": number, **times}
            )
            continue
        result = {"id": "Kz1", "type": "choices", "value": {"choices": [label]}, "origin": "manual"}
        own = {
            "result": [result | {"to_name": "text", "from_name": "label"}],
            "completed_by": {"id": 1, "email": "a@b.c"},
        }
        counts = {"total_annotations": 1, "cancelled_annotations": 1, "inner_id": number, "meta": {}, "drafts": []}
        annotations = [
            own | {"id": number, "was_cancelled": False, "ground_truth": False, "lead_time": 3.1},
            {"id": number + 900, "completed_by": 2, "result": [], "was_cancelled": True},
        ]
        exported.append({"id": number, "annotations": annotations, "predictions": [], **counts, "data": task["data"]})
    return exported


@pytest.mark.parametrize("least", [False, True])
def test_label_studio(capsys: pytest.CaptureFixture[str], expected: list[float], *, least: bool) -> None:
    draw(capsys, "-o", "sheet")
    tasks = json.loads(Path("sheet/tasks.json").read_text(encoding="utf-8"))
    Path("project-1.json").write_text(json.dumps(make_label_studio(tasks, least=least)), encoding="utf-8")
    arguments = ("--labels", "project-1.json", "--design", "sheet.design.parquet")
    assert estimate(capsys, *arguments) == pytest.approx(expected)


def test_every_task_has_what_the_labelling_interface_shows(
    capsys: pytest.CaptureFixture[str], scored: pl.DataFrame
) -> None:
    Path("photos").mkdir()
    Image.new("RGB", (40, 30), "red").save("photos/cat.jpg")
    names = pl.when(pl.col("id") % 2 == 0).then(pl.lit("cat.jpg")).alias("image")
    scored.with_columns(names, modality=pl.lit("text+image")).write_parquet("scored.parquet")
    draw(capsys, "-o", "sheet", "--images", "photos")
    tasks = json.loads(Path("sheet/tasks.json").read_text(encoding="utf-8"))
    for task in tasks:  # Label Studio imports none if one lacks a variable of config.xml
        assert set(task["data"]) == {"sheet_id", "text", "image"}
        assert Path("sheet", task["data"]["image"].rpartition("/")[2]).is_file()
    assert len({task["data"]["image"] for task in tasks}) > 10
    shown = run(capsys, "sample", "scored.parquet", "--images", "photos", "-o", "other.jsonl")
    assert "Note: doccano shows no images beside texts" in shown.out
    assert "--images" in run(capsys, "sample", "scored.parquet", "-o", "none.csv").out


def test_doccano_with_a_file_for_each_annotator(capsys: pytest.CaptureFixture[str], expected: list[float]) -> None:
    draw(capsys, "-o", "sheet.jsonl")
    lines = [json.loads(line) for line in Path("sheet.jsonl").read_text(encoding="utf-8").splitlines()]
    for name, own in (("anna", lines[:50]), ("ben", lines[40:])):
        done = [
            {"id": number, "text": line["text"], "label": [choose_label(line["sheet_id"])], "Comments": []}
            | {"sheet_id": line["sheet_id"]}
            for number, line in enumerate(own, 7)
        ]
        Path(f"{name}.jsonl").write_text("\n".join(map(json.dumps, done)), encoding="utf-8")
    arguments = ("--labels", "anna.jsonl,ben.jsonl", "--design", "sheet.design.parquet")
    assert estimate(capsys, *arguments) == pytest.approx(expected)
    Path("export.zip").write_bytes(b"PK\x03\x04")
    code, message = fail(capsys, "shares", "scored.parquet", "--labels", "export.zip", *arguments[2:])
    assert (code, "unpack it" in message) == (1, True)


def test_prodigy(capsys: pytest.CaptureFixture[str], expected: list[float]) -> None:
    draw(capsys, "-o", "sheet.jsonl", "--format", "prodigy")
    lines = [json.loads(line) for line in Path("sheet.jsonl").read_text(encoding="utf-8").splitlines()]
    own = {"_view_id": "choice", "config": {"choice_style": "single"}, "answer": "accept", "_timestamp": 1714557600}
    done = [
        {
            **line,
            "_input_hash": number,
            "_task_hash": -number,
            "accept": [choose_label(line["meta"]["sheet_id"])],
            **own,
        }
        | {"_annotator_id": "db-anna", "_session_id": "db-anna"}
        for number, line in enumerate(lines)
    ]
    Path("db.jsonl").write_text("\n".join(map(json.dumps, done)) + "\n", encoding="utf-8")
    assert estimate(capsys, "--labels", "db.jsonl", "--design", "sheet.design.parquet") == pytest.approx(expected)


def test_what_comes_next_is_what_the_command_says(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "sample", "scored.parquet", "--labels", 80, "-o", "sheet")
    tasks = json.loads(Path("sheet/tasks.json").read_text(encoding="utf-8"))
    Path("EXPORT").with_suffix(".json").write_text(json.dumps(make_label_studio(tasks, least=False)), encoding="utf-8")
    command = shown.out.rpartition("then sentimm ")[2].replace("EXPORT", "EXPORT.json").split()
    assert run(capsys, *command).code == 0


def test_a_label_that_is_none_is_named_with_those_that_are(
    capsys: pytest.CaptureFixture[str], expected: list[float]
) -> None:
    for label in ("great", "7"):
        rows = [row | {"label": label if number == 9 else "pos"} for number, row in enumerate(read_rows("sheet.csv"))]
        Path("sheet.csv").write_text(write(rows, NAMES), encoding="utf-8")
        code, message = fail(capsys, "shares", "scored.parquet", "--labels", "sheet.csv")
        assert message == f"sheet.csv has the label {label!r}: write negative, neutral or positive."
        assert code == 2


def test_a_plan_begins_with_small_sheets(capsys: pytest.CaptureFixture[str]) -> None:
    plans = json.loads(run(capsys, "sample", "scored.parquet", "--plan", "--json").out)["plans"]
    assert [plan["labels"] for plan in plans][:3] == [100, 200, 300]
