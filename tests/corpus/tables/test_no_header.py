"""Tables without a header, such as Sentiment140."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.support.commands import fail, run
from tests.support.posts.reading import read_all, read_chunks, survey, write

LINES = ["4|1467810369|Mon Apr 06|good day", "0|1467810672|Mon Apr 06|bad day", "0|1467810917|Tue Apr 07|so so"]
TEXTS = ["good day", "bad day", "so so"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_the_first_line_is_a_post(tmp_path: Path, suffix: str, quote: str) -> None:
    mark = f"{quote}\t{quote}" if "tsv" in suffix else f"{quote},{quote}"
    content = "".join(f"{quote}{line.replace('|', mark)}{quote}\n" for line in LINES)
    path = write(tmp_path / f"posts{suffix}", content)
    options = {"no_header": True, "text_column": "column_4"}
    assert read_all(path, **options).texts.to_list() == TEXTS
    assert [text for chunk in read_chunks(path, rows=1, start=1, **options) for text in chunk.texts] == TEXTS[1:]
    found = survey(path, **options)
    assert (found.rows, list(found.schema)) == (3, ["column_1", "column_2", "column_3", "column_4"])
    assert found.schema["column_1"] == pl.Int64()


def test_the_command_takes_it(tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "posts.csv", "".join(line.replace("|", ",") + "\n" for line in LINES))
    options = ["--no-header", "--text-column", "column_4", "--model", tiny_bundle, "-o", tmp_path / "out.parquet"]
    assert run(capsys, "score", path, *options).code == 0
    assert pl.read_parquet(tmp_path / "out.parquet")["column_4"].to_list() == TEXTS


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_first_line_that_seems_to_be_a_post_is_asked_about(
    tmp_path: Path, suffix: str, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line + " for me" for line in LINES]
    content = "".join(line.replace("|", "\t" if suffix == ".tsv" else ",") + "\n" for line in lines)
    command = [
        "score",
        write(tmp_path / f"posts{suffix}", content),
        "--model",
        tiny_bundle,
        "-o",
        tmp_path / "o.parquet",
    ]
    code, message = fail(capsys, *command)
    assert code == 2
    assert "seems to be a post" in message
    advice = "--no-header --text-column column_4"
    assert advice in message
    assert run(capsys, *command, *advice.split()).code == 0
    assert pl.read_parquet(tmp_path / "o.parquet")["column_4"].to_list() == [f"{text} for me" for text in TEXTS]
