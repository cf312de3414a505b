"""The Python of the guide to training."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from tests.support.posts.reading import survey

GUIDE = Path(__file__).parents[2] / "docs/guides/train.md"


def test_a_table_is_made_of_mvsa_as_it_is_distributed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "MVSA_Single/data"
    data.mkdir(parents=True)
    sides = ["neutral,positive", "negative,neutral", "positive,negative", "neutral,neutral", "positive,positive"]
    lines = "".join(f"{row}\t{each}\n" for row, each in enumerate(sides, 1))
    (tmp_path / "MVSA_Single/labelResultAll.txt").write_text(f"ID\ttext,image\n{lines}")
    for row in range(1, 6):
        (data / f"{row}.txt").write_bytes(f"RT @ana: post {row} ".encode() + b"\xe2\x80\n")
        (data / f"{row}.jpg").touch()
    monkeypatch.chdir(tmp_path)
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL) if "MVSA" in code]
    exec(compile(code, str(GUIDE), "exec"), {})
    posts = pl.read_csv("mvsa.csv", infer_schema=False)
    assert posts.select("id", "label").rows() == [
        ("1", "positive"),
        ("2", "negative"),
        ("4", "neutral"),
        ("5", "positive"),
    ]
    assert posts.columns == ["id", "text_label", "image_label", "text", "label"]
    assert survey(tmp_path / "mvsa.csv", images=data).images_found == 4
