"""Text files that are not UTF-8: named, or guessed and said; the survey and the reader agree."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import polars as pl
import pytest

from sentimm.corpus import CorpusReader, survey_corpus
from sentimm.corpus.tables import text_stream as streams
from sentimm.errors import UsageError
from sentimm.options import CorpusOptions
from tests.support.commands import fail, run
from tests.support.posts.reading import read_all, read_chunks, survey, write

WESTERN = ["Ça va très bien, merci", "mañana será un gran día", "“schön” naïve €5"]
RUSSIAN = ["Это было отличное кино", "мне понравилось", "привет, как дела"]
JAPANESE = ["これはとても良い映画でした", "今日はいい天気ですね", "表示ソフト"]
SUFFIXES = [".csv", ".tsv", ".ndjson", ".csv.gz", ".jsonl.zst"]


def write_posts(folder: Path, suffix: str, texts: list[str], encoding: str, broken: bytes = b"?") -> Path:
    """Write posts, with `broken` for each question mark."""
    if "json" in suffix:
        content = "".join(f'{{"id": {n}, "text": "{text}"}}\n' for n, text in enumerate(texts))
    else:
        mark = "\t" if "tsv" in suffix else ","
        content = f"id{mark}text\n" + "".join(f'{n}{mark}"{text}"\n' for n, text in enumerate(texts))
    return write(folder / f"posts{suffix}", content.encode(encoding).replace(b"?", broken))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("encoding", "texts"),
    [("cp1252", WESTERN), ("latin-1", WESTERN[:2]), ("cp1251", RUSSIAN), ("shift_jis", JAPANESE)],
)
def test_an_encoding_is_guessed_said_and_can_be_named(
    tmp_path: Path, suffix: str, encoding: str, texts: list[str]
) -> None:
    path = write_posts(tmp_path, suffix, texts, encoding)
    assert read_all(path).texts.to_list() == texts
    (note,) = survey(path).notes
    assert "is not UTF-8: it is read as" in note
    assert "--encoding" in note
    assert read_all(path, encoding=encoding).texts.to_list() == texts
    assert survey(path, encoding=encoding).notes == ()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_read_with_and_without_a_mark(tmp_path: Path, suffix: str, encoding: str) -> None:
    texts = ["é😭", *RUSSIAN, "fine"]
    path = write_posts(tmp_path, suffix, texts, encoding)
    assert read_all(path).texts.to_list() == texts
    assert read_all(path, encoding=encoding).texts.to_list() == texts


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_late_first_byte_decides_for_the_survey_and_the_reader(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", 64)
    texts = [*["plain"] * 200, *RUSSIAN * 5]
    path = write_posts(tmp_path, suffix, texts, "cp1251")
    assert [text for chunk in read_chunks(path, rows=7) for text in chunk.texts] == texts
    found = survey_corpus([str(path)], CorpusOptions())
    assert found.sources[0].encoding == "cp1251"
    reader = CorpusReader(found, CorpusOptions(), start=203)
    chunk = reader.read(2)
    assert chunk is not None
    assert chunk.texts.to_list() == texts[203:205]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("block", [61, 4 << 20])
def test_utf8_with_a_few_broken_bytes_stays_utf8(
    tmp_path: Path, suffix: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BLOCK_BYTES", block)
    texts = [*WESTERN * 20, "caf?"]
    path = write_posts(tmp_path, suffix, texts, "utf-8", broken=b"\xe9")
    for limit in (None, len(texts)):
        assert read_all(path, limit=limit).texts.to_list() == [*texts[:-1], "caf\ufffd"]
        (note,) = survey(path, limit=limit).notes
        assert "not valid UTF-8: 1 character read as U+FFFD" in note


def test_what_an_encoding_does_not_know_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.csv", b"id,text\n1,caf\xe9 \x81\n")
    assert read_all(path, encoding="cp1252").texts.to_list() == ["café \ufffd"]
    assert "not valid cp1252: 1 character" in survey(path, encoding="cp1252").notes[0]


@pytest.mark.parametrize("name", ["foo", "", "rot13", "base64", "a\0b"])
def test_an_unknown_encoding_is_one_sentence(name: str) -> None:
    with pytest.raises(UsageError, match="which is no known encoding"):
        CorpusOptions(encoding=name)


def test_the_command_reads_and_refuses_encodings(
    tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_posts(tmp_path, ".csv", RUSSIAN, "cp1251")
    command = ["score", path, "--model", tiny_bundle, "-o", tmp_path / "out.parquet"]
    code, message = fail(capsys, *command, "--encoding", "foo")
    assert (code, message.startswith("--encoding is 'foo'")) == (2, True)
    assert run(capsys, *command, "--encoding", "cp1251").code == 0
    assert pl.read_parquet(tmp_path / "out.parquet")["text"].to_list() == RUSSIAN


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_utf_16_that_is_named_needs_no_byte_order_mark(tmp_path: Path, suffix: str, encoding: str) -> None:
    path = write_posts(tmp_path, suffix, WESTERN, encoding)
    assert read_all(path, encoding=encoding[:6]).texts.to_list() == WESTERN


def write_folder(folder: Path, texts: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in texts.items():
        (folder / f"{name}.txt").write_bytes(content)
    return folder


def write_shard(path: Path, texts: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in texts.items():
            member = tarfile.TarInfo(f"{name}.txt")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(("name", "write_texts"), [("posts", write_folder), ("posts.tar", write_shard)])
def test_texts_in_files_of_their_own_are_guessed_one_by_one(tmp_path: Path, name: str, write_texts) -> None:
    texts = {
        "a": "schön".encode(),
        "b": "schön".encode("cp1252"),
        "c": "schön ".encode() + b"\xff",
        "d": "schön".encode("utf-16"),
        "e": b"plain",
    }
    path = write_texts(tmp_path / name, texts)
    assert read_all(path).texts.to_list() == ["schön", "schön", "schön \ufffd", "schön", "plain"]
    damage, guess = survey(path).notes
    assert damage.startswith(f"1 text in {path} is read with U+FFFD")
    assert guess.startswith(f"1 text in {path} is not UTF-8, and read as cp1252")


@pytest.mark.parametrize(("name", "write_texts"), [("posts", write_folder), ("posts.tar", write_shard)])
def test_the_encoding_of_such_texts_can_be_named(tmp_path: Path, name: str, write_texts) -> None:
    path = write_texts(tmp_path / name, {str(row): text.encode("cp1251") for row, text in enumerate(RUSSIAN)})
    assert read_all(path, encoding="cp1251").texts.to_list() == RUSSIAN
    assert survey(path, encoding="cp1251").notes == ()
