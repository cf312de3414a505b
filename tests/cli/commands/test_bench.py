from __future__ import annotations

import json
from pathlib import Path

import pytest

from sentimm.runtime import batch_sizes as batching
from tests.support.commands import run
from tests.support.posts import corpora


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, tiny_bundle) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sentimm.bundle.bundle.default_bundle_path", lambda: tiny_bundle)
    monkeypatch.setattr(batching, "TRIAL_SECONDS", 0.01)
    corpora.make_posts(64).write_csv("posts.csv")
    corpora.make_images(Path("images"))
    return tmp_path


def test_a_table_tells_the_stages_the_limit_and_the_bottleneck(capsys, here):
    code, out, err = run(capsys, "bench", "posts.csv", "--images", "images")
    assert code == 0 and "Scoring with the default model." in err
    for stage in ("preparing texts", "text graph", "decoding images", "image graph", "fusion graph", "writing"):
        assert stage in out
    assert out.startswith("64 posts, from posts.csv. On the CPU in fp32")
    assert "Limit of these stages:" in out and "The bottleneck is " in out and "core-hours" in out
    assert sorted(path.name for path in here.iterdir()) == ["images", "posts.csv"]


def test_json_has_the_same(capsys):
    code, out, _ = run(capsys, "bench", "posts.csv", "--images", "images", "--posts", "40", "--json")
    found = json.loads(out)
    assert code == 0 and found["posts"] == 40
    sums = sum(stage["ms_per_post"] for stage in found["stages"])
    assert found["limit"] == pytest.approx(1000 / sums)
    assert found["share_of_limit"] == pytest.approx(found["whole"] / found["limit"])
    assert found["bottleneck"] in {stage["name"] for stage in found["stages"]}
    assert found["core_hours_per_million"] == pytest.approx(1e6 / found["whole"] * found["threads"] / 3600)


def test_columns_are_chosen_as_for_score(capsys, here):
    corpora.make_posts(16).rename({"text": "words"}).write_csv("odd.csv")
    code, _, err = run(capsys, "bench", "odd.csv", "--images", "images", "--only", "text")
    assert code == 2 and "--text-column" in err
    options = ("--images", "images", "--only", "text", "--text-column", "words", "--json")
    code, out, _ = run(capsys, "bench", "odd.csv", *options)
    assert code == 0
    stages = [stage["name"] for stage in json.loads(out)["stages"]]
    assert stages == ["preparing texts", "text graph", "fusion graph"]


@pytest.mark.slow
def test_without_an_input_posts_are_generated(capsys, here):
    code, out, _ = run(capsys, "bench", "--posts", "20", "--figure", "bench.png")
    assert code == 0
    assert out.startswith("20 posts, generated.") and "Chart written to bench.png" in out
    assert (here / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_that_can_not_be_written_is_said_before_anything_is_measured(capsys):
    code, out, err = run(capsys, "bench", "posts.csv", "--figure", "nowhere/bench.png")
    assert code == 1 and out == "" and "Scoring with" not in err
    assert err.startswith("Error: The figure can't be written to nowhere/bench.png: name a file in a folder that is")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "images"], "--images is the folder of a corpus's images: name its table too."),
        (["--posts", "0"], "--posts is 0, but it must be at least 1."),
        (["-"], "`bench` reads its posts twice, so it can't read standard input (-): give a file."),
        (["nothing.csv"], "nothing.csv"),
    ],
)
def test_what_can_not_be_measured_is_said(capsys, arguments, message):
    code, _, err = run(capsys, "bench", *arguments)
    assert code == 2 and message in err and "Traceback" not in err
