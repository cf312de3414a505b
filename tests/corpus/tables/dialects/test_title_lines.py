"""Titles and comments above a header: left out where it is plain which line the header is, and no post with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import run
from tests.support.posts.reading import read_all, read_chunks, survey, write

BRANDWATCH = """Report:,"Bulk Mentions Download"
Brand:,"Coffee, all of it"
From:,"Mon Jan 01 00:00:00 GMT 2024"
To:,"Sun Mar 31 23:59:59 GMT 2024"
Label:,""

Query Id,Query Name,Date,Title,Full Text,Url
1999,coffee,2024-01-01,"a, title","what a, nice
day",https://x.com/1
2000,coffee,2024-01-02,,bad,https://x.com/2
"""
ROWS = "{names}\n1;good, really, good;5\n2;bad;6\n3;fine;7\n"


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_a_report_of_brandwatch(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"mentions{suffix}", BRANDWATCH)
    found = survey(path)
    assert list(found.schema) == ["Query Id", "Query Name", "Date", "Title", "Full Text", "Url"]
    assert (
        found.notes[0]
        == f"{path} has 5 lines above its header, which are left out; the first: {BRANDWATCH.splitlines()[0]!r}."
    )
    assert read_all(path).texts.to_list() == ["what a, nice\nday", "bad"]
    (rest,) = read_chunks(path, start=1)
    assert rest.texts.to_list() == ["bad"]


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "above",
    [
        "# exported by a tool",
        "# exported by a tool, on 2024-01-01, at noon\n# by me",
        '"Report: my list"',
        "Report: my list, of posts\n",
        "\n\nMy posts\n\n2024\n\n",
        "Title;Report;\n;;\nFrom;2024;",
        "My posts;;\n;;",
    ],
)
@pytest.mark.parametrize("names", ["id;text;likes", "Autor;Beitrag;Zahl"])
def test_the_header_is_found(tmp_path: Path, suffix: str, end: str, above: str, names: str) -> None:
    content = f"{above}\n{ROWS.format(names=names)}".replace("\n", end)
    path = write(tmp_path / f"posts.{suffix}", content.replace(";", "\t") if suffix == "tsv" else content)
    text = names.split(";")[1]
    found = survey(path, text_column=text)
    assert list(found.schema) == names.split(";")
    assert [note for note in found.notes if "above its header" in note]
    assert read_all(path, text_column=text).texts.to_list() == ["good, really, good", "bad", "fine"]


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("#id,text\n1,good\n2,bad\n", ["#id", "text"]),
        ("# id\ttext\n1\tgood\n", ["# id", "text"]),
        ("#Autor;Beitrag\nAnn;Hallo\nBob;Gut\n", ["#Autor", "Beitrag"]),
        ("comment\nI like it, a lot, really\nNo, not, me\n", ["comment"]),
        ("tags\n\na;b;c\nd;e;f\n", ["tags"]),
        ("tags\na;b;c\nd;e;f\ng;h;i\nj;k;l\n", ["tags"]),
        ("my tags\na;b;c\nd;e;f\ng;h;i\n", ["my tags"]),
        ("comment\nhello,world\nbye,friend\n", ["comment"]),
        ("text\n# tag\n# other\n", ["text"]),
        ("Autor,Beitrag,Datum\nAnn,Hallo, Welt,1\nBob,gut, sehr,2\nEve,a,3\n", ["Autor", "Beitrag", "Datum"]),
        ("Autor,Beitrag\n\nid,text\n1,2\n", ["Autor", "Beitrag"]),
        ('Autor,Beitrag\nAnn,"one\n\nid,text,likes\nx"\n', ["Autor", "Beitrag"]),
    ],
)
def test_a_first_line_that_may_be_the_header_is_it(tmp_path: Path, content: str, columns: list[str]) -> None:
    path = write(tmp_path / "posts.csv", content)
    found = survey(path, text_column=columns[-1], allow_missing=True)
    assert list(found.schema) == columns
    assert not [note for note in found.notes if "above its header" in note]


def test_a_comment_above_a_single_column(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", "# exported by a tool\ntext\ngood\n# bad\n")
    assert read_all(path).texts.to_list() == ["good", "# bad"]


def test_without_a_header_every_line_is_a_post(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", "# one\nid,text,n\n1,a,2\n")
    assert survey(path, no_header=True, text_column="column_1").rows == 3


def test_sep_may_stand_above_a_title(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", "sep=;\nMy report, of 2024\n" + ROWS.format(names="id;text;n"))
    assert read_all(path).texts.to_list() == ["good, really, good", "bad", "fine"]


def test_the_command_says_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_bundle: Path
) -> None:
    path = write(tmp_path / "mentions.csv", BRANDWATCH)
    code, out, err = run(capsys, "score", path, "--model", tiny_bundle, "--dry-run")
    assert code == 0 and "5 lines above its header" in " ".join(f"{out} {err}".split())
