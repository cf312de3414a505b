"""Time the start: `sentimm --help` beside an empty Typer app, and how soon 10 posts are being written.

python benchmarks/starting.py TABLE --images FOLDER

The runs alternate, and the median counts. TABLE gives the 10 posts, scored by the default model.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_EMPTY = """
import typer
app = typer.Typer()
@app.command()
def one(): "One."
@app.command()
def two(): "Two."
app()
"""
_POLL_SECONDS = 0.002


def time_command(*command: str) -> float:
    """Return the seconds that a command takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def time_first_part(table: str, images: str) -> float:
    """Return the seconds until `sentimm score` has something of a part in its job folder, or is done."""
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "scored.parquet.job"
        command = ["sentimm", "score", table, "--images", images, "--limit", "10", "-o", f"{folder}/scored.parquet"]
        began = time.perf_counter()
        with subprocess.Popen([*command, "--quiet"]) as process:
            while process.poll() is None and not any(job.glob("part-*")):
                time.sleep(_POLL_SECONDS)
            seconds = time.perf_counter() - began
        if process.returncode:
            raise SystemExit("`sentimm score` failed: see above")
        return seconds


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description="Time how `sentimm` starts.")
    parser.add_argument("table")
    parser.add_argument("--images", required=True)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    times: dict[str, list[float]] = {"an empty Typer app": [], "sentimm --help": [], "10 posts, first part": []}
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(_EMPTY)
        file.flush()
        for _ in range(options.rounds):
            times["an empty Typer app"].append(time_command(sys.executable, file.name, "--help"))
            times["sentimm --help"].append(time_command("sentimm", "--help"))
            times["10 posts, first part"].append(time_first_part(options.table, options.images))
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, seconds in medians.items():
        print(f"{name}: {seconds:.3f} s")
    print(f"--help above the empty app: {medians['sentimm --help'] - medians['an empty Typer app']:.3f} s")


if __name__ == "__main__":
    main()
