from __future__ import annotations

import csv
import json
from pathlib import Path

import polars as pl
import pytest

from tests.findings.corpora import make_scored
from tests.support.commands import fail, run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """A working directory with scored.parquet; its posts."""
    monkeypatch.chdir(tmp_path)
    scored = make_scored(1000)
    scored.write_parquet("scored.parquet")
    return scored


def label(sheet: str, scored: pl.DataFrame, every: int = 1) -> None:
    """Fill in a CSV sheet with the truth, one row of `every`."""
    truth = dict(scored.select("text", "truth").iter_rows())
    with Path(sheet).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with Path(sheet).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=";")
        writer.writeheader()
        writer.writerows(row | {"label": truth[row["text"]] if not n % every else ""} for n, row in enumerate(rows))


def test_from_scored_posts_to_shares(capsys: pytest.CaptureFixture[str], here: pl.DataFrame) -> None:
    drawn = run(capsys, "sample", "scored.parquet", "--labels", 200, "-o", "sheet.csv")
    assert drawn.code == 0, drawn.err
    assert "Design: sheet.design.parquet" in drawn.out
    assert "Next: label it, then sentimm shares scored.parquet --labels sheet.csv" in drawn.out
    assert fail(capsys, "shares", "scored.parquet", "--labels", "sheet.csv") == (
        2,
        "sheet.csv holds no labels yet: fill in the column `label` first.",
    )
    label("sheet.csv", here)
    command = ("shares", "scored.parquet", "--labels", "sheet.csv", "--by", "party")
    found = run(capsys, *command, "-o", "shares.csv")
    assert found.code == 0, found.err
    assert found.out.startswith("Of 1,000 posts: ")
    assert "Each interval holds the true share with 95% confidence" in found.out
    table = pl.read_csv("shares.csv")
    assert table["group"].to_list()[3:] == ["blue"] * 3 + ["green"] * 3 + ["red"] * 3
    as_json = json.loads(run(capsys, *command, "--json", "--compare", "all").out)
    assert [row["share"] for row in as_json["shares"]] == pytest.approx(table["share"].to_list())
    assert len(as_json["differences"]) == 9
    assert 0 <= as_json["lambda"] <= 1


def test_a_sheet_with_labels_is_never_replaced(capsys: pytest.CaptureFixture[str], here: pl.DataFrame) -> None:
    command = ("sample", "scored.parquet", "--labels", 100, "-o", "sheet.csv")
    assert run(capsys, *command).code == 0
    assert run(capsys, *command).code == 0  # without labels it is
    label("sheet.csv", here, every=7)
    before = Path("sheet.csv").read_bytes()
    code, message = fail(capsys, *command)
    assert (code, "name another sheet with -o." in message) == (2, True)
    assert Path("sheet.csv").read_bytes() == before
    design = Path("sheet.design.parquet").read_bytes()
    for others in (("-o", "sheet.jsonl"), ("-o", "sheet"), ("-o", "sheet.csv", "--annotators", "anna,ben")):
        code, message = fail(capsys, "sample", "scored.parquet", "--labels", 20, *others)  # with the same design file
        assert (code, "sheet.design.parquet is replaced" in message) == (2, True)
        assert Path("sheet.design.parquet").read_bytes() == design
    Path("notes.csv").write_text("my notes\n", encoding="utf-8")
    assert fail(capsys, *command[:-1], "notes.csv")[0] == 2
    assert Path("notes.csv").read_text(encoding="utf-8") == "my notes\n"


def test_a_sheet_grows(capsys: pytest.CaptureFixture[str], here: pl.DataFrame) -> None:
    assert run(capsys, "sample", "scored.parquet", "--labels", 100, "-o", "first.csv").code == 0
    more = run(capsys, "sample", "scored.parquet", "--labels", 60, "--add", "first.csv", "-o", "second.csv")
    assert more.code == 0, more.err
    for sheet in ("first.csv", "second.csv"):
        label(sheet, here)
    assert more.out.rstrip().endswith("sentimm shares scored.parquet --labels first.csv,second.csv")
    both = run(capsys, "shares", "scored.parquet", "--labels", "first.csv,second.csv", "--json")
    assert both.code == 0, both.err
    assert json.loads(both.out)["shares"][0]["labels"] >= 155
    assert fail(capsys, "sample", "scored.parquet", "--add", "first.csv", "-o", "first.csv")[0] == 2


def test_labels_of_another_draw_are_refused(capsys: pytest.CaptureFixture[str], here: pl.DataFrame) -> None:
    assert run(capsys, "sample", "scored.parquet", "--labels", 60, "-o", "sheet.csv").code == 0
    label("sheet.csv", here)
    Path("sheet.csv").rename("of-a-colleague.csv")
    assert run(capsys, "sample", "scored.parquet", "--labels", 60, "--seed", 2, "-o", "sheet.csv").code == 0
    arguments = ("--labels", "of-a-colleague.csv", "--design", "sheet.design.parquet")
    code, message = fail(capsys, "shares", "scored.parquet", *arguments)
    assert (code, "not in its design" in message) == (2, True)


def test_a_sheet_of_another_corpus_is_refused_though_another_program_wrote_it(
    capsys: pytest.CaptureFixture[str], here: pl.DataFrame
) -> None:
    assert run(capsys, "sample", "scored.parquet", "--labels", 60, "-o", "sheet.csv").code == 0
    label("sheet.csv", here)
    here.reverse().write_parquet("sorted.parquet")
    here.head(500).write_parquet("part.parquet")
    for other in ("sorted.parquet", "part.parquet"):
        code, message = fail(capsys, "shares", other, "--labels", "sheet.csv")
        assert (code, "another corpus" in message) == (2, True)


def test_a_table_that_was_not_scored_is_a_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("text\nhello\n", encoding="utf-8")
    assert fail(capsys, "shares", "posts.csv") == (
        1,
        "posts.csv is no Parquet file: name the one that `sentimm score` wrote.",
    )


def test_a_plan_writes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    planned = run(capsys, "sample", "scored.parquet", "--plan", "--by", "party")
    assert planned.code == 0, planned.err
    assert "its smallest group or period" in planned.out and "± " in planned.out
    assert [path.name for path in tmp_path.iterdir()] == ["scored.parquet"]
    drawn = json.loads(run(capsys, "sample", "scored.parquet", "--margin", 6, "-o", "sheet.csv", "--json").out)
    assert drawn["margin"] == pytest.approx(6, abs=0.3)


def test_several_people(capsys: pytest.CaptureFixture[str], here: pl.DataFrame) -> None:
    arguments = ("sample", "scored.parquet", "--labels", 100, "--annotators", "anna,ben", "--overlap", 20)
    assert run(capsys, *arguments, "-o", "sheet.csv").code == 0
    for sheet in ("sheet.anna.csv", "sheet.ben.csv"):
        label(sheet, here)
    found = json.loads(
        run(capsys, "shares", "scored.parquet", "--labels", "sheet.anna.csv,sheet.ben.csv", "--json").out
    )
    assert found["shares"][0]["labels"] == 100


def test_a_sheet_to_train_on_says_nothing_of_the_corpus(capsys: pytest.CaptureFixture[str], here: pl.DataFrame) -> None:
    assert run(capsys, "sample", "scored.parquet", "--labels", 90, "--for-training", "-o", "sheet.csv").code == 0
    design = pl.read_parquet("sheet.design.parquet")
    unsure = design.select(1 - pl.max_horizontal("^p_.*$")).to_series().mean()
    everywhere = here.select(1 - pl.max_horizontal("^p_.*$")).to_series().mean()
    assert isinstance(unsure, float) and isinstance(everywhere, float) and unsure > everywhere + 0.05
    label("sheet.csv", here)
    code, message = fail(capsys, "shares", "scored.parquet", "--labels", "sheet.csv")
    assert (code, "chosen for training" in message) == (2, True)


def test_without_labels_the_hard_bound_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys, "shares", "scored.parquet")
    assert found.code == 0
    assert "How far that is off is not known." in found.out
    assert "the true share of negative lies anywhere from" in found.out
    assert "95%" not in found.out.replace("95% interval", "")


def test_a_margin_that_is_not_reached_is_exit_code_1(capsys: pytest.CaptureFixture[str], here: pl.DataFrame) -> None:
    run(capsys, "sample", "scored.parquet", "--labels", 100, "-o", "sheet.csv")
    label("sheet.csv", here)
    command = ("shares", "scored.parquet", "--labels", "sheet.csv", "-o", "shares.parquet", "--max-margin")
    assert run(capsys, *command, 40).code == 0
    missed = run(capsys, *command, 1)
    assert missed.code == 1
    assert "--max-margin 1 is not reached" in missed.out
    assert Path("shares.parquet").exists()


def test_a_group_without_an_interval_is_not_within_a_margin(
    capsys: pytest.CaptureFixture[str], here: pl.DataFrame
) -> None:
    rare = here.with_columns(party=pl.when(pl.col("id") < 4).then(pl.lit("rare")).otherwise("party"))
    rare.write_parquet("scored.parquet")
    run(capsys, "sample", "scored.parquet", "--labels", 200, "-o", "sheet.csv")
    label("sheet.csv", here)
    command = ("shares", "scored.parquet", "--labels", "sheet.csv", "--max-margin", 45)
    assert run(capsys, *command).code == 0
    missed = run(capsys, *command, "--by", "party", "--simultaneous")
    assert missed.code == 1
    assert "1 of the groups and periods have no interval" in missed.out
    assert "All intervals together hold the true shares with 95% confidence" in missed.out


def test_no_cell_of_a_table_is_a_formula(capsys: pytest.CaptureFixture[str], here: pl.DataFrame) -> None:
    here.with_columns(
        party=pl.col("party").replace({"red": '=HYPERLINK("x")', "green": "@SUM(A1)", "blue": "-1"})
    ).write_parquet("scored.parquet")
    outputs = ("-o", "shares.csv"), ("-o", "shares.parquet"), ("-o", "shares.xlsx")
    for output in outputs:
        assert run(capsys, "shares", "scored.parquet", "--by", "party", *output).code == 0
    groups = pl.read_csv("shares.csv", infer_schema=False)["group"].unique(maintain_order=True).to_list()
    assert groups == [None, "-1", '\'=HYPERLINK("x")', "'@SUM(A1)"]
    assert pl.read_parquet("shares.parquet")["group"][6] == '=HYPERLINK("x")'
    fastexcel = pytest.importorskip("fastexcel")
    book = fastexcel.read_excel("shares.xlsx").load_sheet(0, dtypes="string").to_polars()
    assert book["group"][6] == '=HYPERLINK("x")'  # as text
    assert run(capsys, "report", "scored.parquet", "--by", "party", "--figures", "figures").code == 0
    assert "'@SUM(A1)" in Path("figures/groups.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shares", "gone.parquet"], "There is no file gone.parquet."),
        (["shares", "scored.parquet", "--compare", "all"], "--compare needs groups or periods"),
        (["shares", "scored.parquet", "--design", "x"], "--design is the design file of --labels"),
        (["shares", "scored.parquet", "--labels", "gone.csv"], "There is no design file gone.design.parquet"),
        (["shares", "scored.parquet", "-o", "x.json"], "choose a name that ends in"),
        (["sample", "scored.parquet"], "No sheet was named"),
        (["sample", "scored.parquet", "-o", "x.docx"], "say which with --format"),
        (["sample", "scored.parquet", "-o", "x.csv", "--per-group", "9"], "--per-group needs groups"),
        (["sample", "scored.parquet", "-o", "x.csv", "--overlap", "9"], "--overlap needs several people"),
        (["sample", "scored.parquet", "-o", "x.csv", "--annotators", "anna,Anna"], "a name of their own"),
        (["sample", "scored.parquet", "-o", "x.csv", "--annotators", "a/b,c"], "which a file can have"),
        (["sample", "scored.parquet", "-o", "x.csv", "--margin", "60"], "--margin is 60, but it must be"),
    ],
)
def test_mistakes_are_one_sentence(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    code, said = fail(capsys, *arguments)
    assert code == 2
    assert message in said
