"""Write docs/reference/commands.md from the commands: run `python docs/write_commands.py` after changing one.

It reads the functions' signatures and docstrings, of which Typer makes the help, and not Typer's own objects: those
change from one version to the next.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from typer.models import ArgumentInfo, OptionInfo

from sentimm.cli.app import COMMANDS, app, load_command

FILE = Path(__file__).parent / "reference" / "commands.md"

INTRODUCTION = """\
# Commands

Written from the commands' own help by `python docs/write_commands.py`; `sentimm COMMAND --help` shows the same.
"""


@dataclass(frozen=True)
class Parameter:
    """An argument or an option as its user sees it; `names` is empty for an argument, `value` for a flag."""

    names: tuple[str, ...]
    value: str
    help: str
    default: str

    def describe(self) -> str:
        """Return the parameter's line in the documentation."""
        spelling = " ".join(filter(None, [", ".join(self.names), self.value]))
        default = f" Default: `{self.default}`." if self.default else ""
        return f"- `{spelling}`: {_escape(self.help)}{default}"


def list_commands() -> dict[str, Callable[..., Any]]:
    """Return every command's function by name, in the order of the help."""
    return {name: load_command(name) for name in COMMANDS}


def list_common() -> list[Parameter]:
    """Return the options that every command takes."""
    callback = app.registered_callback
    assert callback is not None and callback.callback is not None
    return [*list_parameters(callback.callback), Parameter(("--help",), "", "Show the help and stop.", "")]


def list_parameters(function: Callable[..., Any]) -> list[Parameter]:
    """Return what a command takes, without hidden parameters."""
    hints = typing.get_type_hints(function, include_extras=True)
    return list(_read_parameters(inspect.signature(function), hints))


def render_commands() -> str:
    """Return the text of docs/reference/commands.md."""
    sections = [INTRODUCTION]
    for name, function in list_commands().items():
        parameters = list_parameters(function)
        usage = " ".join(["sentimm", name, *_usage(parameters)])
        described = "\n".join(parameter.describe() for parameter in parameters)
        help_text = _escape((inspect.getdoc(function) or "").replace("\b\n", ""))
        sections.append(
            f"## sentimm {name}\n\n    {usage}\n\n{help_text}\n" + (f"\n{described}\n" if described else "")
        )
    common = "\n".join(parameter.describe() for parameter in list_common())
    sections.append(f"## Everywhere\n\n{common}\n")
    return "\n".join(sections)


def _escape(text: str) -> str:
    """Keep Markdown from taking `<fusion>` for HTML."""
    return text.replace("<", "\\<")


def _usage(parameters: list[Parameter]) -> Iterator[str]:
    if any(parameter.names for parameter in parameters):
        yield "[OPTIONS]"
    yield from (parameter.value for parameter in parameters if not parameter.names)


def _read_parameters(signature: inspect.Signature, hints: dict[str, Any]) -> Iterator[Parameter]:
    for name, parameter in signature.parameters.items():
        hint = hints[name]
        if typing.get_origin(hint) is not Annotated:
            continue
        kind, *notes = typing.get_args(hint)
        info = next(note for note in notes if isinstance(note, ArgumentInfo | OptionInfo))
        if info.hidden:
            continue
        required = parameter.default in (inspect.Parameter.empty, ...)
        help_text = " ".join((info.help or "").split())
        if isinstance(info, ArgumentInfo):
            value = (info.metavar or name.upper()) if required else f"[{(info.metavar or name.upper()).strip('[]')}]"
            yield Parameter((), value, help_text, "")
            continue
        # Inside Annotated, Typer's first argument is a name too, although it is called `default`.
        names = [info.default] if isinstance(info.default, str) else []
        names = [*names, *(info.param_decls or ())] or [f"--{name.replace('_', '-')}"]
        value = "" if kind is bool else str(info.metavar or _value_name(kind))
        yield Parameter(tuple(names), value, help_text, _default(info, parameter.default))


def _value_name(kind: Any) -> str:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return _value_name(next(part for part in typing.get_args(kind) if part is not type(None)))
    if typing.get_origin(kind) is Literal:
        return "|".join(map(str, typing.get_args(kind)))
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    return {int: "N", float: "X", Path: "PATH"}.get(kind, "TEXT")


def _default(info: OptionInfo, default: Any) -> str:
    if isinstance(info.show_default, str):
        return info.show_default
    if default is None or default is inspect.Parameter.empty or isinstance(default, bool) or not info.show_default:
        return ""
    values = default if isinstance(default, list | tuple) else [default]
    return ",".join(str(value.value if isinstance(value, Enum) else value) for value in values)


if __name__ == "__main__":
    FILE.write_text(render_commands(), encoding="utf-8")
