from __future__ import annotations

from pathlib import Path

import pytest

from sentimm.corpus import expand_inputs
from sentimm.corpus.inputs.braces import expand_braces
from sentimm.errors import InputError
from tests.support.posts.reading import write


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("{08..11}.tar", ["08.tar", "09.tar", "10.tar", "11.tar"]),
        ("{8..11}", ["8", "9", "10", "11"]),
        ("{0..10..5}", ["0", "5", "10"]),
        ("{3..1}", ["3", "2", "1"]),
        ("x{5..5}", ["x5"]),
        ("{-1..1}", ["-1", "0", "1"]),
        ("{a,b,}.tar", ["a.tar", "b.tar", ".tar"]),
        ("{a,b}/{0..1}.tar", ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]),
        ("{x}-{0..1}", ["{x}-0", "{x}-1"]),
    ],
)
def test_braces_stand_for_names_as_in_the_shell(name: str, names: list[str]) -> None:
    expanded = expand_braces(name)
    assert expanded is not None and list(expanded) == names


@pytest.mark.parametrize("name", ["posts.tar", "{x}.tar", "{}", "{a..b}", "{0...5}", "{", "{a", "}{"])
def test_other_braces_are_part_of_a_name(name: str) -> None:
    assert expand_braces(name) is None


@pytest.mark.parametrize("name", ["{0..1000000}", "{0..999}/{0..9}/{0..999}", "{0..999999999999999999}"])
def test_a_million_names_are_the_most(name: str) -> None:
    with pytest.raises(InputError, match="stands for more than 1,000,000 names"):
        expand_braces(name)


def test_braces_within_braces_are_a_clear_error() -> None:
    with pytest.raises(InputError, match="has braces within braces"):
        expand_braces("{a,{0..9}}.tar")


def test_a_file_of_that_very_name_goes_before(tmp_path: Path) -> None:
    path = write(tmp_path / "{a,b}.csv", "text\na\n")
    assert expand_inputs([str(path)]) == [path]


def test_tables_that_braces_name_must_all_be_there(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.csv", "text\na\n") for name in "ba"]
    assert expand_inputs([str(tmp_path / "{b,a}.csv")]) == paths
    with pytest.raises(InputError, match=r"c\.csv is not there"):
        expand_inputs([str(tmp_path / "{a,c}.csv")])
