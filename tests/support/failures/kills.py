"""Killing `sentimm score` in the middle of a job and giving the command again: for tests and benchmarks/kill.py."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl


def list_parts(output: Path) -> list[Path]:
    """List the finished parts of the job that writes `output`."""
    return sorted(output.with_name(f"{output.name}.job").glob("part-????????????.parquet"))


def start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start `sentimm score` with its own process group, to which a terminal's signals would go."""
    command = [sys.executable, "-m", "sentimm", "score", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def finish(arguments: Sequence[str]) -> None:
    """Run `sentimm score` to its end."""
    process = start(arguments)
    assert process.wait() == 0, f"sentimm score exited with {process.returncode}"


def wait_for_part(process: subprocess.Popen[bytes], output: Path, before: int) -> bool:
    """Wait until there are more parts than `before`; tells whether the process still runs then."""
    while len(list_parts(output)) <= before and process.poll() is None:
        time.sleep(0.002)
    return process.poll() is None


def measure(arguments: Sequence[str], output: Path) -> float:
    """Run a job undisturbed; gives the seconds from its first part to its end."""
    process = start(arguments)
    wait_for_part(process, output, 0)
    began = time.monotonic()
    assert process.wait() == 0
    return time.monotonic() - began


def kill(arguments: Sequence[str], output: Path, chance: random.Random, seconds: float) -> bool:
    """Start or go on with the job, and kill it at some moment; tells whether that was inside of it.

    Inside is after its first part and before its end; `seconds` is how long that takes in all. One kill of ten comes
    before this process has finished a part.
    """
    process = start(arguments)
    if chance.random() < 0.1:
        time.sleep(chance.uniform(0, 1))
    else:
        wait_for_part(process, output, len(list_parts(output)))
        time.sleep(chance.uniform(0, seconds))
    ran = process.poll() is None
    with_parts = bool(list_parts(output))
    if ran:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return ran and with_parts and not output.exists()


def compare(found: Path, expected: Path, close: float = 1e-4) -> tuple[int, int]:
    """Compare an output with that of an undisturbed job; probabilities may be so far apart.

    Returns:
        how many rows are lost, and how many are there twice.

    Raises:
        AssertionError: rows are there once each, but not in order, or not with the same columns and answers.
    """
    one, other = pl.read_parquet(found), pl.read_parquet(expected)
    # Records that are no rows have no id: that there are as many is seen below.
    ids = one["id"].drop_nulls()
    lost, repeated = len(set(other["id"]) - set(one["id"])), len(ids) - ids.n_unique()
    if lost or repeated:
        return lost, repeated
    numbers = [name for name in one.columns if name == "confidence" or name.startswith("p_")]
    assert one.drop(numbers).equals(other.drop(numbers))
    for name in numbers:
        assert one[name].is_null().equals(other[name].is_null())
        assert np.nanmax(np.abs(one[name].to_numpy() - other[name].to_numpy()), initial=0) <= close
    return 0, 0


def remove(output: Path) -> None:
    """Take away an output and its list of problems."""
    for path in output.iterdir() if output.is_dir() else ():
        path.unlink()
    output.rmdir() if output.is_dir() else output.unlink(missing_ok=True)
    output.with_name(f"{output.name}.problems.csv").unlink(missing_ok=True)
