"""The command line: a table of commands, each in a file of its own that is loaded when it is asked for.

Command modules keep heavy imports inside their functions, so `sentimm --help` and `--version` stay instant. What every
command takes (`--version`, `--verbose`, `--log-file`) is declared once, here, and accepted before or after the name.
"""

from __future__ import annotations

import importlib
import io
import keyword
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sentimm.cli.streams import guard_streams
from sentimm.errors import OutputError, SentimmError, UsageError

# The order is that of the help. Each module defines a function named like its command (see `load_command`).
COMMANDS = {
    "score": "sentimm.cli.commands.score",
    "status": "sentimm.cli.commands.status",
    "sample": "sentimm.cli.commands.findings.sample",
    "shares": "sentimm.cli.commands.findings.shares",
    "report": "sentimm.cli.commands.findings.report",
    "adapt": "sentimm.cli.commands.findings.adapt",
    "features": "sentimm.cli.commands.findings.features",
    "train": "sentimm.cli.commands.train",
    "evaluate": "sentimm.cli.commands.evaluate",
    "compare": "sentimm.cli.commands.compare",
    "export": "sentimm.cli.commands.export",
    "import": "sentimm.cli.commands.import_",
    "info": "sentimm.cli.commands.info",
    "doctor": "sentimm.cli.commands.doctor",
    "bench": "sentimm.cli.commands.bench",
}

_log = logging.getLogger("sentimm")


def load_command(name: str) -> Callable[..., Any]:
    """Load a command's function: of the command's name, with an underscore behind a word of Python's own."""
    command: Callable[..., Any] = getattr(
        importlib.import_module(COMMANDS[name]), f"{name}_" if keyword.iskeyword(name) else name
    )
    return command


class _LazyCommands(TyperGroup):
    """A group that imports a command's module when the command is run or described."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _printable_errors():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        with _printable_errors():
            return super().invoke(ctx)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            for name in COMMANDS:  # so that Typer can suggest the nearest one
                self.get_command(ctx, name)
            return None
        if cmd_name not in self.commands:
            single = typer.Typer(add_completion=False)
            single.command(name=cmd_name)(load_command(cmd_name))
            command = typer.main.get_command(single)
            command.params.extend(param for param in self.params if param.name in _COMMON)
            self.commands[cmd_name] = command
        return self.commands[cmd_name]


@contextmanager
def _printable_errors() -> Iterator[None]:
    """Make what Typer will say of a wrong option harmless: a glob may have given a file's name as one."""
    try:
        yield
    except Exception as error:
        if isinstance(message := getattr(error, "message", None), str):
            from sentimm.console.terminal import printable

            error.message = printable(message)  # type: ignore[attr-defined]
        raise


def _show_version(asked: bool) -> None:
    if asked:
        from sentimm import __version__

        typer.echo(f"sentimm {__version__}")
        raise typer.Exit


def _log_to_stderr(asked: bool) -> None:
    if asked:
        from sentimm.console.terminal import make_log_handler

        _add_log_handler(make_log_handler())


def _log_to_file(file: Path | None) -> None:
    if file is None:
        return
    from sentimm.console.terminal import make_file_log_handler

    try:
        handler = make_file_log_handler(file)
    except OSError as error:
        raise UsageError(f"The log file {file} can't be written: {error.strerror or error}.") from error
    _add_log_handler(handler)


def _add_log_handler(handler: logging.Handler) -> None:
    _log.setLevel(logging.DEBUG)
    _log.addHandler(handler)


_COMMON = ("version", "verbose", "log_file")
app = typer.Typer(cls=_LazyCommands, no_args_is_help=True)


@app.callback()
def _sentimm(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and stop.", is_eager=True, expose_value=False, callback=_show_version
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Log details to stderr.", expose_value=False, callback=_log_to_stderr),
    ] = False,
    log_file: Annotated[
        Path | None,
        typer.Option(
            "--log-file",
            metavar="FILE",
            help="Append the log to this file.",
            expose_value=False,
            callback=_log_to_file,
        ),
    ] = None,
) -> None:
    """Label social-media posts, text and image together, as negative, neutral or positive.

    `sentimm score tweets.csv --images folder/` labels a table of posts with the default model.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line with `arguments` (those of the process by default) and exit with its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # one that can't show a character is no reason to fail
    _log.addHandler(logging.NullHandler())  # without a handler Python would print warnings on stderr
    try:
        with guard_streams():
            _run(arguments)
    except OutputError as error:
        with guard_streams():
            _fail(str(error), error.exit_code)


def _run(arguments: Sequence[str] | None) -> None:
    try:
        app(arguments, prog_name="sentimm")
    except SentimmError as error:
        _log.debug("stopped by an error", exc_info=True)
        _fail(str(error), error.exit_code)
    except Exception as error:
        _log.critical("stopped by an unexpected error", exc_info=True)
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        hint = "the same command with --verbose, or --log-file FILE, tells where."
        _fail(f"Something unexpected went wrong ({reason}); {hint}", 1)


def _fail(message: str, exit_code: int) -> None:
    from sentimm.console.terminal import printable

    print(f"Error: {printable(message)}", file=sys.stderr)
    sys.exit(exit_code)
