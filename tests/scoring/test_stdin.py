"""Standard input: NDJSON, CSV and TSV by its first lines, and one sentence for anything else."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.support.commands import fail, run

ROWS = [("1", "good, really"), ("2", "bad")]
CSV = "id,text\n" + "".join(f'{id_},"{text}"\n' for id_, text in ROWS)
TSV = "id\ttext\n" + "".join(f"{id_}\t{text}\n" for id_, text in ROWS)
NDJSON = "".join(f'{{"id": "{id_}", "text": "{text}"}}\n' for id_, text in ROWS)
DOCUMENT = f"[{','.join(NDJSON.splitlines())}]"


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)

    def set_stdin(content: str | bytes) -> None:
        class Stdin:
            buffer = io.BytesIO(content.encode() if isinstance(content, str) else content)

        monkeypatch.setattr(sys, "stdin", Stdin)

    return set_stdin


@pytest.mark.parametrize(
    "content",
    [
        CSV,
        TSV,
        NDJSON,
        DOCUMENT,
        "\n" + CSV,
        "sep=,\n" + CSV,
        "# by me\n" + CSV,
        '"id";"text"\n1;"good, really"\n2;"bad"\n',
        "text\n" + '"good, really"\nbad\n',
        '": "x"}\n' + NDJSON,
        gzip.compress(CSV.encode(), mtime=0),
        CSV.encode("utf-16"),
    ],
)
def test_its_format_is_found(pipe, tiny_bundle: Path, capsys, content: str | bytes) -> None:
    pipe(content)
    dry = run(capsys, "score", "-", "--model", tiny_bundle, "--dry-run")
    assert dry.code == 0, dry.err
    pipe(content)
    assert run(capsys, "score", "-", "--model", tiny_bundle).code == 0
    texts = pl.read_parquet("stdin.scored.parquet")["text"].to_list()
    assert [text for text in texts if text] == [text for _, text in ROWS]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "Standard input is empty"),
        ("  \n", "neither NDJSON nor CSV nor TSV: its first line is ''"),
        ("hello\nworld\n", "its first line is 'hello'"),
        (b"PK\x03\x04abc", "Standard input is a ZIP archive or an Excel workbook: write it to a file"),
        (b"PAR1abc", "Standard input is a Parquet file"),
        (gzip.compress(CSV.encode(), mtime=0)[:20], "cut off or damaged"),
    ],
)
def test_what_is_none_is_one_sentence(pipe, tiny_bundle: Path, capsys, content: str | bytes, expected: str) -> None:
    pipe(content)
    code, message = fail(capsys, "score", "-", "--model", tiny_bundle)
    assert code in (1, 2) and expected in message
    assert list(Path().iterdir()) == []


def test_the_way_out_works(pipe, tiny_bundle: Path, capsys, tmp_path: Path) -> None:
    pipe("hello\nworld\n")
    _, message = fail(capsys, "score", "-", "--model", tiny_bundle)
    assert "write them to a file that ends in .txt" in message
    Path("posts.txt").write_text("hello\nworld\n")
    assert run(capsys, "score", "posts.txt", "--model", tiny_bundle).code == 0
