"""Files that are not read, each named with a way that makes a table of it."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from shutil import which

import polars as pl
import pytest

from sentimm.errors import InputError, TableError
from tests.support.posts.reading import read_all, survey, write

POSTS = {"id": ["1", "2"], "text": ["good", "bad"]}


def write_with_pandas(path: Path) -> None:
    frame = pytest.importorskip("pandas").DataFrame(POSTS)
    frame.to_stata(path) if path.suffix == ".dta" else frame.to_pickle(path)


def write_with_r(path: Path) -> None:
    if which("Rscript") is None:
        pytest.skip("needs R")
    save = "saveRDS(posts, commandArgs(TRUE))" if path.suffix == ".rds" else "save(posts, file = commandArgs(TRUE))"
    posts = 'posts <- data.frame(id = c("1", "2"), text = c("good", "bad"))'
    subprocess.run(["Rscript", "-e", f"{posts}; {save}", path], check=True)


def write_database(path: Path) -> None:
    if which("sqlite3") is None:
        pytest.skip("needs sqlite3")
    with sqlite3.connect(path) as database:
        database.execute("create table posts (id, text)")
        database.executemany("insert into posts values (?, ?)", zip(*POSTS.values(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write_it"),
    [
        ("my posts.dta", write_with_pandas),
        ("posts.pkl", write_with_pandas),
        ("posts.avro", lambda path: pl.DataFrame(POSTS).write_avro(path)),
        ("posts.db", write_database),
        ("my posts.rds", write_with_r),
        ("posts.RData", write_with_r),
    ],
)
def test_the_way_works(tmp_path: Path, name: str, write_it, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_it(Path(name))
    with pytest.raises(InputError, match="can't be read as it is") as raised:
        survey(Path(name))
    way = re.findall("`(.*)`", str(raised.value))[0].replace("python3", sys.executable)
    subprocess.run(way, shell=True, check=True)
    assert read_all(Path("posts.csv")).texts.to_list() == POSTS["text"]


@pytest.mark.parametrize("suffix", ["car", "sav", "zsav", "sas7bdat", "xml", "RData", "sqlite", "html", "numbers"])
def test_there_is_a_way(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InputError, match="can't be read as it is: "):
        survey(write(tmp_path / f"posts.{suffix}", "x"))


@pytest.mark.parametrize("name", ["posts.csv", "posts.tsv", "posts.json", "posts.txt"])
@pytest.mark.parametrize("begin", ["<!DOCTYPE html>\n<html>", "\n<HTML lang=en>"])
def test_a_web_page_is_named(tmp_path: Path, name: str, begin: str) -> None:
    page = write(tmp_path / name, f"{begin}<head><title>Log in</title></head>\n<body>text, id</body></html>")
    with pytest.raises(TableError, match=r"is a web page, not [A-Z]+.*download the table again"):
        survey(page)
