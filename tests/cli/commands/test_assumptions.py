from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tests.findings.corpora import LABELS, make_scored
from tests.support.commands import fail, run

PRIOR = "negative=0.3,neutral=0.4,positive=0.3"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """A working directory with scored.parquet; its posts."""
    monkeypatch.chdir(tmp_path)
    scored = make_scored(1000)
    scored.write_parquet("scored.parquet")
    return scored


def make_shifted(posts: int = 40_000) -> tuple[pl.DataFrame, list[float]]:
    """Make posts of a calibrated model whose labels have other shares than in its training, and their shares."""
    rng = np.random.default_rng(0)
    prior, true = np.array([0.3, 0.4, 0.3]), np.array([0.7, 0.2, 0.1])
    truth = rng.choice(3, posts, p=true)
    seen = rng.normal(size=(posts, 3)) + 1.5 * np.eye(3)[truth]
    likelihood = np.exp(-((seen[:, None, :] - 1.5 * np.eye(3)) ** 2).sum(axis=2) / 2)
    p = likelihood * prior / (likelihood * prior).sum(axis=1, keepdims=True)
    frame = make_scored(posts).with_columns(
        **{f"p_{label}": pl.Series(p[:, k].astype(np.float32)) for k, label in enumerate(LABELS)}
    )
    return frame, (np.bincount(truth) / posts).tolist()


def test_a_prior_shift_is_found_where_nothing_else_changed(capsys: pytest.CaptureFixture[str]) -> None:
    frame, true = make_shifted()
    frame.write_parquet("shifted.parquet", row_group_size=7000)
    command = ("shares", "shifted.parquet", "--assume", "prior-shift", "--prior", PRIOR, "--by", "party")
    found = json.loads(run(capsys, *command, "--json").out)
    whole = found["shares"][:3]
    assert [row["share"] for row in whole] == pytest.approx(true, abs=0.01)
    assert max(abs(row["share_counted"] - share) for row, share in zip(whole, true, strict=True)) > 0.03
    assert {(row["low"], row["high"]) for row in found["shares"]} == {(None, None)}
    for group in (None, "red", "green", "blue"):
        assert sum(row["share"] for row in found["shares"] if row["group"] == group) == pytest.approx(1, abs=1e-9)
    shown = run(capsys, *command, "--max-margin", 3)
    assert shown.code == 1  # no interval is no narrow one
    assert shown.out.startswith("If only the labels' shares have changed since training: ")
    assert "95% confidence" not in shown.out


def test_ids_that_somebody_labelled_at_random_have_intervals_that_say_what_they_assume(
    capsys: pytest.CaptureFixture[str], here: pl.DataFrame
) -> None:
    mine = here.sample(150, seed=1).select("id", label=pl.col("truth"))
    mine.write_csv("mine.csv", separator=";")
    assert fail(capsys, "shares", "scored.parquet", "--labels", "mine.csv")[0] == 2  # no design
    found = run(capsys, "shares", "scored.parquet", "--labels", "mine.csv", "--assume", "random", "-o", "x.csv")
    assert found.code == 0, found.err
    assert "drawn at random, each with the same chance" in found.out
    table = pl.read_csv("x.csv")
    assert set(table["method"]) == {"GREG, assuming a random sample"}
    true = dict(here["truth"].value_counts(normalize=True).iter_rows())
    for row in table.iter_rows(named=True):
        assert row["low"] - 0.02 <= true[row["label"]] <= row["high"] + 0.02
        assert row["labels"] == 150


def test_a_sheet_of_sample_is_not_taken_for_random_posts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "sample", "scored.parquet", "--labels", 60, "-o", "sheet.csv").code == 0
    Path("sheet.design.parquet").unlink()
    rows = pl.read_csv("sheet.csv", infer_schema=False).with_columns(label=pl.lit("neg"))
    rows.write_csv("sheet.csv")
    code, message = fail(capsys, "shares", "scored.parquet", "--labels", "sheet.csv", "--assume", "random")
    assert (code, "there is no post" in message) == (2, True)


def test_ids_that_stand_for_several_posts_are_refused(capsys: pytest.CaptureFixture[str], here: pl.DataFrame) -> None:
    pl.concat([here, here.head(3)]).write_parquet("twice.parquet")
    here.select("id", label=pl.col("truth")).write_csv("mine.csv")
    code, message = fail(capsys, "shares", "twice.parquet", "--labels", "mine.csv", "--assume", "random")
    assert (code, "stands for several" in message) == (2, True)
    here.drop("id").write_parquet("none.parquet")
    code, message = fail(capsys, "shares", "none.parquet", "--labels", "mine.csv", "--assume", "random")
    assert (code, "no column 'id'" in message) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--assume", "prior-shift"], "give them as --prior negative=0.3,neutral=0.4,positive=0.3."),
        (["--prior", PRIOR], "--prior is for --assume prior-shift"),
        (["--assume", "random"], "give them with --labels"),
        (["--assume", "prior-shift", "--prior", PRIOR, "--labels", "x.csv"], "with --labels, leave it out"),
        (["--assume", "random", "--labels", "x.csv", "--design", "y"], "leave out --design"),
        (["--assume", "prior-shift", "--prior", "negative=0.5,positive=0.5"], "give each once"),
        (["--assume", "prior-shift", "--prior", f"{PRIOR},negative=0.3"], "give each once"),
        (["--assume", "prior-shift", "--prior", "negative=30,neutral=40,positive=30"], "less than 1"),
        (["--assume", "prior-shift", "--prior", "negative=.3,neutral=.3,positive=.3"], "add up to 0.9"),
        (["--assume", "prior-shift", "--prior", "negative=a third,neutral=.3,positive=.4"], "write --prior negative="),
    ],
)
def test_mistakes_are_one_sentence(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    code, said = fail(capsys, "shares", "scored.parquet", *arguments)
    assert code == 2
    assert message in said


def test_the_advice_works(capsys: pytest.CaptureFixture[str]) -> None:
    _, said = fail(capsys, "shares", "scored.parquet", "--assume", "prior-shift")
    advice = said.rpartition("give them as ")[2].removesuffix(".").split()
    assert run(capsys, "shares", "scored.parquet", "--assume", "prior-shift", *advice).code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked", [(), ("--by", "party"), ("--by", "party", "--time", "created_at", "--every", "quarter")]
)
def test_shares_are_drawn(capsys: pytest.CaptureFixture[str], here: pl.DataFrame, asked: tuple[str, ...]) -> None:
    here.select("id", label=pl.col("truth")).head(300).write_csv("mine.csv")
    for labels in ((), ("--labels", "mine.csv", "--assume", "random")):
        for name in ("x.svg", "x.png"):
            found = run(capsys, "shares", "scored.parquet", *labels, *asked, "--figure", name)
            assert found.code == 0, found.err
            assert f"Written to {name}" in found.out
        drawing = ElementTree.parse("x.svg")
        charts = 1 + (3 if "--time" in asked else len(asked) // 2)
        assert len(drawing.findall("{http://www.w3.org/2000/svg}svg")) == charts
        with Image.open("x.png") as picture:
            assert picture.format == "PNG" and picture.width > 500


@pytest.mark.parametrize(
    ("name", "message"), [("x.pdf", "ends in .svg or .png"), ("gone/x.svg", "in a folder that is there")]
)
def test_a_figure_that_can_not_be_drawn_is_a_sentence(
    capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    assert message in fail(capsys, "shares", "scored.parquet", "--figure", name)[1]
