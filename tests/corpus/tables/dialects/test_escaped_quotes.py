"""Quotes that are escaped by a backslash: read where that explains the records, by the survey and the reader alike."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from sentimm.bundle.bundle import load_bundle
from sentimm.corpus import CorpusReader, survey_corpus
from sentimm.corpus.tables import text_stream as streams
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.job_folder.fingerprint import describe_changes, take_fingerprint
from tests.support.posts.reading import read_all, read_chunks, survey, write
from tests.support.posts.scored_tables import Score

SAID = "escapes quotes with a backslash"


def write_as_spark(cells: list[str], mark: str) -> str:
    """Write a record as Spark does: cells with a quote, a delimiter or a newline are quoted, and escaped then."""
    fields = []
    for cell in cells:
        is_quoted = any(each in cell for each in ('"', mark, "\n"))
        escaped = cell.replace("\\", "\\\\").replace('"', '\\"')
        fields.append(f'"{escaped}"' if is_quoted else cell)
    return mark.join(fields) + "\n"


def write_as_mysql(cells: list[str], mark: str) -> str:
    """Write a record as SELECT INTO OUTFILE with ENCLOSED BY does."""
    escaped = [cell.replace("\\", "\\\\").replace('"', '\\"') for cell in cells]
    return mark.join(f'"{cell}"' for cell in escaped) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "mark"), [(".csv", ","), (".csv.gz", ";"), (".tsv", "\t")])
@pytest.mark.parametrize("write_record", [write_as_spark, write_as_mysql])
@pytest.mark.parametrize("block", [40, 4 << 20])
def test_what_spark_and_mysql_write_comes_back(
    tmp_path: Path, suffix: str, mark: str, write_record, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", block)
    chance = random.Random(suffix)
    pieces = ["good", " ", '"', "\\", mark, "\n", "ö😀", "\\n", "'", "x"]
    texts = ["".join(chance.choices(pieces, k=chance.randrange(1, 9))) + "." for _ in range(80)]
    texts[0] = 'he said "wow" ok'
    records = [write_record([str(row), text, "en"], mark) for row, text in enumerate(texts)]
    path = write(tmp_path / f"posts{suffix}", mark.join(["id", "text", "lang"]) + "\n" + "".join(records))
    found = survey(path)
    assert found.unreadable == 0 and found.sources[0].escaped_quotes
    assert [SAID in note for note in found.notes if "quotes" in note] == [True]
    assert read_all(path).texts.to_list() == texts
    assert [text for chunk in read_chunks(path, rows=7, start=33) for text in chunk.texts] == texts[33:]


@pytest.mark.parametrize("mark", [",", "\t"])
def test_they_may_appear_late(tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", 2000)
    lines = [mark.join(("id", "text", "n"))] + [mark.join((str(row), '"a \\\\ b"', "1")) for row in range(1000)]
    lines += [mark.join(("1000", f'"she said \\"no{mark}\\""', "1"))]
    path = write(tmp_path / f"posts.{'csv' if mark == ',' else 'tsv'}", "\n".join(lines))
    texts = read_all(path).texts.to_list()
    assert texts == ["a \\ b"] * 1000 + [f'she said "no{mark}"']
    assert survey(path, limit=1000).sources[0].escaped_quotes is False


@pytest.mark.parametrize(
    "cell",
    ['"C:\\"', '"{""a"": ""say \\""hi\\"" ""}"', "a\\b", '"a\\b"', "\\N", '5\\" wide', '"\\\\"'],
)
def test_a_backslash_is_one_where_doubled_quotes_explain_the_file(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path / "posts.csv", f"id,text,n\n1,{cell},5\n2,good,6\n")
    expected = cell[1:-1].replace('""', '"') if cell.startswith('"') else cell
    assert read_all(path).texts.to_list() == [expected, "good"]
    assert not [note for note in survey(path).notes if "backslash" in note]


def test_without_a_header(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", '1,"he said \\"wow, ok\\""\n2,fine\n')
    found = read_all(path, no_header=True, text_column="column_2")
    assert found.texts.to_list() == ['he said "wow, ok"', "fine"]


def test_a_damaged_record_stays_one(tmp_path: Path) -> None:
    lines = ["id,text"] + [f'{row},"he said \\"wow\\", {row}"' for row in range(30)]
    lines[12] = '11,"open'
    chunk = read_all(write(tmp_path / "posts.csv", "\n".join(lines)))
    assert chunk.rows == 30 and [problem.row for problem in chunk.problems] == [11]
    assert chunk.texts[29] == 'he said "wow", 29'


def test_where_neither_reading_explains_the_file_a_note_says_so(tmp_path: Path) -> None:
    lines = ["id,text"] + ['1,"he said \\"wow\\""'] * 6 + ['2,"open'] * 3 + ["3,fine"]
    path = write(tmp_path / "posts.csv", "\n".join(lines))
    found = survey(path)
    assert not found.sources[0].escaped_quotes
    (note,) = (note for note in found.notes if "quotes behind a backslash" in note)
    assert note.endswith("Where that is meant, use --quotes escaped, else --quotes doubled.")
    assert read_all(path, quotes="escaped").texts[0] == 'he said "wow"'
    assert not any("backslash" in note for note in survey(path, quotes="doubled").notes)


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_the_option_decides_against_what_the_file_says(tmp_path: Path, suffix: str) -> None:
    mark = "," if suffix == "csv" else "\t"
    lines = [f"id{mark}text", f'1{mark}"he said \\"wow\\""', f"2{mark}fine"]
    path = write(tmp_path / f"posts.{suffix}", "\n".join(lines))
    assert survey(path, quotes="escaped").sources[0].escaped_quotes
    assert not survey(path, quotes="doubled", allow_missing=True).sources[0].escaped_quotes


def test_the_output_has_the_cells_that_were_meant(tmp_path: Path, score: Score) -> None:
    found = score(write(tmp_path / "posts.csv", 'id,text\n1,"he said \\"wow\\" ok"\n2,"bad \\"one\\", really"\n'))
    assert found.texts == ['he said "wow" ok', 'bad "one", really'] and found.statuses == ["ok", "ok"]
    assert SAID in found.notes[0]


def test_a_line_of_a_tsv_file_whose_quotes_are_not_in_order_is_read_as_it_stands(tmp_path: Path) -> None:
    lines = ["id\ttext"] + [f'{row}\t"he said \\"wow\\"\tok"' for row in range(20)] + ['20\t"well" he said C:\\\\x']
    path = write(tmp_path / "posts.tsv", "\n".join(lines))
    assert survey(path).sources[0].escaped_quotes
    assert read_all(path).texts.to_list() == ['he said "wow"\tok'] * 20 + ['"well" he said C:\\\\x']


def test_a_job_of_a_version_that_read_doubled_quotes_is_not_resumed(tmp_path: Path, tiny_bundle: Path) -> None:
    path = write(tmp_path / "posts.csv", 'id,text\n1,"he said \\"wow\\""\n')
    options = ScoreOptions(inputs=(str(path),), corpus=CorpusOptions())
    taken = take_fingerprint(survey(path), options, load_bundle(tiny_bundle), "fp32")
    before = {**taken, "options": {**taken["options"]}}
    assert before["options"].pop("escaped_quotes") == [str(path)]
    assert "backslash" in describe_changes(before, taken)[0]


def test_several_files_are_read_each_in_its_way(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", 'id,text\n1,"he said \\"wow\\""\n')
    other = write(tmp_path / "b.csv", 'id,text\n1,"C:\\"\n')
    options = CorpusOptions()
    found = survey_corpus([str(first), str(other)], options)
    assert [source.escaped_quotes for source in found.sources] == [True, False]
    chunk = CorpusReader(found, options).read(10)
    assert chunk is not None and chunk.texts.equals(pl.Series("text", ['he said "wow"', "C:\\"]))
