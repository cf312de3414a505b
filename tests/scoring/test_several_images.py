from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from sentimm import Scorer
from sentimm.options import CorpusOptions, ScoreOptions
from tests.support.failures.local_jobs import read, run, run_partly
from tests.support.posts import corpora

CELLS = [
    "0.png|1.png",
    "0.png",
    "1.png",
    "broken.jpg|2.png|gone.png",
    "2.png",
    "gone.png|broken.jpg",
    None,
    "0.png|0.png",
    "",
]
PROBABILITIES = ["p_negative", "p_neutral", "p_positive"]


@pytest.fixture(params=["tiny_bundle", "attending_bundle"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> ScoreOptions:
    posts = pl.DataFrame({"id": range(len(CELLS)), "text": ["a good day"] * len(CELLS), "image": CELLS})
    posts.write_csv(tmp_path / "posts.csv")
    return ScoreOptions(
        inputs=(str(tmp_path / "posts.csv"),),
        corpus=CorpusOptions(images=corpora.make_images(tmp_path / "images")),
        output=tmp_path / "scored.parquet",
        model=request.getfixturevalue(request.param),
        chunk_rows=4,
    )


def find_answers(frame: pl.DataFrame) -> np.ndarray:
    return frame.select(PROBABILITIES).to_numpy()


def test_an_answer_is_the_mean_of_those_to_the_images(options: ScoreOptions) -> None:
    run(options)
    scored = read(options.output)
    answers = find_answers(scored)
    np.testing.assert_allclose(answers[0], (answers[1] + answers[2]) / 2, atol=1e-6)
    np.testing.assert_allclose(answers[3], answers[4], atol=1e-6)  # the others of its images can't be used
    np.testing.assert_allclose(answers[5], answers[6], atol=1e-6)  # none can
    np.testing.assert_array_equal(answers[7], answers[1])
    assert scored["images"].to_list() == [2, 1, 1, 1, 1, 0, 0, 1, 0]
    assert scored["images"].dtype == pl.Int32
    assert scored["status"].to_list() == ["ok"] * 5 + ["image_unreadable"] + ["ok"] * 3
    assert scored["modality"].to_list() == ["text+image"] * 5 + ["text"] * 2 + ["text+image", "text"]


def test_a_post_with_one_image_answers_as_without_the_others(options: ScoreOptions, tmp_path: Path) -> None:
    run(options)
    scored = read(options.output)
    posts = pl.read_csv(options.inputs[0]).filter(~pl.col("image").str.contains(r"\|").fill_null(False))
    posts.write_csv(tmp_path / "single.csv")
    run(options, inputs=(str(tmp_path / "single.csv"),), output=tmp_path / "single.parquet")
    single = read(tmp_path / "single.parquet")
    assert "images" not in single.columns
    among = scored.filter(pl.col("id").is_in(single["id"].to_list()))
    np.testing.assert_allclose(find_answers(among), find_answers(single), atol=1e-6)


def test_every_image_that_is_not_used_is_listed(options: ScoreOptions) -> None:
    done = run(options)
    problems = pl.read_csv(f"{options.output}.problems.csv", schema_overrides={"row": pl.Int64})
    broken = str(options.corpus.images / "broken.jpg")
    listed = [(3, "image_unreadable", broken), (3, "image_missing", "gone.png")]
    listed += [(5, "image_missing", "gone.png"), (5, "image_unreadable", broken)]
    assert problems.select("row", "status", "file").rows() == listed
    assert done.counts.partial == 1


def test_a_stopped_job_resumes(options: ScoreOptions, tmp_path: Path) -> None:
    run(options, output=tmp_path / "whole.parquet")
    run_partly(options)
    assert run(options).scored == len(CELLS) - 4
    assert read(options.output).equals(read(tmp_path / "whole.parquet"))
    problems = Path(f"{options.output}.problems.csv").read_text()
    assert problems == (tmp_path / "whole.parquet.problems.csv").read_text()


def test_a_retry_takes_images_that_are_there_now(options: ScoreOptions) -> None:
    run(options)
    before = read(options.output)
    Image.new("RGB", (30, 30), (200, 10, 10)).save(options.corpus.images / "gone.png")
    run(options, retry=("image_missing", "image_unreadable"))
    after = read(options.output)
    assert after["images"].to_list() == [2, 1, 1, 2, 1, 1, 0, 1, 0]
    assert after["status"].to_list() == ["ok"] * 9
    same = [0, 1, 2, 4, 6, 7, 8]
    np.testing.assert_array_equal(find_answers(after)[same], find_answers(before)[same])
    problems = pl.read_csv(f"{options.output}.problems.csv")
    assert problems["row"].to_list() == [3, 5]


def test_views_say_what_all_images_say(options: ScoreOptions) -> None:
    run(options, views=True)
    scored = read(options.output)
    assert scored["images"].to_list()[:3] == [2, 1, 1]
    assert scored["text_sentiment"].n_unique() == 1
    assert scored["image_sentiment"].is_null().to_list() == [False] * 5 + [True] * 2 + [False, True]
    low, high = sorted(scored["conflict"].to_list()[1:3])
    assert scored["conflict"][0] <= high + 1e-6 and low >= 0


def test_the_python_scorer_uses_all_images(options: ScoreOptions) -> None:
    run(options)
    with Scorer(options.model) as scorer:
        scored = scorer.score(pl.read_csv(options.inputs[0]), options.corpus.images)
    assert scored["images"].to_list() == read(options.output)["images"].to_list()
    np.testing.assert_allclose(find_answers(scored), find_answers(read(options.output)), atol=1e-6)


def test_images_by_id_and_number_are_used(options: ScoreOptions, tmp_path: Path) -> None:
    for name, source in (("15_1.png", "0.png"), ("15_2.png", "1.png"), ("16.png", "2.png")):
        (options.corpus.images / name).write_bytes((options.corpus.images / source).read_bytes())
    pl.DataFrame({"id": ["15", "16", "17"], "text": ["a", "b", "c"]}).write_csv(tmp_path / "ids.csv")
    run(replace(options, inputs=(str(tmp_path / "ids.csv"),)))
    assert read(options.output)["images"].to_list() == [2, 1, 0]
