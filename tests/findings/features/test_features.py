from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from sentimm.bundle.bundle import load_bundle
from sentimm.corpus import CorpusReader, survey_corpus
from sentimm.errors import ColumnError, InputError, TableError
from sentimm.findings.features.table import read_features
from sentimm.findings.sampling import list_contents, name_contents
from sentimm.options import CorpusOptions
from sentimm.runtime.engine import Engine
from tests.support.commands import fail, run
from tests.support.posts import corpora

WRITERS = {"csv": pl.DataFrame.write_csv, "ndjson": pl.DataFrame.write_ndjson, "parquet": pl.DataFrame.write_parquet}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    corpora.make_images(Path("images"))
    return tmp_path


def encode(bundle: Path, texts: list[str]) -> np.ndarray:
    loaded = load_bundle(bundle)
    assert loaded.text is not None
    rows = loaded.text.load_tokenizer().encode(pl.Series(texts))
    return Engine(loaded).encode_texts(rows).features


@pytest.mark.parametrize("kind", WRITERS)
def test_each_content_is_one_row_with_the_encoders_vectors(
    here: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    posts = corpora.make_posts(24)  # three times the same eight
    WRITERS[kind](posts, f"posts.{kind}")
    command = ("features", f"posts.{kind}", "--images", "images", "--model", tiny_bundle, "-o", "f.parquet", "--json")
    result = run(capsys, *command)
    assert result.code == 0, result.err
    found = json.loads(result.out)
    table = pl.read_parquet("f.parquet")
    # Two posts without anything, with the same content: an image that is not there is none.
    assert (found["posts"], found["contents"], found["empty"]) == (24, len(table), 1)
    assert table["content"].n_unique() == len(table)
    assert table["row"].to_list() == [0, 1, 2, 4, 5, 6]
    assert table["id"].to_list() == ["0000", "0001", "0002", "0004", "0005", "0006"]
    assert table.schema["text_features"] == pl.Array(pl.Float16, 8)
    assert table["text_features"].is_null().to_list() == [False, False, True, False, False, False]
    assert table["image_features"].is_null().to_list() == [False, True, False, True, True, False]
    expected = encode(tiny_bundle, ["a good day", "bad rain", "so sad"])
    assert np.stack(table["text_features"].gather([0, 1, 3]).to_list()) == pytest.approx(expected, abs=2e-3)


def test_contents_are_named_as_sheets_name_them(
    here: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpora.make_posts(8).write_csv("posts.csv")
    assert run(capsys, "features", "posts.csv", "--images", "images", "--model", tiny_bundle).code == 0
    options = CorpusOptions(images=Path("images"))
    chunk = CorpusReader(survey_corpus(["posts.csv"], options, lambda _rows: None), options).read(8)
    assert chunk is not None
    names = list(dict.fromkeys(name_contents(*list_contents(chunk))))
    vectors, there, digest = read_features(Path("features.parquet"), [*names, "0" * 32])
    assert there.tolist() == [True, True, True, False, True, True, True, False]
    assert digest == load_bundle(tiny_bundle).digest
    assert vectors["text"].shape == (8, 8)
    assert np.isnan(vectors["image"][1]).all()


def test_several_images_have_their_mean(here: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        Image.new("RGB", (32, 32), (200 * number, 10, 10)).save(f"images/x{number}.png")
    rows = [("x0.png",), ("x1.png",), ("x0.png,x1.png",)]
    pl.DataFrame({"text": ["a", "b", "c"], "image": [row[0] for row in rows]}).write_csv("posts.csv")
    result = run(capsys, "features", "posts.csv", "--images", "images", "--model", tiny_bundle)
    assert result.code == 0, result.err
    first, second, both = (np.array(each) for each in pl.read_parquet("features.parquet")["image_features"])
    assert both == pytest.approx((first + second) / 2, abs=2e-3)


def test_what_is_there_is_kept(here: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpora.make_posts(8).write_csv("posts.csv")
    command = ("features", "posts.csv", "--model", tiny_bundle, "-o", "f.parquet")
    Path("f.parquet").write_text("mine")
    assert fail(capsys, *command) == (
        2,
        "f.parquet exists: name another file with -o, or replace it with --overwrite.",
    )
    assert run(capsys, *command, "--overwrite").code == 0
    assert fail(capsys, *command[:-1], "f.csv")[0] == 2
    with pytest.raises(InputError, match="There is no file gone"):
        read_features(Path("gone.parquet"), [])
    corpora.make_posts(8).write_parquet("posts.parquet")
    with pytest.raises(ColumnError, match="has no features"):
        read_features(Path("posts.parquet"), [])


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-9] + b"\xff" + content[-8:],
        lambda content: b"",
    ],
)
def test_a_damaged_file_is_named(
    here: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str], change: Callable[[bytes], bytes]
) -> None:
    corpora.make_posts(8).write_csv("posts.csv")
    assert run(capsys, "features", "posts.csv", "--model", tiny_bundle).code == 0
    path = Path("features.parquet")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises((ColumnError, TableError), match="features"):
        read_features(path, ["0" * 32])
