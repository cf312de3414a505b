from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentimm.corpus.tables import text_stream as streams
from sentimm.corpus.tables.json_files import ndjson
from sentimm.errors import TableError
from tests.support.posts.reading import read_all, read_chunks, survey, write

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=2), SCALARS, max_size=2)
relaxed = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


def to_text(value: object) -> object:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@pytest.mark.slow
@relaxed
@given(
    records=st.lists(
        st.fixed_dictionaries({"text": SCALARS}, optional={"a": VALUES, "b": VALUES}), min_size=1, max_size=8
    ),
    ascii_only=st.booleans(),
    block=st.integers(16, 90),
    rows=st.integers(1, 4),
)
def test_every_line_comes_out_once_with_its_values(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    records: list[dict[str, object]],
    ascii_only: bool,
    block: int,
    rows: int,
) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", block)
    lines = [json.dumps(record, ensure_ascii=ascii_only) for record in records]
    path = write(tmp_path / "posts.ndjson", "\n".join(lines))
    given_texts = {name: [to_text(record.get(name)) for record in records] for name in ("text", "a", "b")}
    chunks = list(read_chunks(path, rows=rows, infer_types=False))
    for name in chunks[0].frame.columns:
        assert [value for chunk in chunks for value in chunk.frame[name]] == given_texts[name]
    kept = list(read_chunks(path, rows=rows))
    for name, dtype in kept[0].frame.schema.items():
        values = [value for chunk in kept for value in chunk.frame[name]]
        expected = given_texts[name] if dtype == pl.String else [record.get(name) for record in records]
        assert values == expected


def test_types_are_those_of_json(tmp_path: Path) -> None:
    lines = [
        '{"text": "a", "n": 1, "x": 1, "b": true, "mixed": 1, "wide": 9007199254740993, "huge": 1, "s": "1"}',
        '{"text": "b", "n": 2, "x": 1.5, "b": false, "mixed": "", "wide": 0.5, "huge": 9223372036854775808, "l": [1]}',
        '{"text": "c", "n": null, "never": null, "o": {"k": [true]}}',
    ]
    chunk = read_all(write(tmp_path / "posts.jsonl", "\n".join(lines)))
    assert {name: str(dtype) for name, dtype in chunk.frame.schema.items()} == {
        "text": "String",
        "n": "Int64",
        "x": "Float64",
        "b": "Boolean",
        "mixed": "String",
        "wide": "String",
        "huge": "String",
        "s": "String",
        "l": "String",
        "never": "String",
        "o": "String",
    }
    columns = chunk.frame.to_dict(as_series=False)
    assert columns["x"] == [1.0, 1.5, None]
    assert columns["wide"] == ["9007199254740993", "0.5", None]
    assert columns["huge"] == ["1", "9223372036854775808", None]
    assert columns["l"] == [None, "[1]", None]
    assert columns["o"] == [None, None, '{"k": [true]}']
    assert columns["never"] == [None] * 3


def test_lines_that_are_no_objects_are_unreadable_in_their_place(tmp_path: Path) -> None:
    bad = ['{"text": "cut off', "[1]", "3", "null", '{"text": "x"},{"text": "y"}', "[" * 100_000, "{'text': 1}"]
    lines = [line for each in bad for line in ('{"text": "good"}', each)]
    chunk = read_all(write(tmp_path / "posts.ndjson", "\n".join(lines) + "\n"))
    assert chunk.texts.to_list() == ["good", None] * len(bad)
    assert chunk.unreadable.tolist() == [False, True] * len(bad)
    assert [problem.raw for problem in chunk.problems] == bad
    assert chunk.problems[1].reason == "is not a JSON object"


def test_lines_that_complete_each_other_are_not_taken_for_one(tmp_path: Path) -> None:
    lines = ['{"text": "a", "b": [{}', "{}]}", '{"text": "c"},null,{"text": "d"}', '{"text": "e"}']
    chunk = read_all(write(tmp_path / "posts.ndjson", "\n".join(lines)))
    assert chunk.texts.to_list() == [None, None, None, "e"]
    assert chunk.unreadable.tolist() == [True, True, True, False]


def test_halves_of_surrogate_pairs_are_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.ndjson", '{"text": "a\\ud83d", "k\\ud83d": 1, "n": "é"}\n')
    assert read_all(path).frame.to_dict(as_series=False) == {"text": ["a?"], "k?": [1], "n": ["é"]}


def test_blank_lines_and_windows_newlines_are_no_posts(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.ndjson", '\ufeff\r\n{"text": "a"}\r\n\r\n  \r\n{"text": "b"}\r\n')
    assert read_all(path).texts.to_list() == ["a", "b"]


def test_keys_that_appear_late_are_columns_and_may_be_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", 64)
    lines = ['{"body": "b"}'] * 30 + ['{"body": "b", "text": "t"}']
    found = survey(write(tmp_path / "posts.ndjson", "\n".join(lines)))
    assert (found.choice.text, found.texts, list(found.schema)) == ("text", 1, ["body", "text"])
    lines = ['{"a": "b"}'] * 30 + ['{"caption": "t"}']
    found = survey(write(tmp_path / "posts.ndjson", "\n".join(lines)))
    assert (found.choice.text, found.texts) == ("caption", 1)


def test_several_files_have_the_union_of_their_keys(tmp_path: Path) -> None:
    one = write(tmp_path / "1.ndjson", '{"text": "a", "n": 1}\n')
    two = write(tmp_path / "2.ndjson", '{"text": "b", "m": 2}\n')
    frame = read_all(one, two).frame
    assert frame.drop("source").to_dict(as_series=False) == {
        "text": ["a", "b"],
        "n": [1, None],
        "m": [None, 2],
        "row": [0, 0],
    }


def test_a_line_that_is_far_too_long_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", 64)
    monkeypatch.setattr(ndjson, "MAX_RECORD_BYTES", 500)
    lines = ['{"text": "a"}', '{"text": "' + "x" * 2000 + '"}', '{"text": "c"}']
    chunk = read_all(write(tmp_path / "posts.ndjson", "\n".join(lines)))
    assert chunk.texts.to_list() == ["a", None, "c"]
    assert chunk.unreadable.tolist() == [False, True, False]


@pytest.mark.parametrize("start", range(6))
def test_a_reader_can_start_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: int) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", 30)
    path = write(tmp_path / "posts.ndjson", "".join(f'{{"text": "{n}"}}\n' for n in range(5)))
    assert [text for chunk in read_chunks(path, rows=2, start=start) for text in chunk.texts] == list("01234")[start:]


@pytest.mark.parametrize("suffix", [".ndjson", ".jsonl", ".json", ".ndjson.gz", ".jsonl.zst", ".NDJSON"])
def test_all_suffixes_are_read(tmp_path: Path, suffix: str) -> None:
    assert read_all(write(tmp_path / f"posts{suffix}", '{"text": "a"}\n')).texts.to_list() == ["a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty: expected one JSON object per line."),
        (" \n\n", "is empty: expected one JSON object per line."),
    ],
)
def test_a_file_that_is_no_ndjson_is_a_clear_error(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path / "posts.ndjson", content)
    with pytest.raises(TableError) as raised:
        survey(path)
    assert str(raised.value).startswith(f"{path} {message}")
