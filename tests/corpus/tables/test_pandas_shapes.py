"""Tables that pandas writes as JSON, and that are no object a post."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sentimm.errors import TableError
from tests.support.posts.reading import read_all, survey, write

TEXTS, IDS = ["good", "bad"], ["0012", "13"]
ROWS = [{"text": text, "id": post_id} for text, post_id in zip(TEXTS, IDS, strict=True)]
SHAPES = {  # as DataFrame.to_json writes them
    "columns": {"text": dict(zip("01", TEXTS, strict=True)), "id": dict(zip("01", IDS, strict=True))},
    "split": {"columns": ["text", "id"], "index": [0, 1], "data": [list(row.values()) for row in ROWS]},
    "index": dict(zip("01", ROWS, strict=True)),
}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", ["posts.json", "posts.json.gz"])
@pytest.mark.parametrize("orient", SHAPES)
def test_the_shape_is_named(tmp_path: Path, orient: str, name: str, indent: int | None) -> None:
    path = write(tmp_path / name, json.dumps(SHAPES[orient], indent=indent))
    with pytest.raises(TableError, match=f'orient="{orient}", not an object a post: write it with orient="records"'):
        survey(path)


@pytest.mark.slow
@pytest.mark.parametrize("orient", SHAPES)
def test_the_command_makes_a_table(tmp_path: Path, orient: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TableError) as raised:
        survey(write(Path("posts.json"), json.dumps(SHAPES[orient])))
    way = re.findall("`(.*)`", str(raised.value))[0].replace("python3", sys.executable)
    subprocess.run(way, shell=True, check=True)
    chunk = read_all(Path("posts.jsonl"))
    assert chunk.texts.to_list() == TEXTS
    assert chunk.frame["id"].to_list() == IDS


@pytest.mark.parametrize("kind", ["jsonl", "json"])
@pytest.mark.parametrize(
    "post", [{"scores": {"0": 0.5, "1": 0.5}, "text": "good"}, {"1": {"a": 2}, "text": "good"}, {"columns": ["x"]}]
)
def test_posts_with_numbers_as_keys_are_posts(tmp_path: Path, kind: str, post: dict[str, object]) -> None:
    post = {**post, "text": "good"}
    for posts in ([post], [post, post]):
        text = json.dumps(posts) if kind == "json" else "\n".join(map(json.dumps, posts))
        assert read_all(write(tmp_path / f"posts.{kind}", text)).texts.to_list() == ["good"] * len(posts)
