"""The signature of a command, made of the options dataclass that it takes (see `option_fields`)."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from sentimm.errors import UsageError
from sentimm.option_fields import (
    Option,
    OptionField,
    Panel,
    is_missing,
    list_fields,
    parse_location,
    parse_path,
    read_hint,
    split_names,
    split_numbers,
)

_PANELS: dict[Panel | None, int] = {None: -1} | {panel: place for place, panel in enumerate(Panel)}
_PLAIN = (str, int, float, bool)
Change = Mapping[str, Any]  # of an OptionField, or of its Option


def options_from(
    kind: type[Any], *, without: tuple[str, ...] = (), **changes: Change
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that makes the fields of a dataclass a command's options.

    The command gets the dataclass as its parameter `options`.

    The command's own further parameters are annotated with `option` too, or are what Typer knows.

    Args:
        kind: the dataclass; dataclasses among its fields are flattened.
        without: fields that are no options of this command.
        changes: by field, what its option has otherwise in this command.
    """
    offered = [_change(field, changes.get(field.name, {})) for field in _flatten(kind) if field.name not in without]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = typing.get_type_hints(command, include_extras=True)
        others, own = [], []
        for name, parameter in inspect.signature(command).parameters.items():
            read = read_hint(hints[name])
            if read is not None:
                default = MISSING if parameter.default is parameter.empty else parameter.default
                own.append(OptionField(name, *read, default))
            elif name != "options":
                others.append(parameter.replace(annotation=hints[name], kind=parameter.KEYWORD_ONLY))
        shown = sorted([*offered, *own], key=_rank)

        @functools.wraps(command)
        def run(**given: Any) -> None:
            for field in shown:
                given[field.name] = _read(field, given[field.name])
            taken = {field.name: given.pop(field.name) for field in offered}
            command(options=_build(kind, taken), **given)

        parameters = [*others, *map(_make_parameter, shown)]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        return run

    return decorate


def _rank(field: OptionField) -> tuple[bool, int, bool]:
    """Return what options are sorted by: arguments first, then by heading, where to write first of each."""
    return not field.option.is_argument, _PANELS[field.option.panel], "-o" not in field.option.names


def _flatten(kind: type[Any]) -> Iterator[OptionField]:
    declared = {field.name: field for field in list_fields(kind)}  # type: ignore[arg-type]  # a class can be hashed
    nested = typing.get_type_hints(kind)
    for field in fields(kind):
        if is_dataclass(nested[field.name]):
            yield from _flatten(typing.cast(type[Any], nested[field.name]))
        elif field.name in declared:
            yield declared[field.name]


def _build(kind: type[Any], given: Mapping[str, Any]) -> Any:
    """Make the dataclass, and those among its fields; what was not given is left to their defaults."""
    nested = typing.get_type_hints(kind)
    values = {}
    for field in fields(kind):
        if is_dataclass(nested[field.name]):
            values[field.name] = _build(typing.cast(type[Any], nested[field.name]), given)
        elif field.name in given:
            values[field.name] = given[field.name]
    return kind(**values)


def _change(field: OptionField, changes: Change) -> OptionField:
    ours = {name: value for name, value in changes.items() if name in ("default", "kind")}
    return replace(field, option=replace(field.option, **{k: v for k, v in changes.items() if k not in ours}), **ours)


def _make_parameter(field: OptionField) -> inspect.Parameter:
    option, kind, is_required = field.option, _typer_kind(field), is_missing(field.default)
    more: dict[str, Any] = {"help": option.help, "metavar": option.metavar, "show_default": option.shown}
    choices = [*option.suggestions, *(typing.get_args(field.kind) if _is_choice(field.kind) else ())]
    if choices:
        more["autocompletion"] = lambda: choices
        more["metavar"] = option.metavar or "|".join(choices)
    if option.is_argument:
        info = typer.Argument(**more)
    else:
        names = option.names if any(name.startswith("--") for name in option.names) else (field.flag, *option.names)
        info = typer.Option(*names, rich_help_panel=option.panel, **more)
    default = inspect.Parameter.empty if is_required else _show_default(field)
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind if is_required or default is not None else kind | None, info],
    )


def _typer_kind(field: OptionField) -> Any:
    """Return the type by which Typer reads a value: its own where it has one, else a string that we read."""
    if field.option.parse is not None:
        return str
    if field.option.is_argument and field.kind == tuple[str, ...]:
        return list[str]
    return field.kind if field.kind in _PLAIN else str  # also of choices: our own sentence names them


def _is_choice(kind: Any) -> bool:
    return typing.get_origin(kind) is typing.Literal


def _show_default(field: OptionField) -> Any:
    """Return the default as it would be typed."""
    default = field.default
    if field.kind is bool:
        return False
    if isinstance(default, tuple):
        return ",".join(map(str, default)) if default and not field.option.is_argument else None
    return default


def _read(field: OptionField, value: Any) -> Any:
    """Make the field's value of what Typer read.

    Raises:
        UsageError: it can't be read.
    """
    option = field.option
    if field.kind is bool:
        return not value if field.default is True else value
    if value is None:
        return () if field.default == () else field.default if not is_missing(field.default) else None
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, str):
        return value
    try:
        return _choose_reader(option, field.kind)(value)
    except ValueError as error:
        raise UsageError(f"{field.flag}: {error}.") from error


def _choose_reader(option: Option, kind: Any) -> Callable[[str], Any]:
    if option.parse is not None:
        return option.parse
    if kind is Path:
        return parse_location if option.is_url else parse_path
    readers: dict[Any, Callable[[str], Any]] = {tuple[str, ...]: split_names, tuple[float, ...]: split_numbers}
    return readers.get(kind, str)
