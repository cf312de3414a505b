"""Jobs that are run on a cluster, and in one process beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl

from sentimm.scoring.output.problems import name_problems
from tests.support import corpora, kills

ROWS = 1200


def make_corpus(folder: Path) -> Path:
    """Make posts.csv and images/ in `folder`."""
    corpora.make_large(folder, ROWS, images=60, broken_rows=0.02)
    return folder


def arguments(corpus: Path, bundle: Path, output: Path, table: str = "posts.csv") -> list[str]:
    """Return the arguments that score such a corpus, in 24 parts."""
    named = [str(corpus / table), "--images", str(corpus / "images"), "--model", str(bundle)]
    return [*named, "--chunk-rows", "50", "-o", str(output)]


def score(*options: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `sentimm score`, which ends with `code`."""
    done = subprocess.run(
        [sys.executable, "-m", "sentimm", "score", *options], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == code, done.stderr
    return done


def begin_and_kill(output: Path, *options: str) -> None:
    """Kill such a command behind its first part."""
    process = kills.start(options)
    assert kills.wait_for_part(process, output, 0)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(kills.list_parts(output)) > 0 and not output.exists()


def check(output: Path, expected: Path) -> None:
    """Check that an output is as another one, which was made in one process."""
    assert kills.compare(output, expected) == (0, 0)
    assert len(pl.read_parquet(output)) == ROWS
    assert name_problems(output).read_text() == name_problems(expected).read_text()
    assert not output.with_name(f"{output.name}.job").exists()
