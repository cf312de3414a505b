"""Dirty NDJSON, end to end: every line has its row, or one sentence says why none has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sentimm.corpus.tables.json_files import ndjson
from sentimm.errors import TableError
from tests.support.posts.reading import read_all, write
from tests.support.posts.scored_tables import BAD, EMPTY, OK, Score, fail


def test_every_line_of_ndjson_has_its_row(tmp_path: Path, score: Score) -> None:
    lines = [
        ('{"text": "a"}', OK),
        ('{"text":', BAD),
        ('{"text": NaN}', EMPTY),
        ('{"text": "x", "text": "b"}', OK),
        ('{"text": "\\ud800"}', OK),
        ('{"text": null, "\\u0000": 1, "": 2, "\\ud800": 3}', EMPTY),
        ("[]", BAD),
        ('{"text": ' + "[" * 150 + "]" * 150 + "}", OK),
        ('{"text": ' + "[" * 300 + "]" * 300 + "}", BAD),
        ('{"text": ' + "[" * 985 + "]" * 985 + "}", BAD),
        ('{"text": ' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "}", BAD),
        ('{"text": "' + "[" * 500 + '\\"{"}', OK),
        ('{"text": [' + "[1]," * 500 + "[2]]}", OK),
        ('{"text": "c", "n": ' + "9" * 5000 + "}", BAD),
        ('{"text": "c", "n": 1e999}', OK),
        ("\0\0", BAD),
        ("{'text': 'c'}", BAD),
        ('{"text": "d",}', BAD),
        ('{"text": "e"} {"text": "f"}', BAD),
        ('{"text": "caf\udce9"}', OK),
        ('{"text": "' + "x" * 3_000_000 + '"}', OK),
        ('{"text": "z"}', OK),
    ]
    content = "\ufeff" + "\n".join(line for line, _ in lines)
    found = score(write(tmp_path / "posts.ndjson", content.encode(errors="surrogateescape")))
    assert found.statuses == [status for _, status in lines]
    assert found.texts[2:5] == ["NaN", "b", "?"]
    assert found.frame.columns[:5] == ["text", "\ufffd", "", "?", "n"]


def test_a_line_of_twenty_megabytes_leaves_the_others_alone(tmp_path: Path, score: Score) -> None:
    lines = ['{"text": "a"}', '{"text": "' + "x" * 20_000_000 + '"}', '{"text": "c"}']
    found = score(write(tmp_path / "posts.ndjson", "\n".join(lines)))
    assert (found.statuses[0], found.texts[0]) == (OK, "a")
    assert (found.statuses[2], found.texts[2]) == (OK, "c")


def test_reasons_of_unreadable_lines(tmp_path: Path) -> None:
    lines = ['{"text":', '{"a": ' + "9" * 5000 + "}", "[" * 1000, "7"]
    chunk = read_all(write(tmp_path / "posts.ndjson", "\n".join(['{"text": "a"}', *lines])))
    assert [problem.reason for problem in chunk.problems] == [
        "is not valid JSON (Expecting value: line 1 column 9)",
        "has a number of thousands of digits",
        "is nested too deeply",
        "is not a JSON object",
    ]


@pytest.mark.parametrize(
    "content",
    ['{"text": "a"}\r{"text": "b"}\r', "null\n[]\n3\n", '{"text": "a"} {"text": "b"}'],
)
def test_no_object_on_any_line_is_one_sentence(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "posts.json", content)
    assert fail(TableError, path).startswith(f"{path} holds no JSON object: expected one per line, but the first line")


def test_objects_of_many_keys_are_read_a_few_at_a_time(
    tmp_path: Path, score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ndjson, "MAX_CELLS", 500)
    lines = ["no" if row % 7 == 3 else json.dumps({"text": str(row), f"key-{row % 50}": row}) for row in range(100)]
    found = score(write(tmp_path / "posts.ndjson", "\n".join(lines)))
    assert found.statuses == [BAD if row % 7 == 3 else OK for row in range(100)]
    assert found.texts == [None if row % 7 == 3 else str(row) for row in range(100)]
    assert found.frame["key-49"].drop_nulls().to_list() == [49, 99]


def test_objects_keyed_by_id_are_no_table(tmp_path: Path) -> None:
    lines = (json.dumps({"text": "a", f"id-{row}": 1}) for row in range(12_000))
    assert "more than 10,000 different keys" in fail(TableError, write(tmp_path / "posts.ndjson", "\n".join(lines)))
