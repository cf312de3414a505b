from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from sentimm.scoring.scorer import Scorer
from tests.support.commands import run
from tests.support.labelled_corpus import LABELS, WORDS, score_alone


def test_answers_under_a_prefix_are_found(
    report: dict, corpus: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = tmp_path / "scored.parquet"
    old = score_alone(corpus, tiny_bundle, "text")
    new = Scorer(tiny_bundle, device="cpu", views=True).score(old, corpus / "images", prefix="new_")
    new.write_parquet(scored)
    result = run(capsys, "evaluate", scored, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["model"] == f"the answers in {scored}"
    assert found["report"] == report["report"]
    assert set(found["alone"]) == {"text", "image"}
    assert found["conflict_posts"] == 16


def test_answers_are_found_in_any_order_of_the_columns(
    report: dict, corpus: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = score_alone(corpus, tiny_bundle, None)
    table = tmp_path / "scored [1].parquet"
    scored.select(sorted(scored.columns)).write_parquet(table)
    pl.DataFrame({"text": ["other"], "label": ["positive"]}).write_parquet(tmp_path / "scored 1.parquet")
    assert json.loads(run(capsys, "evaluate", table, "--json").out)["report"] == report["report"]
    scored.drop("p_neutral", "p_positive", "p_negative").write_parquet(table)
    result = run(capsys, "evaluate", table)
    assert result.code == 2
    assert "has the answers in 'sentiment', but no longer their probabilities behind 'confidence'" in result.err


def test_answers_that_are_there_can_be_limited_but_not_changed(
    corpus: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = score_alone(corpus, tiny_bundle, None)
    whole[:10].write_parquet(tmp_path / "a.parquet")
    whole[10:].with_columns(pl.col("id").cast(pl.String)).write_parquet(tmp_path / "b.parquet")
    tables = (tmp_path / "a.parquet", tmp_path / "b.parquet")
    found = json.loads(run(capsys, "evaluate", *tables, "--limit", "12", "--json").out)
    assert (found["posts"], found["unlabelled"]) == (10, 2)
    for option in (("--only", "text"), ("--precision", "fp32")):
        result = run(capsys, "evaluate", *tables, *option)
        assert result.code == 2
        assert (
            f"{option[0]} asks for other answers than those in {tables[0]}, {tables[1]}: name the model" in result.err
        )


def test_each_table_has_a_spelling_of_its_own(
    corpus: Path, tiny_bundle: Path, report: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pl.read_csv(corpus / "posts.csv")
    kinds = ("label", "text_label", "image_label")
    for name, rows, first in (("signed", frame[:12], -1), ("places", frame[12:], 0)):
        numbers = {label: str(first + place) for place, label in enumerate(LABELS)}
        rows = rows.with_columns(pl.col(kind).replace_strict(numbers, default=None) for kind in kinds)
        rows.write_csv(tmp_path / f"{name}.csv")
    tables = (tmp_path / "signed.csv", tmp_path / "places.csv")
    place = ("--images", corpus / "images", "--model", tiny_bundle, "--json")
    found = json.loads(run(capsys, "evaluate", *tables, *place).out)
    assert found["report"] == report["report"]
    none = pl.lit(None).alias
    scored = score_alone(corpus, tiny_bundle, None).with_columns(
        pl.col(kind).replace_strict({label: str(place) for place, label in enumerate(LABELS)}, default=None)
        for kind in kinds
    )
    (tmp_path / "scored").mkdir()
    for start in range(0, 24, 2):  # none of them has all three
        scored[start : start + 2].write_parquet(tmp_path / "scored" / f"part-{start:02}.parquet")
    assert json.loads(run(capsys, "evaluate", tmp_path / "scored", "--json").out)["report"] == report["report"]
    two = frame[:2].with_columns(pl.Series("label", [0, 1]), none("text_label"), none("image_label"))
    two.write_csv(tmp_path / "two.csv")
    failed = run(capsys, "evaluate", tables[0], tmp_path / "two.csv", *place)
    assert failed.code == 2
    assert f"{tmp_path / 'two.csv'} has labels written as numbers, but only 0 and 1" in failed.err


def test_images_that_are_not_used_are_named(
    corpus: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "posts.csv"
    table.write_text((corpus / "posts.csv").read_text() + "98,damaged\n")
    result = run(capsys, "evaluate", table, "--model", tiny_bundle)
    assert "Note: The column 'image' names images, which are not used: give their folder with --images." in result.out
    assert "Left out: 2 without a label, 1 unreadable" in result.out
    assert "text only" in result.out
    found = json.loads(run(capsys, "evaluate", table, "--model", tiny_bundle, "--json").out)
    assert len(found["notes"]) == 2 and (found["unlabelled"], found["unreadable"]) == (2, 1)


def test_answers_with_other_labels_are_not_evaluated_together(
    corpus: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = score_alone(corpus, tiny_bundle, None)
    scored.write_parquet(tmp_path / "a.parquet")
    scored.rename({"p_neutral": "p_calm"}).write_parquet(tmp_path / "b.parquet")
    result = run(capsys, "evaluate", tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert result.code == 2
    assert "hold answers in different columns: evaluate each by itself" in result.err


def test_the_training_table_may_name_its_columns_otherwise(
    corpus: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pl.read_csv(corpus / "posts.csv").rename({"text": "words"}).write_csv(tmp_path / "posts.csv")
    place = ("--model", tiny_bundle, "--text-column", "words", "--json")
    pl.DataFrame({"tweet": [f"{WORDS[0]} 0"]}).write_csv(tmp_path / "train.csv")
    pl.DataFrame({"words": [f"{WORDS[0]} 0"], "text": ["other"]}).write_csv(tmp_path / "both.csv")
    for name in ("train.csv", "both.csv"):
        seen = ("--without-seen", tmp_path / name, "--id-column", "id")
        result = run(capsys, "evaluate", tmp_path / "posts.csv", *place, *seen)
        assert json.loads(result.out)["seen_texts"] == 1
    texts = ("--only", "text", "--without-seen", tmp_path / "train.csv")
    assert "No images were compared" not in run(capsys, "evaluate", tmp_path / "posts.csv", *place[:-1], *texts).out


def test_it_is_said_when_no_image_is_compared(
    corpus: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = corpus / "posts.csv"
    result = run(capsys, "evaluate", table, "--model", tiny_bundle, "--without-seen", corpus / "images")
    assert result.code == 0, result.err
    assert "No images were compared: name the folder of the posts' images with --images" in result.out
    assert f"and that of {corpus}" in result.out
