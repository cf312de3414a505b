"""A corpus of which nothing can be scored is an error, and following its advice helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from sentimm.errors import InputError
from tests.support.commands import fail, run
from tests.support.posts.reading import read_all, survey, write
from tests.support.posts.tables import FORMATS, write_table


@FORMATS
def test_texts_that_are_all_empty_beside_a_full_column_are_an_error_that_names_it(tmp_path: Path, suffix: str) -> None:
    path = write_table(tmp_path, suffix, {"n": ["1", "2"], "text": [" ", ""], "reply": ["good", "bad"]})
    with pytest.raises(InputError) as raised:
        survey(path)
    assert str(raised.value) == (
        f"Nothing in {path} can be scored: the column 'text' holds no text. If 'reply' holds the texts, name it with "
        "--text-column. Use --allow-missing to continue all the same."
    )
    assert read_all(path, text_column="reply").texts.to_list() == ["good", "bad"]
    assert survey(path, allow_missing=True).texts == 0


@pytest.mark.parametrize(("name", "comma"), [("posts.csv", ","), ("posts.tsv", "\t")])
def test_records_of_which_none_can_be_read_are_an_error(tmp_path: Path, name: str, comma: str) -> None:
    path = write(tmp_path / name, "id,text\n1,good,you\n2,bad,them\n".replace(",", comma))
    with pytest.raises(InputError) as raised:
        survey(path)
    assert str(raised.value) == (
        f"No record of {path} can be read as a row; the first: row 0 of {path} has 3 fields where the header has 2. "
        "Make the header and the records agree, or use --allow-missing to continue all the same."
    )
    assert survey(path, allow_missing=True).unreadable == 2


def test_the_command_ends_with_2(tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "nothing.csv", "id,text,reply\n1,,good\n")
    score = ["score", str(path), "--model", str(tiny_bundle), "-o", str(tmp_path / "out.parquet")]
    code, message = fail(capsys, *score)
    assert (code, "name it with --text-column" in message) == (2, True)
    assert run(capsys, *score, "--text-column", "reply").code == 0


def test_images_alone_are_enough(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    write(tmp_path / "images" / "a.jpg", "image")
    path = write(tmp_path / "posts.csv", "text,image\n,a.jpg\n")
    assert survey(path, images=tmp_path / "images").images_found == 1


@FORMATS
def test_texts_of_white_space_are_none(tmp_path: Path, suffix: str) -> None:
    texts = ["a", "~", "\x7f", "é", " a", "\u200b", "!", " ", "\u3000", "\u00a0\t", "\u2003"]
    assert survey(write_table(tmp_path, suffix, {"text": texts, "n": ["1"] * len(texts)})).texts == 7
