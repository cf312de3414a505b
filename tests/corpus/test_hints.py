"""Advice is only given where following it works: each hint is taken out of its message, and followed as it stands."""

from __future__ import annotations

import gzip
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from tests.support.commands import run

Write = Callable[[Path], object]


@dataclass(frozen=True)
class Hint:
    """A command whose message gives advice.

    Attributes:
        write: writes its input into a folder.
        command: what is given to `sentimm score`.
        message: the message, with what it advises as groups.
        advice: the command that follows it, with the groups in their places.
        texts: how many posts have a text then; -1: some.
        images: how many have an image.
    """

    write: Write
    command: str
    message: str
    advice: str
    texts: int = 2
    images: int = 0


def text(name: str, content: str, encoding: str = "utf-8") -> Write:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content, encoding=encoding)

    return write


def parquet(columns: dict[str, list[object]]) -> Write:
    return lambda folder: pl.DataFrame(columns).write_parquet(folder / "posts.parquet")


def with_image(write: Write, name: str = "images/a.png") -> Write:
    def make(folder: Path) -> None:
        write(folder)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9)).save(folder / name)

    return make


CUT_OFF = gzip.compress(b"text\n" + b"".join(b"%d is a good day\n" % row for row in range(500_000)), 1)[:-200_000]
NESTED = [{"tweet": {"own": {"text": "good"}, "quoted": {"text": "bad"}}}] * 2
IMAGE = "text,image\ngood,a.png\nbad,\n"
HINTS = {
    "no header": Hint(
        text("posts.csv", "0,12,so good a day\n4,13,so bad a night\n"),
        "posts.csv",
        r"add (--no-header --text-column column_\d+), else",
        "posts.csv {0}",
    ),
    "no header, and a value twice": Hint(
        text("posts.csv", "0,0,so good a day\n4,0,so bad a night\n"),
        "posts.csv",
        r"add (--no-header) if its first line is a post",
        "posts.csv {0} --text-column column_3",
    ),
    "objects": Hint(
        text("posts.jsonl", "\n".join(map(json.dumps, NESTED))),
        "posts.jsonl",
        r"name the text with (--text-column \S+)\.$",
        "posts.jsonl {0}",
    ),
    "objects in Parquet": Hint(
        parquet({"tweet": [each["tweet"] for each in NESTED]}),
        "posts.parquet",
        r"name the text in it with (--text-column \S+)\.$",
        "posts.parquet {0}",
    ),
    "another column is full": Hint(
        text("posts.csv", "text,story\n,a good day\n,a bad night\n"),
        "posts.csv",
        r"If '(\w+)' holds the texts, name it with (--text-column)\.",
        "posts.csv {1} {0}",
    ),
    "nothing to score": Hint(
        text("posts.csv", "text,n\n,1\n,2\n"),
        "posts.csv",
        r"Use (--allow-missing) to continue all the same",
        "posts.csv {0}",
        texts=0,
    ),
    "no record fits": Hint(
        text("posts.csv", "id,text\n1,a,b,c\n2,a,b,c\n"),
        "posts.csv",
        r"use (--allow-missing) to continue all the same",
        "posts.csv {0}",
        texts=0,
    ),
    "no image is there": Hint(
        with_image(text("posts.csv", "text,image\ngood,x.png\nbad,y.png\n")),
        "posts.csv --images images",
        r"use (--allow-missing) to continue without images",
        "posts.csv --images images {0}",
    ),
    "no column of texts": Hint(
        text("posts.csv", "story,n\ngood,1\nbad,2\n"),
        "posts.csv",
        r"No text column found \(columns: (\w+), n\): name it with (--text-column)",
        "posts.csv {1} {0}",
    ),
    "a column that is misspelt": Hint(
        text("posts.csv", "story,n\ngood,1\nbad,2\n"),
        "posts.csv --text-column stroy",
        r"did you mean '(\w+)'\?",
        "posts.csv --text-column {0}",
    ),
    "a table beside its images": Hint(
        with_image(text("all/posts.csv", IMAGE), "all/images/a.png"),
        "all",
        r"pass (\S+) with (--images [\w/]+), or",
        "{0} {1}",
        images=1,
    ),
    "images that are not used": Hint(
        with_image(text("posts.csv", IMAGE)),
        "posts.csv",
        r"names images, which are not used: give their folder with (--images)\.",
        "posts.csv {0} images",
        images=1,
    ),
    "bytes by another name": Hint(
        parquet({"text": ["good", "bad"], "raw": [b"1", b"2"]}),
        "posts.parquet",
        r"The column '(\w+)' holds bytes: if these are images, name it with (--image-column)\.",
        "posts.parquet {1} {0}",
        images=2,
    ),
    "a file that is cut off": Hint(
        lambda folder: (folder / "posts.csv.gz").write_bytes(CUT_OFF),
        "posts.csv.gz",
        r"use (--limit \d+) for these",
        "posts.csv.gz {0}",
        texts=-1,
    ),
    "a guess of the encoding": Hint(
        text("posts.csv", "text\nça va très bien merci\nmañana será un gran día\n", "cp1252"),
        "posts.csv",
        r"is read as (\w+), which is a guess. Where that is wrong, name its encoding with (--encoding)\.",
        "posts.csv {1} {0}",
    ),
    "words for nothing": Hint(
        text("posts.csv", "text\n" + "NA\n" * 3 + "good\nbad\n"),
        "posts.csv",
        r"(--null-values) says which words stand for nothing",
        "posts.csv {0} good",
        texts=4,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HINTS)
def test_advice_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    hint = HINTS[name]
    monkeypatch.chdir(tmp_path)
    hint.write(tmp_path)
    _, out, err = run(capsys, "score", *shlex.split(hint.command), "--dry-run")
    message = re.search(hint.message, " ".join(f"{out} {err}".split()))
    assert message is not None, out + err
    code, out, err = run(capsys, "score", *shlex.split(hint.advice.format(*message.groups())), "--dry-run", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["texts"] == hint.texts or (hint.texts < 0 < found["texts"])
    assert found["images_found"] == hint.images


def test_the_array_that_is_named_can_be_written_to_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    document = {"a": {"list": [{"text": "good"}, {"text": "bad"}]}, "b": {"list": [{"text": "no"}]}}
    Path("all.json").write_text(json.dumps(document, indent=1))
    _, _, err = run(capsys, "score", "all.json", "--dry-run")
    path = re.search(r"as `jq -c '\.(\S+)\[\]'` does", err)
    assert path is not None
    posts = document  # what jq would do
    for part in path[1].split("."):
        posts = posts[part]
    Path("posts.jsonl").write_text("\n".join(map(json.dumps, posts)))
    code, out, _ = run(capsys, "score", "posts.jsonl", "--dry-run", "--json")
    assert (code, json.loads(out)["texts"]) == (0, 2)
