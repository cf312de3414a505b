from __future__ import annotations

import csv
from pathlib import Path

import pytest

from sentimm.errors import ImageError
from sentimm.images import decode_image

SAMPLES = Path(__file__).parent.parent / "samples"
IMAGES = SAMPLES / "images"
LABELS = {"negative", "neutral", "positive"}


def read_table(name: str) -> list[dict[str, str]]:
    with (SAMPLES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


POSTS = read_table("posts.csv")
TRAIN = read_table("train.csv")
WORLD = read_table("world.csv")


def test_ids_are_unique() -> None:
    for table in (POSTS, TRAIN, WORLD):
        assert len({post["id"] for post in table}) == len(table)


def test_the_only_missing_image_is_the_one_meant_to_be() -> None:
    named = {post["image"] for post in POSTS + TRAIN + WORLD} - {""}
    there = {path.name for path in IMAGES.iterdir()}
    assert named - there == {"lost.jpg"}
    assert there - named == set()


def test_ten_languages_say_each_feeling_once() -> None:
    languages = {post["lang"] for post in WORLD}
    assert len(languages) == 10
    assert {(post["lang"], post["label"]) for post in WORLD} == {
        (lang, label) for lang in languages for label in LABELS
    }
    assert len(WORLD) == 30 and all(post["text"] for post in WORLD)


@pytest.mark.parametrize("path", sorted(IMAGES.iterdir()), ids=lambda path: path.name)
def test_pictures_decode_but_for_the_torn_one(path: Path) -> None:
    if path.name == "torn.jpg":
        with pytest.raises(ImageError):
            decode_image(path, 64)
    else:
        pixels = decode_image(path, 64)
        assert pixels.shape == (3, 64, 64)
        assert pixels.std() > 5


def test_the_snowman_stands_upright() -> None:
    pixels = decode_image(IMAGES / "sideways.jpg", 64).mean(axis=0)
    assert pixels[54:].mean() > pixels[:8].mean() + 60  # snow below, sky above


@pytest.mark.parametrize(
    "promised",
    [
        lambda post: post["text"] == "" and post["image"] != "",
        lambda post: post["text"] == "" and post["image"] == "",
        lambda post: post["text"] != "" and post["image"] == "",
        lambda post: post["image"] == "torn.jpg",
        lambda post: post["image"] == "lost.jpg",
        lambda post: "\n" in post["text"] and '"' in post["text"],
        lambda post: "&amp;" in post["text"],
        lambda post: "https://" in post["text"],
        lambda post: "@" in post["text"],
        lambda post: "🎉" in post["text"],
        lambda post: "schöner" in post["text"],
        lambda post: "今日" in post["text"],
        lambda post: "صباح" in post["text"],
        lambda post: post["likes"] == "",
    ],
    ids=[
        "image alone",
        "nothing",
        "text alone",
        "corrupt image",
        "missing image",
        "quoted line break",
        "HTML entity",
        "link",
        "user name",
        "emoji",
        "German",
        "Japanese",
        "Arabic",
        "empty cell",
    ],
)
def test_posts_hold_an_example_of(promised: object) -> None:
    assert callable(promised)
    assert any(promised(post) for post in POSTS)


def test_one_post_is_repeated() -> None:
    contents = [(post["text"], post["image"]) for post in POSTS]
    assert len(contents) - len(set(contents)) == 1


def test_training_posts_are_labelled() -> None:
    assert {post["label"] for post in TRAIN} == LABELS
    for column in ("text_label", "image_label"):
        labels = {post[column] for post in TRAIN}
        assert labels >= LABELS, column
        assert labels <= LABELS | {""}, column
    assert sum(post["image"] == "" for post in TRAIN) >= 5
    assert sum(post["text"] == "" for post in TRAIN) >= 2


def test_nothing_is_too_big() -> None:
    sizes = {path: path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 3_000_000
    assert max(sizes.values()) < 200_000
