"""Text files that are no post a line."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from shutil import which

import pytest

from sentimm.errors import TableError
from tests.support.posts.reading import read_all, survey, write

TEXTS = ["good, really", "bad; as ever"]
TABLES = {
    "CSV": 'id,text,likes\n1,"good, really",3\n2,bad; as ever,4\n',
    "TSV": "id\ttext\r\n1\tgood, really\r\n2\tbad; as ever\r\n",
    "NDJSON": '{"id": 1, "text": "good, really"}\n{"id": 2, "text": "bad; as ever"}\n',
    "JSON": '[{"id": 1, "text": "good, really"},\n{"id": 2, "text": "bad; as ever"}]',
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("suffix", [".txt", ".txt.gz"])
@pytest.mark.parametrize("kind", TABLES)
def test_a_table_that_is_called_a_text_is_read_as_what_it_is(
    tmp_path: Path, kind: str, suffix: str, encoding: str
) -> None:
    """As Excel writes `Unicode Text`."""
    path = write(tmp_path / f"posts{suffix}", TABLES[kind].encode(encoding))
    assert read_all(path).texts.to_list() == TEXTS
    assert f"{path} is read as {kind}, for its first lines are written so." in survey(path).notes


CHATS = {
    "iPhone": "[01/02/2023, 10:15:01] Ann: good\n[01/02/2023, 10:16:00] Bob: bad\nso bad\n",
    "Android": "01/02/2023, 10:15 - Messages are encrypted.\n01/02/2023, 10:16 - Bob: bad\n",
    "American": "1/2/23, 9:17\u202fPM - Ann: good\n1/2/23, 9:18\u202fPM - Bob: bad\n",
    "German": "01.02.23, 21:17 - Ann: gut\n01.02.23, 21:18 - Bob: schlecht\n",
}


@pytest.mark.parametrize("chat", CHATS)
def test_a_chat_of_whatsapp_is_named(tmp_path: Path, chat: str) -> None:
    write(tmp_path / "_chat.txt", CHATS[chat])
    with pytest.raises(TableError, match=r"a chat that WhatsApp exported.*`whatstk-to-csv _chat\.txt _chat\.csv`"):
        survey(tmp_path / "_chat.txt")


def test_a_table_of_r_with_spaces_between_its_fields_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        tmp_path / "my posts.txt",
        '"id" "text"\n"1" 1234567890123456789 "good, really"\n"2" 8 "bad; as #ever, it\'s \\"so\\""\n',
    )
    with pytest.raises(TableError, match="spaces between its fields, as R's write") as raised:
        survey(path)
    way = re.findall("`(.*)`", str(raised.value))[0]
    assert way.endswith(f" '{path}'")
    if which("Rscript"):
        monkeypatch.chdir(tmp_path)
        subprocess.run(way, shell=True, check=True)
        assert read_all(Path("posts.csv")).texts.to_list() == ["good, really", 'bad; as #ever, it\'s "so"']
        assert read_all(Path("posts.csv")).frame["id"].to_list() == [1234567890123456789, 8]


def test_fields_between_tabs_are_asked_about(tmp_path: Path) -> None:
    path = write(tmp_path / "posts.txt", "100\tpositive\tgood, really\n101\tnegative\tbad; as ever\n")
    with pytest.raises(TableError, match="fields between tabs") as raised:
        survey(path)
    column = re.findall(r"--no-header --text-column (\w+)", str(raised.value))[0]
    assert read_all(path, no_header=True, text_column=column).texts.to_list() == TEXTS


@pytest.mark.parametrize(
    "lines",
    [
        ["message, content", "good, bad"],
        ["Text me, caption this, love you", "a, b, c", "d, e, f"],
        ["{curly}", "[draft] a text"],
        ["[10:15] bad", "good"],
        ["1/2/23 was a good day", "1/3/23 was bad"],
        ["a\tb", "c"],
        ["text", "good"],
        ["id,text"],
    ],
)
def test_a_post_a_line_is_read_as_it_is(tmp_path: Path, lines: list[str]) -> None:
    path = write(tmp_path / "posts.txt", "\n".join(lines))
    assert read_all(path).texts.to_list() == lines
