from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from tests.support.commands import run
from tests.support.posts.labelled_corpus import WORDS, draw, score_alone
from tests.support.tiny.bundles import make_bundle


def test_the_report_is_about_the_answers_that_score_gives(report: dict, corpus: Path, tiny_bundle: Path) -> None:
    scored = score_alone(corpus, tiny_bundle, None).filter(pl.col("label").is_not_null() & (pl.col("label") != ""))
    right = scored["label"] == scored["sentiment"]
    assert report["posts"] == len(scored) == 22
    assert report["unlabelled"] == 2
    assert report["unanswered"] == 0
    assert report["report"]["accuracy"]["value"] == pytest.approx(right.mean())
    by_modality = scored.with_columns(right.alias("right")).group_by("modality").agg(pl.len(), pl.col("right").mean())
    assert {row[0] for row in by_modality.iter_rows()} == set(report["modalities"]) == {"text+image", "text", "image"}
    for modality, posts, accuracy in by_modality.iter_rows():
        assert report["modalities"][modality]["posts"] == posts
        assert report["modalities"][modality]["accuracy"]["value"] == pytest.approx(accuracy)
    assert {status: found["posts"] for status, found in report["statuses"].items()} == {"ok": 21, "image_missing": 1}


def test_each_side_is_held_against_its_own_label(report: dict, corpus: Path, tiny_bundle: Path) -> None:
    for modality in ("text", "image"):
        column = f"{modality}_label"
        alone = score_alone(corpus, tiny_bundle, modality).filter(pl.col("sentiment").is_not_null())
        alone = alone.filter(pl.col(column).is_not_null() & (pl.col(column) != ""))
        found = report["alone"][modality]
        assert found["posts"] == len(alone)
        assert found["accuracy"]["value"] == pytest.approx((alone[column] == alone["sentiment"]).mean())
    assert report["conflict_posts"] == report["conflict_differ"] == 16
    assert report["conflict"] is None  # the labels of all posts differ


def test_what_score_wrote_is_evaluated_without_a_model(
    report: dict, corpus: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = tmp_path / "scored.parquet"
    score_alone(corpus, tiny_bundle, None).drop("text", "image").write_parquet(scored)
    result = run(capsys, "evaluate", scored, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["model"] == f"the answers in {scored}"
    assert found["alone"] == {}
    assert found["report"] == report["report"]
    assert found["statuses"] == report["statuses"]


def test_views_that_score_wrote_are_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = {
        "label": ["positive", "negative", "positive"],
        "text_label": ["positive", "negative", "neutral"],
        "image_label": ["positive", "negative", "positive"],
        "sentiment": ["positive", "negative", "neutral"],
        "confidence": [0.8, 0.7, 0.6],
        "p_negative": [0.1, 0.7, 0.2],
        "p_neutral": [0.1, 0.2, 0.6],
        "p_positive": [0.8, 0.1, 0.2],
        "modality": ["text+image"] * 3,
        "status": ["ok"] * 3,
        "text_sentiment": ["positive", "neutral", "neutral"],
        "image_sentiment": ["positive", "negative", "positive"],
        "conflict": [0.1, 0.5, 0.4],
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "scored.parquet")
    found = json.loads(run(capsys, "evaluate", tmp_path / "scored.parquet", "--json").out)
    assert found["alone"]["text"]["accuracy"]["value"] == pytest.approx(2 / 3)
    assert found["alone"]["text"]["calibration_error"] is None
    assert found["alone"]["image"]["accuracy"]["value"] == 1
    assert found["conflict"]["value"] == pytest.approx(0.5)


def test_a_person_sees_tables_and_finds_files(
    corpus: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (corpus / "posts.csv", "--images", corpus / "images", "--model", tiny_bundle)
    result = run(capsys, "evaluate", *arguments, "-o", tmp_path / "new" / "report")
    assert result.code == 0, result.err
    for part in (
        "22 posts with a label and an answer.",
        "Left out: 2 without a label.",
        "accuracy",
        "calibration error",
        "label \\ answer",
        "text and image",
        "image_missing",
        "text alone, against text_label",
        f"Written to {tmp_path / 'new' / 'report'}",
    ):
        assert part in result.out
    written = json.loads((tmp_path / "new" / "report" / "report.json").read_text())
    assert written == json.loads(run(capsys, "evaluate", *arguments, "--json").out)
    with Image.open(tmp_path / "new" / "report" / "confusion.png") as picture:
        assert picture.format == "PNG"


def test_posts_that_were_seen_in_training_are_left_out(
    corpus: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    draw(tmp_path / "images" / "copy.jpg", 2, side=100)  # post 2's image, larger and compressed
    draw(tmp_path / "images" / "other.jpg", 99)
    rows = {
        "text": [f"  {WORDS[0]}   0 ", f"{WORDS[1]} 7", "nothing of the kind"],
        "image": ["other.jpg", "", "copy.jpg"],
    }
    pl.DataFrame(rows).write_csv(tmp_path / "train.csv")
    arguments = (corpus / "posts.csv", "--images", corpus / "images", "--model", tiny_bundle)
    seen = ("--without-seen", tmp_path / "train.csv", "--seen-images", tmp_path / "images")
    found = json.loads(run(capsys, "evaluate", *arguments, *seen, "--json").out)
    assert (found["seen_texts"], found["seen_images"], found["seen"]) == (2, 1, 3)
    assert found["posts"] == 22 - 3
    out = run(capsys, "evaluate", *arguments, *seen).out
    assert f"Left out because they are in {tmp_path / 'train.csv'} too: 3 (2 by text, 1 by image)." in out


def test_labels_may_be_numbers(
    corpus: Path, tiny_bundle: Path, report: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"negative": -1, "neutral": 0, "positive": 1}
    frame = pl.read_csv(corpus / "posts.csv")
    kinds = ("label", "text_label", "image_label")
    frame.with_columns(pl.col(kind).replace_strict(names, default=None) for kind in kinds).write_csv(
        tmp_path / "posts.csv"
    )
    arguments = ("--images", corpus / "images", "--model", tiny_bundle, "--json")
    found = json.loads(run(capsys, "evaluate", tmp_path / "posts.csv", *arguments).out)
    assert found["report"] == report["report"]
    frame.with_columns((pl.col("label") == "positive").cast(pl.Int8)).drop(kinds[1:]).write_csv(tmp_path / "two.csv")
    failed = run(capsys, "evaluate", tmp_path / "two.csv", *arguments)
    assert failed.code == 2
    assert "only 0 and 1" in failed.err
    two = run(capsys, "evaluate", tmp_path / "two.csv", *arguments, "--labels", "negative,positive")
    assert [each["posts"] for each in json.loads(two.out)["report"]["labels"]] == [16, 0, 8]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label-column", "mood"], "has no column 'mood' (its columns: id, text, image, label, "),
        (["--label-column", "id"], "is not one of the labels negative, neutral, positive: name the table's labels"),
        (["--label-column", "text"], "'happy day 0' in column 'text' is not one of the labels"),
        (["--labels", "good,bad"], "--labels names good, bad, but the model's labels are negative, neutral, positive"),
        (["--text-column", "tweet"], "'tweet'"),
        (["--seen-images", "photos"], "--seen-images is the folder of the images of --without-seen"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    arguments: list[str], message: str, corpus: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("--images", corpus / "images", "--model", tiny_bundle)
    result = run(capsys, "evaluate", corpus / "posts.csv", *place, *arguments)
    assert result.code == 2
    assert message in result.err
    assert result.out == ""


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"text": ["a", "b"], "label": ["", ""]}, "No post of {table} has a label in the column 'label'"),
        ({"text": [], "label": []}, "{table} has no posts: nothing can be compared."),
        ({"text": [" "], "label": ["positive"]}, "Nothing in {table} can be scored"),
        (
            {"text": ["a"], "label": [""], "text_label": ["positive"]},
            "No post of {table} has a label in the column 'label': name another one with --label-column.",
        ),
    ],
)
def test_a_table_without_anything_to_compare_is_an_error(
    rows: dict[str, list[str]],
    message: str,
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = tmp_path / "posts.csv"
    pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String)).write_csv(table)
    result = run(capsys, "evaluate", table, "--model", tiny_bundle)
    assert result.code == 2
    assert message.format(table=table) in result.err


def test_a_table_that_was_seen_as_a_whole_leaves_nothing(
    corpus: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = corpus / "posts.csv"
    place = ("--images", corpus / "images", "--model", tiny_bundle)
    result = run(capsys, "evaluate", table, *place, "--without-seen", table)
    assert result.code == 2
    assert f"occur in {table} too: none is left." in result.err


def test_a_report_does_not_go_where_a_file_is(
    corpus: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(capsys, "evaluate", corpus / "posts.csv", "--model", tiny_bundle, "-o", corpus / "posts.csv")
    assert result.code == 1
    assert "which is a file" in result.err


@pytest.mark.parametrize(
    ("package", "arguments", "named"),
    [
        ("sklearn", [], "scikit-learn"),
        ("matplotlib", ["-o", "report"], "matplotlib"),
        ("imagehash", ["--without-seen", "train.csv"], "ImageHash"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(
    package: str,
    arguments: list[str],
    named: str,
    corpus: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from importlib.util import find_spec

    monkeypatch.setattr("sentimm.cli.extras.find_spec", lambda name: None if name == package else find_spec(name))
    result = run(capsys, "evaluate", corpus / "posts.csv", *arguments)
    assert result.code == 2
    assert f"needs {named}, which scoring does without: pip install 'sentimm[train]'" in result.err


def test_a_text_model_is_evaluated_too(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = make_bundle(tmp_path / "text", modalities=("text",))
    result = run(capsys, "evaluate", corpus / "posts.csv", "--model", bundle, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert set(found["alone"]) == {"text"}
    assert found["conflict"] is None
    assert found["unanswered"] == 4  # images alone


def test_a_model_without_heads_is_asked_for_each_side_alone(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(tmp_path / "headless", heads=())
    result = run(capsys, "evaluate", corpus / "posts.csv", "--images", corpus / "images", "--model", bundle, "--json")
    found = json.loads(result.out)
    for modality in ("text", "image"):
        column = f"{modality}_label"
        alone = score_alone(corpus, bundle, modality).filter(pl.col("sentiment").is_not_null())
        alone = alone.filter(pl.col(column).is_not_null() & (pl.col(column) != ""))
        assert found["alone"][modality]["accuracy"]["value"] == pytest.approx(
            (alone[column] == alone["sentiment"]).mean()
        )
    assert found["conflict_posts"] == 0


def test_a_model_that_is_measured_on_a_sheet_says_that_rows_count_alike(
    corpus: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    posts = pl.read_csv(corpus / "posts.csv").select("text", "label").drop_nulls()
    posts.with_row_index("sheet_id").write_csv(tmp_path / "sheet.csv")
    shown = run(capsys, "evaluate", tmp_path / "sheet.csv", "--model", tiny_bundle)
    assert shown.code == 0, shown.err
    assert "is a labelling sheet, whose rows count alike here" in shown.out
