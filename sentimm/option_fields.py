"""How an option is declared: one annotated field of a dataclass, which the command line, its checks and the docs read.

threads: Annotated[int | None, option(Panel.RUNNING, "CPU threads.", metavar="N", bounds=at_least(1))] = None
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from sentimm.errors import UsageError


class Panel(StrEnum):
    """Headings of a command's help, in the order in which they are shown."""

    INPUT = "Input"
    QUESTION = "What is asked"
    DRAW = "What is drawn"
    LABELS = "Labels"
    OUTPUT = "Output"
    COMPARISON = "Comparison"
    POSTS = "Posts"
    MODEL = "Model"
    LEARNING = "Learning"
    REGULARISATION = "Against overfitting"
    RUNNING = "How it runs"


@dataclass(frozen=True)
class Bounds:
    """What a number may be.

    Attributes:
        least, most: inclusive bounds.
        above, below: exclusive bounds.
        is_finite: infinity is not allowed.
        why: a clause for the error, such as an example.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    is_finite: bool = True
    why: str = ""

    def __contains__(self, value: float) -> bool:
        return (
            not math.isnan(value)
            and (math.isfinite(value) or not self.is_finite)
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def describe(self) -> str:
        """Return the bounds for a sentence: `at least 1`."""
        if self.least is not None and self.most is not None:
            return f"between {self.least:g} and {self.most:g}"
        phrases = {"at least": self.least, "at most": self.most, "greater than": self.above, "less than": self.below}
        return " and ".join(f"{words} {_show(value)}" for words, value in phrases.items() if value is not None)


def at_least(least: float, why: str = "") -> Bounds:
    """Return the bounds of a number that has a lowest value; `why` is a clause for the error."""
    return Bounds(least=least, why=why)


POSITIVE = Bounds(above=0)
SHARE = Bounds(least=0, most=1)  # both ends are allowed
FRACTION = Bounds(above=0, below=1)


@dataclass(frozen=True)
class Option:
    """How a field is shown and read as an option.

    Attributes:
        panel: the heading of the help under which it stands; None: no heading.
        help: what it is for, in a sentence.
        names: as they are typed; none: the field's name, `--no-<name>` where it is a flag that is True without it.
        metavar: what stands for the value in the help.
        shown: the default as the help shows it, where that is not the value itself.
        bounds: what a number, or each of several, may be.
        parse: makes the value of what was typed, where its type does not say how.
        suggestions: values that a shell completes; others are allowed.
        is_argument: it is given without a name.
        is_url: a path that may be a URL.
    """

    panel: Panel | None
    help: str
    names: tuple[str, ...] = ()
    metavar: str | None = None
    shown: str | bool = True
    bounds: Bounds | None = None
    parse: Callable[[str], Any] | None = None
    suggestions: tuple[str, ...] = ()
    is_argument: bool = False
    is_url: bool = False


@dataclass(frozen=True)
class OptionField:
    """A field of an options dataclass that is an option.

    Attributes:
        name: the field's.
        option: its declaration.
        kind: its type, without None.
        default: MISSING where it must be given.
    """

    name: str
    option: Option
    kind: Any
    default: Any

    @property
    def is_required(self) -> bool:
        """Whether it has no default, so that it must be given."""
        return self.default is MISSING

    @property
    def flag(self) -> str:
        """The name by which messages call it: `--batch-size`."""
        names = [name for name in self.option.names if name.startswith("--")]
        prefix = "no-" if self.kind is bool and self.default is True else ""
        return names[0] if names else f"--{prefix}{self.name.replace('_', '-')}"


def option(panel: Panel | None, help: str, *names: str, **more: Any) -> Option:  # noqa: A002 (as it is called)
    """Return the declaration of an option."""
    return Option(panel, help, names, **more)


def argument(help: str, **more: Any) -> Option:  # noqa: A002
    """Return the declaration of what is given without a name."""
    return Option(None, help, is_argument=True, **more)


@cache
def list_fields(kind: type[Any]) -> tuple[OptionField, ...]:
    """Return the fields of a dataclass that are options, in order."""
    hints = typing.get_type_hints(kind, include_extras=True)
    defaults = {field.name: field.default for field in fields(kind)}
    found = ((name, read_hint(hint)) for name, hint in hints.items() if name in defaults)
    return tuple(OptionField(name, *read, defaults[name]) for name, read in found if read is not None)


def read_hint(hint: Any) -> tuple[Option, Any] | None:
    """Return the declaration in an annotation, and its type without None; None where it is no option."""
    if typing.get_origin(hint) is not Annotated:
        return None
    kind, *notes = typing.get_args(hint)
    declared = next((note for note in notes if isinstance(note, Option)), None)
    if declared is None:
        return None
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(kind) if part is not types.NoneType]
        kind = parts[0] if len(parts) == 1 else str
    return declared, kind


def check_options(options: Any) -> None:
    """Check the values of an options dataclass against their declarations.

    Raises:
        UsageError: a value is outside its bounds, or none of its choices.
    """
    for field in list_fields(type(options)):  # type: ignore[arg-type]  # a class can be hashed
        value, bounds = getattr(options, field.name), field.option.bounds
        if value is None:
            continue
        if typing.get_origin(field.kind) is Literal and value not in typing.get_args(field.kind):
            choices = ", ".join(map(str, typing.get_args(field.kind)))
            raise UsageError(f"{field.flag} is {value!r}, but it must be one of {choices}.")
        several = isinstance(value, tuple)
        for each in value if several else (value,):
            if bounds is not None and isinstance(each, int | float) and each not in bounds:
                what = f"{field.flag} {'contains' if several else 'is'} {_show(each)}"
                allowed = bounds.describe() if math.isfinite(each) else "a finite number"
                why = f": {bounds.why}." if bounds.why else "."
                raise UsageError(f"{what}, but {'each' if several else 'it'} must be {allowed}{why}")


def split_names(value: str) -> tuple[str, ...]:
    """Return names that are separated by commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def split_numbers(value: str) -> tuple[float, ...]:
    """Return numbers that are separated by commas.

    Raises:
        ValueError: they are not numbers.
    """
    try:
        return tuple(float(part) for part in split_names(value))
    except ValueError:
        raise ValueError(f"{value!r} is not a list of numbers such as 1,0.1") from None


def parse_path(name: str) -> Path:
    """Return the path of a file or folder on this machine.

    Raises:
        UsageError: it is empty, or a URL.
    """
    if "://" in name:
        raise UsageError(f"{name} is a URL, but this must be a path on this machine.")
    return _require_name(name)


def parse_location(name: str) -> Path:
    """Return the path of a file or folder, which may be a URL.

    Raises:
        MissingExtraError, UsageError: see `storage.to_path`.
    """
    if "://" not in name:
        return _require_name(name)
    from sentimm.storage import to_path

    return to_path(name)


def _require_name(name: str) -> Path:
    if not name.strip():
        raise UsageError("A path is empty: is it a shell variable that is not set?")
    return Path(name)


def _show(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"
