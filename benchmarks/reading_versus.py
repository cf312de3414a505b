"""Measure the survey and the reader on a table, against another version's checkout, in turn.

python benchmarks/copies.py DATA/mvsa_single/val.csv --images DATA/mvsa_single/images --rows 8000 -o FOLDER
python benchmarks/reading_versus.py FOLDER/distinct.csv --copies 100 --checkout ../before --rounds 5

CPU seconds of one process, the start left out: the clock is noisy on a shared machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CODE = """
import sys, time
from sentimm.corpus import CorpusReader, survey_corpus
from sentimm.options import CorpusOptions
options = CorpusOptions()
start = time.process_time()
survey = survey_corpus([sys.argv[1]], options)
surveyed = time.process_time()
reader = CorpusReader(survey, options)
while reader.read(10_000) is not None:
    pass
print(surveyed - start, time.process_time() - surveyed)
"""


def measure(table: Path, checkout: Path) -> tuple[float, float]:
    """Return the CPU seconds of the survey and of the reader of the version in `checkout`."""
    paths = {"PYTHONPATH": str(checkout.absolute())}
    command = [sys.executable, "-P", "-c", CODE, str(table)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | paths)
    survey, reader = map(float, done.stdout.split())
    return survey, reader


def main() -> None:
    """Print the medians of both versions, and their ratios."""
    parser = argparse.ArgumentParser(description="Compare how fast two versions read a table.")
    parser.add_argument("table", type=Path)
    parser.add_argument("--checkout", type=Path, required=True, help="of another version of sentimm")
    parser.add_argument("--copies", type=int, default=1, help="of the table's rows")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    own = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        header, rows = options.table.read_bytes().split(b"\n", 1)
        large = Path(folder) / "large.csv"
        large.write_bytes(header + b"\n" + rows * options.copies)
        found: dict[Path, list[tuple[float, float]]] = {own: [], options.checkout: []}
        for _ in range(options.rounds):
            for checkout in found:
                found[checkout].append(measure(large, checkout))
    for place, name in enumerate(("survey", "reader")):
        ours, theirs = (statistics.median(run[place] for run in runs) for runs in found.values())
        print(f"{name}: {ours:.2f} s, the other version {theirs:.2f} s: {ours / theirs:.2f} times")


if __name__ == "__main__":
    main()
