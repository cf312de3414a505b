"""Folders that are named like labels, in training and evaluation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sentimm.errors import ColumnError
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.data.tables import load_posts
from sentimm.training.options import TrainOptions
from tests.support.commands import fail, run
from tests.support.posts.corpora import make_images
from tests.support.tiny.models import IMAGE_SIZE

NAMES = ("neg", "neu", "Positive")


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / "data" / name for name in NAMES]
    for folder in folders:
        make_images(folder)
        (folder / "0.txt").write_text(f"a {folder.name} text")
        (folder / "alone.txt").write_text(f"one more {folder.name} text")
    return folders


def load(options: TrainOptions, *inputs: Path, labels: tuple[str, ...] | None = None) -> LabelledPosts:
    names = tuple(map(str, inputs))
    options = replace(options, inputs=names, images=None, labels=labels or ("negative", "neutral", "positive"))
    return load_posts(names, options, ("text", "image"), IMAGE_SIZE)


def test_each_folder_is_a_label(options: TrainOptions, folders: list[Path]) -> None:
    posts = load(options, *folders)
    rows = len(posts) // 3
    assert posts.label.tolist() == [0] * rows + [1] * rows + [2] * rows
    assert posts.is_complete.sum() == 3
    assert posts.notes[0] == "The posts are labelled by the names of their folders: neg (5)."


def test_one_folder_may_hold_those_of_the_labels(options: TrainOptions, folders: list[Path]) -> None:
    posts = load(options, folders[0].parent)
    counts = [int((posts.label == label).sum()) for label in range(3)]
    assert counts[0] == counts[1] == counts[2] > 0
    assert len(posts.notes) == 1 and "neg (" in posts.notes[0] and "Positive (" in posts.notes[0]


def test_the_labels_may_be_named(options: TrainOptions, tmp_path: Path) -> None:
    inputs = [make_images(tmp_path / name) for name in ("joy", "fear")]
    assert set(load(options, *inputs, labels=("fear", "joy")).label.tolist()) == {0, 1}
    with pytest.raises(ColumnError, match=r"must be among negative, neutral, positive; here they are joy\. Pass those"):
        load(options, *inputs)


def test_folders_that_are_numbers_may_be_ambiguous(options: TrainOptions, tmp_path: Path) -> None:
    for name in ("0", "1"):
        make_images(tmp_path / "data" / name)
    with pytest.raises(ColumnError, match="Say which with --labels"):
        load(options, tmp_path / "data")
    assert set(load(options, tmp_path / "data", labels=("negative", "positive")).label.tolist()) == {0, 1}


@pytest.mark.parametrize("table", ["metadata.csv", "metadata.jsonl"])
def test_the_labels_of_an_image_folder_are_in_its_table(options: TrainOptions, tmp_path: Path, table: str) -> None:
    folder = make_images(tmp_path / "pos")
    rows = [{"file_name": "0.png", "text": "a", "label": "neg"}, {"file_name": "1.png", "text": "b", "label": "pos"}]
    if table.endswith("csv"):
        lines = ["file_name,text,label", *(",".join(row.values()) for row in rows)]
    else:
        lines = list(map(json.dumps, rows))
    (folder / table).write_text("\n".join(lines) + "\n")
    posts = load(options, folder)
    assert (posts.label.tolist(), posts.is_complete.tolist()) == ([0, 2], [True, True])
    assert posts.notes == (f"{folder / table} names images in the folder beside it, which are read.",)


def test_evaluate_takes_folders_as_labels(
    folders: list[Path], tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for inputs in (folders, [folders[0].parent]):
        done = run(capsys, "evaluate", *inputs, "--model", tiny_bundle, "--json")
        assert done.code == 0, done.err
        found = json.loads(done.out)
        assert sorted(found["notes"][-1].split(": ")[1].rstrip(".").split(", ")) == [
            "Positive (5)",
            "neg (5)",
            "neu (5)",
        ]
    assert "is labelled" not in done.err
    code, message = fail(capsys, "evaluate", folders[0].rename(folders[0].with_name("rest")), "--model", tiny_bundle)
    assert code == 2 and "here they are rest" in message
