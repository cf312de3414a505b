"""Running the command line in this process."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from sentimm.cli import main


class Result(NamedTuple):
    code: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Result:
    """Run `sentimm` with `arguments`: exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return Result(stop.value.code or 0, out, err)
