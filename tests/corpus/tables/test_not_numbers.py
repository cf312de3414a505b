"""NaN in JSON, as Python writes what is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sentimm.corpus.tables import text_stream as streams
from sentimm.corpus.tables.json_files.not_numbers import replace_nan
from sentimm.errors import TableError
from tests.support.posts.reading import read_all, survey, write

RECORDS = ['{"text": "say NaN, \\"NaN\\": NaN", "n": 1}', '{"text": NaN, "n": 0.5}', '{"text": "good", "n": NaN}']
TEXTS = ['say NaN, "NaN": NaN', None, "good"]
FILES = {
    "posts.jsonl": "\n".join(RECORDS),
    "posts.json": f"[{', '.join(RECORDS)}]",
    "object.json": f'{{"about": NaN,\n"posts": [{", ".join(RECORDS)}]}}',
    "pages.jsonl": "\n".join(f'{{"data": [{record}], "meta": NaN}}' for record in RECORDS),
    "nested.jsonl": "\n".join(f'{{"record": {record}}}' for record in RECORDS),
    "posts.jsonl.gz": "\n".join(RECORDS),
}


@pytest.mark.parametrize("name", FILES)
def test_nan_is_no_text(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, FILES[name])
    found = survey(path)
    assert (found.rows, found.texts) == (3, 2)
    assert read_all(path).texts.to_list() == TEXTS
    for start in (1, 2):
        assert read_all(path, start=start).texts.to_list() == TEXTS[start:]
    assert any("read as null" in note or "no text" in note for note in found.notes) != name.startswith("nested")


def test_a_text_that_is_called_nan_is_one(tmp_path: Path) -> None:
    for name, content in {"posts.jsonl": '{"text": "NaN"}\n{"text": "good"}', "posts.csv": "text\nNaN\ngood\n"}.items():
        assert read_all(write(tmp_path / name, content)).texts.to_list() == ["NaN", "good"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_nan_is_found_wherever_blocks_end(size: int) -> None:
    data = '{"a\\\\": NaN, "NaN \\" NaN": [NaN,NaN], "b": "ä NaN", "c": -1.5, "d": true, "e": [NaNa, NaN]}'.encode()
    blocks = [data[at : at + size] for at in range(0, len(data), size)]
    expected = '{"a\\\\": null, "NaN \\" NaN": [null,null], "b": "ä NaN", "c": -1.5, "d": true, "e": [NaNa, null]}'
    assert b"".join(replace_nan(blocks)).decode() == expected


def test_nan_far_below_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", 1000)
    path = write(tmp_path / "posts.json", f"[{', '.join([RECORDS[0]] * 300 + RECORDS)}]")
    assert read_all(path).texts.to_list() == [TEXTS[0]] * 300 + TEXTS
    assert read_all(path, start=299).texts.to_list() == [TEXTS[0], *TEXTS]


@pytest.mark.parametrize("content", ['[{"text": NaN}, {"te', '[{"text": "NaN"}, {"text": NaNa}]'])
def test_a_damaged_file_with_nan_is_a_clear_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(TableError, match="can't be read to its end: it is no valid JSON"):
        read_all(write(tmp_path / "posts.json", content))
