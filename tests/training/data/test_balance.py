"""`--balance COLUMN`: an epoch that evens out the values of a column."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from sentimm.errors import ColumnError, UsageError
from sentimm.training.data.batches import Batcher
from sentimm.training.data.epochs import note_balance, plan_draw
from sentimm.training.data.pictures import Pictures
from sentimm.training.data.posts import LabelledPosts
from sentimm.training.data.prepare import load_data
from sentimm.training.data.splits import split_posts
from sentimm.training.data.tables import load_posts
from sentimm.training.events import PostsLoaded
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import TrainingStopped
from sentimm.training.train import resume_run, start_run
from tests.support.commands import fail
from tests.support.tiny.training_runs import losses, train

SIZES = {"hau": 160, "sw": 40, "tso": 10, None: 4}


def make_table(folder: Path, suffix: str = "csv", sizes: dict[str | None, int] = SIZES, name: str = "posts") -> str:
    langs = [lang for lang, size in sizes.items() for _ in range(size)]
    labels = [("negative", "neutral", "positive")[row % 3] for row in range(len(langs))]
    frame = pl.DataFrame({"text": [f"a good day {row}" for row in range(len(langs))], "label": labels, "lang": langs})
    path = folder / f"{name}.{suffix}"
    {"csv": frame.write_csv, "parquet": frame.write_parquet, "ndjson": frame.write_ndjson}[suffix](path)
    return str(path)


def choose(options: TrainOptions, *inputs: str, balance: str | None = "lang", **changes: object) -> TrainOptions:
    return replace(options, inputs=inputs, images=None, fusion="bert", balance=balance, **changes)  # type: ignore[arg-type]


def load(options: TrainOptions) -> LabelledPosts:
    return load_posts(options.inputs, options, ("text",), 0)


def draw(posts: LabelledPosts, options: TrainOptions, epoch: int = 0) -> np.ndarray:
    tokens = [np.arange(3, dtype=np.int64)] * len(posts.texts)
    batcher = Batcher(posts, tokens, None, None, Pictures(posts, 0), 0, torch.device("cpu"))
    return np.concatenate(batcher.plan_epoch(plan_draw(posts, options), 8, np.random.default_rng([0, epoch])))


def count(posts: LabelledPosts, rows: np.ndarray) -> dict[str, int]:
    assert posts.group is not None
    return {posts.group_names[group]: number for group, number in Counter(posts.group[rows].tolist()).items()}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "ndjson"])
@pytest.mark.parametrize(("balance", "power"), [("lang", 0.5), ("lang:0", 0.0), ("lang:0.3", 0.3), ("lang:1", 1.0)])
def test_an_epoch_is_as_long_as_before_and_balanced(
    options: TrainOptions, tmp_path: Path, suffix: str, balance: str, power: float
) -> None:
    named = choose(options, make_table(tmp_path, suffix), balance=balance)
    posts = load(named)
    rows = draw(posts, named)
    assert len(rows) == sum(SIZES.values())
    shares = np.array(list(SIZES.values())) ** power
    expected = len(rows) * shares / shares.sum()
    counted = count(posts, rows)
    assert list(posts.group_names) == ["hau", "sw", "tso", "no value"]
    np.testing.assert_allclose([counted[name] for name in posts.group_names], expected, atol=1)
    repeats = Counter(rows.tolist())
    for group in range(4):  # all posts of a value are seen equally often
        seen = [repeats[row] for row in np.flatnonzero(posts.group == group)]
        assert max(seen) - min(seen) <= 1
    np.testing.assert_array_equal(rows, draw(posts, named))
    assert rows.tolist() != draw(posts, named, epoch=1).tolist()


def test_without_the_option_an_epoch_and_the_digest_are_as_before(options: TrainOptions, tmp_path: Path) -> None:
    plain = choose(options, make_table(tmp_path), balance=None)
    posts = load(plain)
    assert posts.group is None
    assert sorted(draw(posts, plain)) == list(range(len(posts)))
    assert load(replace(plain, balance="lang")).digest() != posts.digest()


def test_the_weights_of_tables_hold_among_the_posts_of_a_value(options: TrainOptions, tmp_path: Path) -> None:
    tables = [make_table(tmp_path, sizes={"hau": 100, "sw": 25}, name=name) for name in ("one", "two")]
    named = choose(options, *tables, table_weights=(1.0, 0.2))
    posts = load(named)
    rows = draw(posts, named)
    assert len(rows) == 150
    assert posts.group is not None
    cells = Counter(zip(posts.group[rows].tolist(), posts.table[rows].tolist(), strict=True))
    assert cells == {(0, 0): 83, (0, 1): 17, (1, 0): 42, (1, 1): 8}
    assert plan_draw(posts, named).frequencies.sum() == pytest.approx(150)


def test_posts_of_a_table_without_the_column_are_one_value(options: TrainOptions, tmp_path: Path) -> None:
    english = tmp_path / "english.csv"
    english.write_text("text,label\n" + "".join(f"fine {row},positive\n" for row in range(90)))
    named = choose(options, make_table(tmp_path), str(english))
    posts = load(named)
    assert f"{english} has no column 'lang': for --balance, its posts have one value." in posts.notes
    assert posts.group_names[-1] == str(english)
    (note,) = note_balance(posts, named)
    assert note.startswith("An epoch is balanced over the 5 values of lang: it sees no value (4 posts) ")
    assert load_data(replace(named, val=str(english))).validation.group is None
    training, _ = split_posts(posts, (0.1,), seed=0)
    assert len(draw(training, named)) == len(training)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_column_that_no_table_has_is_an_error(
    options: TrainOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    table = make_table(tmp_path, suffix)
    message = f"{table} has no column 'language' (its columns: text, label, lang): name one with --balance."
    with pytest.raises(ColumnError) as error:
        load(choose(options, table, balance="language"))
    assert str(error.value) == message
    assert fail(capsys, "train", table, "--fusion", "bert", "--balance", "language") == (2, message)


def test_columns_of_lists_and_powers_beyond_one_are_refused(options: TrainOptions, tmp_path: Path) -> None:
    table = tmp_path / "posts.parquet"
    pl.DataFrame({"text": ["a", "b"], "label": ["positive", "negative"], "lang": [["en"], []]}).write_parquet(table)
    with pytest.raises(ColumnError, match=r"The column 'lang' of .* holds lists, and --balance needs one value a post"):
        load(choose(options, str(table)))
    with pytest.raises(UsageError, match=r"--balance lang:2: the power .* between 0 \(all values alike\) and 1"):
        replace(options, balance="lang:2")


@pytest.mark.slow
def test_a_balanced_run_is_resumed_as_if_it_had_not_stopped(options: TrainOptions, tmp_path: Path) -> None:
    named = choose(options, make_table(tmp_path, sizes={"hau": 40, "sw": 8}), epochs=2, val_fraction=0.2)
    whole, events = train(named, tmp_path / "whole")
    assert any(
        "balanced over the 2 values of lang" in note
        for note in next(event for event in events if isinstance(event, PostsLoaded)).notes
    )
    steps = iter(range(100))
    with pytest.raises(TrainingStopped):
        start_run(named, tmp_path / "run", lambda _: None, lambda: next(steps) >= 3)
    assert losses(resume_run(tmp_path / "run", lambda _: None)) == losses(whole)
