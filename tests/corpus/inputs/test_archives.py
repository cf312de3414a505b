"""ZIP archives of tables: each is read from the archive, as its own source; what can't be is named with the way out."""

from __future__ import annotations

import re
import shlex
import zipfile
from pathlib import Path

import polars as pl
import pytest

from sentimm.errors import ColumnError, InputError, TableError
from tests.corpus.tables.test_compressed import POSTS
from tests.support.commands import fail as fail_command
from tests.support.commands import run
from tests.support.posts.reading import read_chunks, survey, write
from tests.support.posts.scored_tables import fail

FIRST, SECOND = "id,text\n1,good\n2,bad\n", "id,text\n3,fine\n"
OUTBOX = '{"text": "good", "id": 1}\n{"text": "bad", "id": 2}\n'


def pack(path: Path, members: dict[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize(
    ("first", "content", "other"),
    [
        ("a.csv", FIRST, SECOND),
        ("a.tsv", FIRST.replace(",", "\t"), SECOND.replace(",", "\t")),
        ("a.ndjson", OUTBOX, '{"text": "fine", "id": 3}\n'),
        ("a.json", OUTBOX, '{"text": "fine", "id": 3}\n'),
    ],
)
def test_its_tables_are_sources(tmp_path: Path, method: int, first: str, content: str, other: str) -> None:
    last = f"in here/b.{first.split('.')[1]}"
    members = {f"__MACOSX/{first}": "x", ".hidden.csv": "x", last: other, "in here/.x/c.csv": "x", first: content}
    path = pack(tmp_path / "posts.ZIP", members, method)
    found = survey(path)
    assert [(source.path, source.rows) for source in found.sources] == [(path / first, 2), (path / last, 1)]
    assert found.notes == () and found.sources[0].name == str(path / first)
    chunks = list(read_chunks(path, rows=1, start=1))
    assert [chunk.texts.to_list() for chunk in chunks] == [["bad"], ["fine"]]
    assert chunks[1].frame["source"].to_list() == [str(path / last)]
    assert survey(path / last).rows == 1


def test_a_job_reads_it_again(tmp_path: Path, tiny_bundle: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = pack(Path("posts.zip"), {"a.csv": FIRST, "b.csv": SECOND, "notes.md": "hello"})
    assert run(capsys, "score", path, "--model", tiny_bundle).code == 0
    frame = pl.read_parquet("posts.scored.parquet")
    assert frame["text"].to_list() == ["good", "bad", "fine"]
    assert frame["source"].to_list() == ["posts.zip/a.csv", "posts.zip/a.csv", "posts.zip/b.csv"]
    assert "notes.md" in run(capsys, "score", path, "--model", tiny_bundle, "--dry-run", "--json").out
    assert run(capsys, "score", path, "--model", tiny_bundle).code == 0  # it is finished
    pack(path, {"a.csv": FIRST, "b.csv": SECOND.replace("fine", "poor")})
    code, message = fail_command(capsys, "score", path, "--model", tiny_bundle)
    assert code != 0 and "posts.zip/a.csv changed" in message


def test_compressed_tables_in_it_and_texts(tmp_path: Path) -> None:
    inner = write(tmp_path / "a.csv.gz", FIRST).read_bytes()
    assert survey(pack(tmp_path / "1.zip", {"a.csv.gz": inner, "README.txt": "hello"})).rows == 2
    found = survey(pack(tmp_path / "2.zip", {"a.txt": "good\n\nbad\n"}))
    assert (found.rows, found.texts, found.sources[0].format) == (3, 2, "text")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"data/tweets.js": "x", "data/tweets_media/1.jpg": b"x"}, "is an archive of X"),
        ({"twitter-2024/data/tweet.js": "x"}, "is an archive of X"),
        ({"your_facebook_activity/posts/your_posts_1.json": "[]", "a/b.jpg": b""}, "is an archive of Facebook"),
        ({"your_instagram_activity/content/posts_1.json": "[]"}, "is an archive of Facebook or Instagram"),
        ({"a.parquet": b"PAR1"}, "holds a.parquet, which can't be read from it"),
        ({"posts/a.csv": FIRST, "b.xlsx": b"x"}, "holds b.xlsx, which can't be read from it"),
        ({"img/1.jpg": b"x", "img/1.txt": "good"}, "holds images, which can't be read from it"),
        ({"a.docx": b"x"}, "holds no table"),
        ({}, "holds no table"),
        ({"../a.csv": FIRST, "/b.csv": FIRST}, "holds no table"),
    ],
)
def test_what_has_to_be_unpacked(tmp_path: Path, members: dict[str, str | bytes], expected: str) -> None:
    path = pack(tmp_path / "my posts.zip", members)
    message = fail(InputError, path)
    assert expected in message
    command = re.search(r"`(.*)`", message)
    assert command and shlex.split(command[1]) == ["unzip", str(path), "-d", "my posts"]


def test_the_advice_for_an_archive_of_x_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tweets = 'window.YTD.tweets.part0 = [{"tweet": {"full_text": "good", "id_str": "12345"}}]'
    message = fail(InputError, pack(Path("x.zip"), {"data/tweets.js": tweets, "data/tweets_media/12345-a.jpg": b"x"}))
    command = re.search(r"`(.*)`", message)
    assert command is not None
    with zipfile.ZipFile(shlex.split(command[1])[1]) as archive:  # as unzip -d does
        archive.extractall(shlex.split(command[1])[3])
    scored = re.search(r"score (\S+) with (.*)\.$", message)
    assert scored is not None
    options = shlex.split(scored[2])
    assert options[::2] == ["--text-column", "--id-column", "--images"]
    found = survey(Path(scored[1]), text_column=options[1], id_column=options[3], images=Path(options[5]))
    assert (found.rows, found.images_found) == (1, 1)


def test_tables_of_other_columns_can_be_given_one_by_one(tmp_path: Path) -> None:
    path = pack(tmp_path / "posts.zip", {"a.csv": FIRST, "posts/my_posts.csv": "x,y\n1,2\n"})
    with pytest.raises(ColumnError, match=r"my_posts.csv has no column 'text'.* leave this input out\.$"):
        survey(path)
    assert survey(path / "a.csv").rows == 2


def test_images_beside_tables_are_named(tmp_path: Path) -> None:
    found = survey(pack(tmp_path / "posts.zip", {"posts.csv": FIRST, "img/1.jpg": b"x"}))
    assert found.rows == 2 and "The images in" in found.notes[0] and "unzip" in found.notes[0]


def test_damage_is_one_sentence(tmp_path: Path) -> None:
    path = pack(tmp_path / "posts.zip", {"a.csv": POSTS})
    data = path.read_bytes()
    for cut in (0, 3, 100, len(data) // 2, len(data) - 3):
        path.write_bytes(data[:cut])
        assert "can't be read: it is no ZIP archive, or cut off or damaged" in fail(InputError, path)
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 255
    path.write_bytes(damaged)
    assert "can't be read to its end" in fail(TableError, path)
    encrypted = bytearray(data)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(mark) + place] |= 1
    path.write_bytes(encrypted)
    assert "it is encrypted: unpack posts.zip first" in fail(TableError, path)
    with pytest.raises(InputError, match="is not there"):
        survey(tmp_path / "other.zip" / "a.csv")
    path.write_bytes(data)
    assert "does not hold it" in fail(TableError, path / "b.csv")


def test_a_folder_may_be_called_like_an_archive(tmp_path: Path) -> None:
    (tmp_path / "posts.zip").mkdir()
    assert survey(write(tmp_path / "posts.zip" / "a.csv", FIRST)).rows == 2


def test_an_archive_and_a_file_in_it_are_named_twice(tmp_path: Path) -> None:
    path = pack(tmp_path / "posts.zip", {"a.csv": FIRST})
    with pytest.raises(InputError, match="is named twice"):
        survey(path, path / "a.csv")


def test_urls_in_a_packed_table_get_no_command_that_would_fail(tmp_path: Path) -> None:
    table = "id,text,image\n1,good,https://example.org/1.jpg\n"
    (note,) = [note for note in survey(pack(tmp_path / "posts.zip", {"a.csv": table})).notes if "URLs" in note]
    assert note.endswith("convert this one.")
    plain = survey(write(tmp_path / "a.csv", table)).notes
    assert "--url_list" in next(note for note in plain if "URLs" in note)


def test_a_member_without_a_name_is_passed_over(tmp_path: Path) -> None:
    path = pack(tmp_path / "posts.zip", {"posts.csv": FIRST, "x": ""})
    path.write_bytes(path.read_bytes().replace(b"x", b"\0"))  # Python ends a name at a null character
    assert survey(path).rows == 2
