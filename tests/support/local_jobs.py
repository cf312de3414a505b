"""Jobs of a few parts, run in this process, whole or partly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from sentimm.events import JobFinished, PartCommitted
from sentimm.options import ScoreOptions
from sentimm.scoring.job import run_job
from sentimm.scoring.output.problems import name_problems

ROWS = 20
OUTPUTS = ("scored.parquet", "scored")


def run(options: ScoreOptions, **changes) -> JobFinished:
    return run_job(replace(options, **changes), lambda event: None)


def read(output: Path) -> pl.DataFrame:
    return pl.read_parquet(output)


def job_folder(options: ScoreOptions) -> Path:
    return options.output.with_name(options.output.name + ".job")


class Stop(BaseException):
    """What a listener raises to stop a job."""


def stop_after(parts: int):
    """Make a listener that stops the job after so many parts."""
    seen = []

    def tell(event):
        seen.append(event)
        if sum(isinstance(each, PartCommitted) for each in seen) == parts:
            raise Stop

    return tell


def run_partly(options: ScoreOptions, parts: int = 1, **changes) -> None:
    with pytest.raises(Stop):
        run_job(replace(options, **changes), stop_after(parts))


def remove(output: Path) -> None:
    name_problems(output).unlink(missing_ok=True)
    for path in output.iterdir() if output.is_dir() else ():
        path.unlink()
    output.rmdir() if output.is_dir() else output.unlink(missing_ok=True)
