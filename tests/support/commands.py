"""Running the command line in this process."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

import pytest

from sentimm.cli.app import main


class Result(NamedTuple):
    code: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Result:
    """Run `sentimm` with `arguments`: exit code, stdout, stderr."""
    try:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
    finally:
        _close_logs()
    out, err = capsys.readouterr()
    return Result(stop.value.code or 0, out, err)


def run_apart(*arguments: object) -> str:
    """Run `sentimm` for several tests: stdout."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        with redirect_stdout(out), redirect_stderr(io.StringIO()) as err, pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
    finally:
        _close_logs()
    assert not stop.value.code, err.getvalue()
    out.seek(0)
    return out.read()


def fail(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Run a command that fails: its exit code, and its error message."""
    code, out, err = run(capsys, *arguments)
    assert out == ""
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith("Error: ")
    return code, last.removeprefix("Error: ")


def _close_logs() -> None:
    log = logging.getLogger("sentimm")
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
