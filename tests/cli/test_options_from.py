from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from sentimm.cli.options_from import options_from
from sentimm.errors import UsageError
from sentimm.option_fields import SHARE, Bounds, Panel, argument, at_least, check_options, option


@dataclass(frozen=True)
class Inner:
    names: Annotated[tuple[str, ...] | None, option(Panel.INPUT, "Names.", metavar="A,B", shown="all")] = None
    dedupe: Annotated[bool, option(Panel.RUNNING, "Repeat work.")] = True


@dataclass(frozen=True)
class Outer:
    files: Annotated[tuple[str, ...], argument("Files.", metavar="FILE...")]
    inner: Inner = field(default_factory=Inner)
    shares: Annotated[tuple[float, ...], option(Panel.RUNNING, "Shares.", bounds=SHARE)] = (0.5,)
    kind: Annotated[Literal["big", "small"] | None, option(Panel.RUNNING, "Kind.")] = None
    count: Annotated[int, option(Panel.RUNNING, "Count.", "-n", bounds=at_least(1))] = 3
    folder: Annotated[Path | None, option(Panel.OUTPUT, "Folder.", "--output", "-o")] = None
    hidden: int = 7

    def __post_init__(self) -> None:
        check_options(self)


def call(*arguments: str, without: tuple[str, ...] = (), **changes: Any) -> tuple[Outer, bool]:
    got: list[tuple[Outer, bool]] = []

    @options_from(Outer, without=without, **changes)
    def command(options: Outer, *, quiet: Annotated[bool, option(Panel.RUNNING, "Silence.", "-q")] = False) -> None:
        """Do it."""
        got.append((options, quiet))

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return got[0]


def test_a_command_gets_its_dataclass() -> None:
    options, quiet = call("a", "b", "--names", "x, y", "--no-dedupe", "--shares", "0,1", "-n", "5", "-o", "out", "-q")
    assert options == Outer(("a", "b"), Inner(("x", "y"), False), (0.0, 1.0), None, 5, Path("out"))
    assert quiet


def test_what_is_not_given_is_the_dataclass_s_default() -> None:
    assert call("a") == (Outer(("a",)), False)


def test_a_command_may_leave_out_and_change_options() -> None:
    assert call(without=("count",), files={"default": ()})[0].files == ()
    with pytest.raises(AssertionError, match="No such option"):
        call("a", "--count", "4", without=("count",))


def test_options_stand_under_their_headings_where_to_write_first() -> None:
    @options_from(Outer)
    def command(options: Outer, *, dry: Annotated[bool, option(Panel.INPUT, "Dry.")] = False) -> None:
        """Do it."""

    assert list(inspect.signature(command).parameters) == [
        *("files", "names", "dry", "folder", "dedupe", "shares", "kind", "count")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "--count is 0, but it must be at least 1."),
        (["--shares", "0.1,2"], "--shares contains 2, but each must be between 0 and 1."),
        (["--shares", "x"], "--shares: 'x' is not a list of numbers such as 1,0.1."),
        (["--kind", "middle"], "--kind is 'middle', but it must be one of big, small."),
        (["-o", ""], "A path is empty: is it a shell variable that is not set?"),
        (["-o", "s3://x/y"], "s3://x/y is a URL, but this must be a path on this machine."),
    ],
)
def test_values_are_checked_in_a_sentence(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        call("a", *arguments)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("bounds", "inside", "outside"),
    [
        (Bounds(least=0, below=1), (0, 0.999), (-0.1, 1, float("nan"))),
        (Bounds(above=0), (0.1, 1e9), (0, float("inf"))),
        (Bounds(above=0, is_finite=False), (float("inf"),), (0, float("nan"))),
        (SHARE, (0, 1), (-1e-9, 1.1)),
    ],
)
def test_bounds(bounds: Bounds, inside: tuple[float, ...], outside: tuple[float, ...]) -> None:
    assert all(value in bounds for value in inside)
    assert not any(value in bounds for value in outside)
