from __future__ import annotations

import base64
import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from sentimm.errors import ColumnError, InputError, TableError, UsageError
from sentimm.findings.designs import Design, check_design, read_design, write_design
from sentimm.findings.options import SampleOptions, SheetOptions
from sentimm.findings.sampling import Sheet, divide_rows, draw_sheet, extend_sheet
from sentimm.findings.scored import ScoredPosts, open_scored
from sentimm.findings.sheets.labels import find_design, read_labelled_sample, read_sheets
from sentimm.findings.sheets.rows import SheetRow, make_thumbnail
from sentimm.findings.sheets.spreadsheets import COLUMNS, read_csv, write_csv, write_excel
from sentimm.findings.sheets.tools import read_json, write_doccano, write_label_studio, write_prodigy
from tests.findings.corpora import LABELS, make_scored


@pytest.fixture(scope="module")
def scored() -> ScoredPosts:
    return open_scored(make_scored(800))


@pytest.fixture(scope="module")
def sheet(scored: ScoredPosts) -> Sheet:
    return draw_sheet(scored, ask(labels=100))


def ask(labels: int) -> SampleOptions:
    return SampleOptions(("scored.parquet",), plan=True, labels=labels)


def choose_label(row: SheetRow) -> str:
    return LABELS[int(row.sheet_id.rpartition("-")[2]) % 3]


def agree(path: Path, sheet: Sheet, design: Path) -> bool:
    """Return whether the labels that are read are those of `choose_label`."""
    found = read_sheets([path], read_design(design)).votes
    expected = {row.sheet_id: LABELS.index(choose_label(row)) for row in sheet.rows}
    return dict(found.select("sheet_id", "label").iter_rows()) == expected


@pytest.fixture
def design(sheet: Sheet, tmp_path: Path) -> Path:
    write_design(tmp_path / "sheet.design.parquet", sheet.design)
    return tmp_path / "sheet.design.parquet"


def fill_csv(path: Path, sheet: Sheet, *, delimiter: str = ",", encoding: str = "utf-8-sig", lead: str = "") -> None:
    """Fill in a CSV as a spreadsheet saves it."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = {row.sheet_id: choose_label(row) for row in sheet.rows}
    with path.open("w", encoding=encoding, errors="replace", newline="") as file:
        file.write(lead)
        writer = csv.DictWriter(file, COLUMNS, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(row | {"label": labels[row["sheet_id"]].title() + " "} for row in rows)


@pytest.mark.parametrize(
    ("delimiter", "encoding", "lead"),
    [(",", "utf-8-sig", ""), (";", "cp1252", ""), ("\t", "utf-16", ""), (";", "utf-8", "sep=;\n"), (",", "utf-8", "")],
)
def test_a_csv_is_read_whatever_a_spreadsheet_made_of_it(
    sheet: Sheet, design: Path, tmp_path: Path, delimiter: str, encoding: str, lead: str
) -> None:
    odd = replace(sheet, rows=(replace(sheet.rows[0], text='Grüße; "quoted",\nzwei Zeilen'), *sheet.rows[1:]))
    write_csv(tmp_path / "sheet.csv", odd.rows)
    fill_csv(tmp_path / "sheet.csv", sheet, delimiter=delimiter, encoding=encoding, lead=lead)
    assert agree(tmp_path / "sheet.csv", sheet, design)


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    texts = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "plain")
    write_csv(tmp_path / "sheet.csv", [SheetRow(f"s{number}", text) for number, text in enumerate(texts)])
    with (tmp_path / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = [row["text"] for row in csv.DictReader(file)]
    assert cells == [*(f"'{text}" for text in texts[:-1]), "plain"]


def test_an_excel_workbook_comes_back(sheet: Sheet, design: Path, tmp_path: Path) -> None:
    fastexcel = pytest.importorskip("fastexcel")
    path = tmp_path / "sheet.xlsx"
    Image.new("RGB", (40, 30), "red").save(tmp_path / "cat.jpg")
    rows = [replace(sheet.rows[0], text="=cmd|'/c calc'!A1", image=tmp_path / "cat.jpg"), *sheet.rows[1:]]
    write_excel(path, rows, LABELS)
    frame = fastexcel.read_excel(str(path)).load_sheet(0, dtypes="string").to_polars()
    assert frame.columns == list(COLUMNS)
    assert frame["text"][0] == "=cmd|'/c calc'!A1"  # as text: nothing was computed
    # What a person fills in, by the library that writes workbooks.
    import xlsxwriter

    with xlsxwriter.Workbook(str(path)) as book:
        page = book.add_worksheet()
        page.write_row(0, 0, COLUMNS)
        for number, row in enumerate(sheet.rows, 1):
            page.write_row(number, 0, [row.sheet_id, "", "", choose_label(row).upper()])
    assert agree(path, sheet, design)


def test_label_studio(sheet: Sheet, design: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "cat.jpg")
    rows = [replace(sheet.rows[0], image=tmp_path / "cat.jpg"), *sheet.rows[1:]]
    folder = tmp_path / "sheet"
    write_label_studio(folder, rows, LABELS, design)
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    assert [set(task) for task in tasks] == [{"data"}] * len(rows)  # no id, which the tool overwrites; no predictions
    assert tasks[0]["data"]["image"] == f"/data/local-files/?d=sheet/{rows[0].sheet_id}.jpg"
    assert (folder / f"{rows[0].sheet_id}.jpg").is_file()
    assert "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true" in (folder / "README.md").read_text(encoding="utf-8")

    def annotate(task: dict[str, object], label: str) -> dict[str, object]:
        result = {"value": {"choices": [label]}, "from_name": "label", "to_name": "text", "type": "choices"}
        own = {"id": 7, "completed_by": 1, "result": [result], "was_cancelled": False, "ground_truth": False}
        skipped = {"id": 8, "completed_by": 2, "result": [], "was_cancelled": True}
        return {"id": 1, "annotations": [own, skipped], "drafts": [], "predictions": [], **task}

    labels = [choose_label(row) for row in sheet.rows]
    export = folder / "export.json"
    export.write_text(json.dumps([annotate(*pair) for pair in zip(tasks, labels, strict=True)]), encoding="utf-8")
    assert agree(export, sheet, design)
    assert find_design([export]) == design
    least = [
        {**task["data"], "id": 5, "label": label, "annotator": 1, "annotation_id": 7, "lead_time": 2.5}
        for task, label in zip(tasks, labels, strict=True)
    ]
    export.write_text(json.dumps(least), encoding="utf-8")
    assert agree(export, sheet, design)


def test_doccano(sheet: Sheet, design: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheet.jsonl"
    write_doccano(path, sheet.rows)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert set(lines[0]) == {"text", "label", "sheet_id"}
    labels = [choose_label(row) for row in sheet.rows]
    done = [line | {"id": 3, "label": [label], "Comments": []} for line, label in zip(lines, labels, strict=True)]
    path.write_text("".join(json.dumps(line) + "\n" for line in done), encoding="utf-8")
    assert agree(path, sheet, design)
    images = [{"id": 3, "filename": f"{row.sheet_id}.jpg", "label": [choose_label(row)]} for row in sheet.rows]
    path.write_text("".join(json.dumps(line) + "\n" for line in images), encoding="utf-8")
    assert agree(path, sheet, design)


def test_prodigy(sheet: Sheet, design: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheet.jsonl"
    Image.new("RGB", (900, 600), "blue").save(tmp_path / "cat.jpg")
    write_prodigy(path, [replace(sheet.rows[0], image=tmp_path / "cat.jpg"), *sheet.rows[1:]], LABELS)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines[0]["options"][0] == {"id": "negative", "text": "negative"}
    (picture,) = (line["image"] for line in lines if "image" in line)
    with Image.open(io.BytesIO(base64.b64decode(picture.removeprefix("data:image/jpeg;base64,")))) as shown:
        assert shown.size == (400, 267)
    labels = [choose_label(row) for row in sheet.rows]
    done = [
        line | {"accept": [label], "answer": "accept", "_annotator_id": "anna"}
        for line, label in zip(lines, labels, strict=True)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in done), encoding="utf-8")
    assert agree(path, sheet, design)
    ignored = [{**line, "answer": "ignore"} for line in done]
    path.write_text("".join(json.dumps(line) + "\n" for line in ignored), encoding="utf-8")
    assert {each.label for each in read_json(path)} == {None}


def test_several_people_and_their_overlap(scored: ScoredPosts, sheet: Sheet, design: Path, tmp_path: Path) -> None:
    own = divide_rows(sheet.rows, 2, 20, seed=1)
    ids = [{row.sheet_id for row in rows} for rows in own]
    assert len(ids[0] & ids[1]) == 20
    assert ids[0] | ids[1] == {row.sheet_id for row in sheet.rows}
    for name, rows in zip(("anna", "ben"), own, strict=True):
        write_csv(tmp_path / f"sheet.{name}.csv", rows)
        fill_csv(tmp_path / f"sheet.{name}.csv", sheet)
    sheets = [tmp_path / "sheet.anna.csv", tmp_path / "sheet.ben.csv"]
    assert find_design(sheets) == design
    sample, labels = read_labelled_sample(SheetOptions(tuple(map(str, sheets))), scored)
    assert labels.votes["annotator"].unique().sort().to_list() == ["sheet.anna", "sheet.ben"]
    assert len(sample.votes) == len(sheet.design.posts)
    with pytest.raises(UsageError, match="--overlap"):
        divide_rows(sheet.rows, 2, 1000, seed=1)


def test_more_of_the_same_sheet(scored: ScoredPosts, sheet: Sheet) -> None:
    more = extend_sheet(scored, sheet.design, ask(labels=50))
    before = dict(sheet.design.posts.select("place", "sheet_id").iter_rows())
    after = dict(more.design.posts.select("place", "sheet_id").iter_rows())
    assert {place: after[place] for place in before} == before
    assert len(after) >= len(before) + 45
    assert {row.sheet_id for row in more.rows} == set(after.values()) - set(before.values())
    assert more.design.frame is sheet.design.frame
    with pytest.raises(UsageError, match="nothing to add"):
        whole = draw_sheet(scored, ask(labels=10_000))
        extend_sheet(scored, whole.design, ask(labels=5))


def test_a_design_that_was_edited_or_is_of_another_corpus(scored: ScoredPosts, sheet: Sheet, tmp_path: Path) -> None:
    path = tmp_path / "x.design.parquet"
    write_design(path, sheet.design)
    check_design(read_design(path), scored, path)
    with pytest.raises(UsageError, match="another corpus"):
        check_design(read_design(path), replace(scored, fingerprint="other"), path)
    with pytest.raises(UsageError, match="for training"):
        check_design(replace(sheet.design, is_random=False), scored, path)
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    edited = pl.read_parquet(path).with_columns(stratum=pl.lit(0, pl.Int64)).to_arrow()
    pq.write_table(edited.replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(TableError, match="was edited"):
        read_design(path)
    pl.DataFrame({"a": [1]}).write_parquet(path)
    with pytest.raises(TableError, match="no design file"):
        read_design(path)
    with pytest.raises(InputError, match="no design file"):
        read_design(tmp_path / "absent.design.parquet")


def test_blanks_unknown_ids_and_foreign_sheets(sheet: Sheet, design: Path, tmp_path: Path) -> None:
    def write(rows: list[tuple[str, str]]) -> Path:
        path = tmp_path / "sheet.csv"
        path.write_text("sheet_id,label\n" + "".join(f"{a},{b}\n" for a, b in rows), encoding="utf-8")
        return path

    def read(rows: list[tuple[str, str]]) -> tuple[str, ...]:
        return read_sheets([write(rows)], read_design(design)).notes

    ids = [row.sheet_id for row in sheet.rows]
    assert read([(name, "neg") for name in ids]) == ()
    assert "10 of" in read([(name, "neg" if number >= 10 else "") for number, name in enumerate(ids)])[0]
    assert "unknown sheet_id" in read([*((name, "neg") for name in ids), ("s9999", "pos")])[0]
    with pytest.raises(UsageError, match="not in its design"):
        read([("x1", "pos"), ("x2", "neg")])
    with pytest.raises(ColumnError, match="no column 'label'"):
        path = tmp_path / "other.csv"
        path.write_text("sheet_id,lable\ns0001,neg\n", encoding="utf-8")
        read_csv(path)
    with pytest.raises(TableError, match="no export"):
        path = tmp_path / "other.json"
        path.write_text('[{"text": "x"}]', encoding="utf-8")
        read_json(path)


def test_thumbnails_hold_no_metadata(tmp_path: Path) -> None:
    image = Image.new("RGB", (900, 600), "blue")
    exif = image.getexif()
    exif[0x0112], exif[0x010E] = 6, "a secret place"
    image.save(tmp_path / "x.jpg", exif=exif)
    content = make_thumbnail(tmp_path / "x.jpg")
    assert content is not None and b"secret" not in content and b"Exif" not in content
    with Image.open(io.BytesIO(content)) as thumbnail:
        assert thumbnail.size == (160, 240)  # upright
    assert make_thumbnail(b"no picture") is None


def test_strata_come_back_from_a_design(sheet: Sheet, design: Path) -> None:
    found: Design = read_design(design)
    assert found.frame.strata == sheet.design.frame.strata
    assert found.posts.equals(sheet.design.posts)
    assert found.drawn.tolist() == sheet.design.drawn.tolist()
