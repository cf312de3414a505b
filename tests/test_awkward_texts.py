"""Awkward texts through the tokenizer, and awkward names through the command line."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import polars as pl
import pytest

from sentimm.console.terminal import printable
from sentimm.text import TextTokenizer, normalize_texts
from tests.support.commands import run
from tests.support.posts import corpora
from tests.support.tiny.bundles import make_bundle, make_tokenizer

MEGABYTE = 1_000_000
WHITE_SPACE = "".join(map(chr, filter(lambda code: chr(code).isspace(), range(0x110000))))

# What a name could do to a terminal: colours, 8-bit controls, overwriting, direction, hiding, new lines.
HOSTILE = "a\x1b[31m\x1b]0;t\x07\x9b2J\x90q\x9c\r\x08\x7f\u202e\u2066\u200b\u2060\ufeff\u2028\x85\x0b\nb"


def normalize(text: str) -> str:
    (normalized,) = normalize_texts(pl.Series([text], dtype=pl.String))
    assert isinstance(normalized, str)
    return normalized


def is_harmless(printed: str) -> bool:
    """Return whether nothing but visible characters and newlines was printed."""
    return not any(
        unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in printed.replace("\n", "")
    )


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "a",
            "@",
            "#",
            "_",
            "-",
            "1",
            "'",
            "(",
            ".",
            "&",
            "<",
            "\0",
            "\x1b",
            "é",
            "日",
            "ก",
            "\u0627",
            "가",
            "\ufffd",
        ),
        *(
            ":-)",
            "@a",
            " @",
            "x ",
            "word ",
            "http://",
            "www.",
            "&amp;",
            "&#",
            "&#x",
            "&a;",
            "&#1;",
            "\u0301",
            "a\u0301",
        ),
        *("😀", "👨\u200d👩\u200d👧", "🇩", "🏻", "#\ufe0f\u20e3", "\ufe0f", "\u200b", "\u202e", "\u2066", "ﷺ", "㍿"),
        *("\u05d0\u05d1 ", "\u0f71\u0f72", "\U0001d15e", WHITE_SPACE, "\u2028", "\U000e0001", "\uffff"),
    ],
    ids=ascii,
)
def test_a_megabyte_of_anything_takes_no_time_and_few_tokens(piece: str) -> None:
    tokenizer = TextTokenizer(make_tokenizer().to_str().encode(), max_tokens=16)
    began = time.process_time()
    text = normalize(piece * (MEGABYTE // len(piece)))
    (row,) = tokenizer.encode([text])
    assert time.process_time() - began < 2
    assert len(text) <= 4096 and 2 <= len(row) <= 16
    assert is_harmless(text.replace("\u200d", "").replace("\U000e0001", ""))
    assert text == text.strip()


def test_white_space_of_all_kinds_is_nothing() -> None:
    assert len(WHITE_SPACE) >= 25
    assert normalize(WHITE_SPACE * 100) == ""
    assert normalize(f"a{WHITE_SPACE}b") == "a b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("&#" + "9" * 5000 + "; ok", "ok"),
        ("&amp; &#" + "9" * 8000, "&"),
        ("&#" + "0" * 5000 + "65; &lt;", "A <"),
        ("&#x" + "f" * 5000 + "; &lt;", "<"),
        ("&#" + "9" * 20 + ";&#1114112;&#55296;&#0; ok", "ok"),
    ],
)
def test_entities_of_absurd_numbers_are_no_characters(text: str, expected: str) -> None:
    assert normalize(text) == expected


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> Path:
    """A working directory where the default model is the tiny one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sentimm.bundle.bundle.default_bundle_path", lambda: tiny_bundle)
    return tmp_path


def test_awkward_texts_have_their_rows(capsys, here):
    texts = [
        "word " * 200_000,
        "x" * MEGABYTE,
        "😀",
        "😀" * 100_000,
        WHITE_SPACE,
        "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
        "\u200b\u2060\ufeff",
        "\u202egood\u202c",
        "\ud83d good",
        "\0\x01\x1b[31m",
        "&#" + "9" * 5000 + ";",
        "\0good\0",
    ]
    Path("posts.ndjson").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert run(capsys, "score", "posts.ndjson", "--quiet") == (0, "", "")
    scored = pl.read_parquet("posts.scored.parquet")
    empty = {4, 6, 10}
    assert scored["status"].to_list() == ["empty" if row in empty else "ok" for row in range(len(texts))]
    assert scored["text"].to_list()[:8] == texts[:8]
    assert scored["text"][8] == "? good"


def test_names_of_files_columns_and_images_control_no_terminal(capsys, here):
    name, output = f"{HOSTILE}.csv", f"{HOSTILE}.parquet".replace("[", "")
    corpora.make_posts(1).rename({"likes": HOSTILE}).write_csv(name)
    Path("posts.ndjson").write_text(json.dumps({"text": HOSTILE, HOSTILE: HOSTILE, "image": HOSTILE}) + "\nno\n")
    folder = Path(f"f{HOSTILE}")
    folder.mkdir()
    commands = [
        ("score", name, "-o", output),
        ("score", name, "--dry-run"),
        ("score", name, "--json", "-o", output),
        ("score", name, "--json", "-o", output, "--overwrite"),
        ("status", output),
        ("status", HOSTILE),
        ("score", "posts.ndjson", "--verbose", "--overwrite"),
        ("score", "posts.ndjson", "--dry-run", "--json"),
        ("score", "posts.ndjson", "--images", str(folder)),
        ("score", "posts.ndjson", "--images", HOSTILE),
        ("score", "posts.ndjson", "--text-column", HOSTILE.upper()),
        ("score", "posts.ndjson", "--columns", HOSTILE + "x"),
        ("score", name, "posts.ndjson"),
        ("score", HOSTILE),
        ("score", str(folder)),
        ("score", "posts.ndjson", "--model", HOSTILE),
        ("score", "posts.ndjson", "--device", HOSTILE),
        ("score", "posts.ndjson", "--limit", HOSTILE),
        ("score", "posts.ndjson", f"--{HOSTILE}"),
        (HOSTILE,),
        ("score", "posts.ndjson", "--log-file", f"{HOSTILE}/x"),
        ("evaluate", "posts.ndjson", "--label-column", HOSTILE),
        ("evaluate", "posts.ndjson", "--label-column", "text"),
    ]
    for command in commands:
        code, out, err = run(capsys, *command)
        assert is_harmless(out + err), command
        assert "unexpected" not in err and "Traceback" not in err, command
        assert out + err, command
        if "--json" in command:
            (line,) = out.splitlines()
            assert code == 0 and json.loads(line)


def test_markup_in_names_is_printed_as_it_is(capsys, here):
    Path("[red]a[bold].ndjson").write_text('{"text": "a", "[bold]": 1, ":smile:": 2}\n')
    _, out, err = run(capsys, "score", "[red]a[bold].ndjson", "--dry-run")
    assert "[red]a[bold].ndjson" in out and "\n[bold]" in out and ":smile:" in out
    _, out, err = run(capsys, "score", "[red]a[bold].ndjson", "-o", "out.parquet")
    assert "[red]a[bold].ndjson: 1 post" in err


def test_labels_control_no_terminal(capsys, here):
    labels = ("negative\x1b[31m", "neu\ntral\u202e", "[bold]positive")
    make_bundle(here / "bundle", labels=labels)
    Path("posts.csv").write_text("text\ngood\nbad\nsad day\n")
    code, out, err = run(capsys, "score", "posts.csv", "--model", "bundle")
    assert code == 0 and is_harmless(out + err)
    assert "neu\N{REPLACEMENT CHARACTER}tral" in out and "[bold]positive" in out
    _, out, _ = run(capsys, "score", "posts.csv", "--model", "bundle", "--json", "--overwrite")
    assert set(json.loads(out)["labels"]) == set(labels) and is_harmless(out)
    _, out, err = run(capsys, "info", "bundle")
    assert is_harmless(out + err)


def test_json_says_what_the_names_are(capsys, here):
    name = f"{HOSTILE}é\U000e0001.csv"
    Path(name).write_text("text\ngood\n")
    code, out, _ = run(capsys, "score", name, "--dry-run", "--json")
    assert code == 0 and is_harmless(out) and "é" in out
    assert json.loads(out)["sources"][0][0] == name


def test_a_name_forges_no_line_of_the_log(capsys, here):
    forged = "2026-01-01 00:00:00,000 INFO sentimm: forged"
    for newline in ("\n", "\r", "\x85", "\u2028", "\x0b"):
        name = f"a{newline}{forged}.ndjson"
        Path(name).write_text('{"text": "a"}\nno\n')
        run(capsys, "score", name, "--log-file", "run.log")
        run(capsys, "score", f"gone{newline}{forged}.csv", "--log-file", "run.log")
        run(capsys, "score", name, "--text-column", f"x{newline}{forged}", "--log-file", "run.log")
    log = Path("run.log").read_text(encoding="utf-8")
    assert "forged" in log and "Traceback" in log
    assert is_harmless(log)
    for line in log.split("\n"):
        assert re.match(r"\d{4}-\d\d-\d\d [\d:,]+ [A-Z]+ sentimm|  |$", line), line
        assert not line.startswith(forged)


def test_log_records_of_names_that_are_no_utf8_are_written(capsys, here):
    name = os.fsdecode(b"p\xff.csv")
    Path(name).write_text("text\na\n")
    code, _, err = run(capsys, "score", name, "--log-file", "run.log", "--verbose")
    assert code == 2 and "is not valid UTF-8" in err
    assert "Logging error" not in err and is_harmless(err)
    assert "is not valid UTF-8" in Path("run.log").read_text(encoding="utf-8")
    logging.getLogger("sentimm").info("nothing listens here: %s", name)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_are_printed_in_any_encoding(here, tiny_bundle, encoding):
    for name in (b"caf\xc3\xa9.csv", b"p\xff.csv"):
        Path(os.fsdecode(name)).write_text("text,é\ngood,1\n", encoding="utf-8")
        for arguments in (["--dry-run"], ["--json"]):
            command = [sys.executable, "-m", "sentimm", "score", name, "--model", str(tiny_bundle), *arguments]
            done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding})
            assert b"Traceback" not in done.stderr and b"unexpected" not in done.stderr
            assert done.returncode == (2 if b"\xff" in name else 0)
            if arguments == ["--json"] and done.returncode == 0:
                assert json.loads(done.stdout)["rows"] == 1


def test_what_is_printable_stays_as_it_is():
    text = "Größe 日本語 😀 👍🏽 ❤️ a b · █ [bold] 'x' \\ e\u0301"
    assert printable(text) == text
    assert is_harmless(printable(HOSTILE)) and "\n" not in printable(HOSTILE)
    assert printable(os.fsdecode(b"\xff")) == "\N{REPLACEMENT CHARACTER}"
