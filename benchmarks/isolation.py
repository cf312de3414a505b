"""Measure what decoding images in separate processes costs: whole jobs with and without, in turn.

python benchmarks/copies.py DATA/mvsa_single/val.csv --images DATA/mvsa_single/images -o FOLDER
python benchmarks/isolation.py FOLDER/distinct.csv --images FOLDER/images --posts 4000 --runs 6
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

IN_PROCESS = "import sentimm.scoring.pipeline.decoder_pool as pool; pool.ISOLATED = False; "
SCORE = "import json, sys; from sentimm.cli.app import main; main(sys.argv[1:])"


def measure(setup: str, options: argparse.Namespace) -> float:
    """Score the posts; posts/s of the scoring, as the command says."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["score", str(options.table), "--images", str(options.images), "--limit", str(options.posts)]
        arguments += ["-o", f"{folder}/scored.parquet", "--json"]
        done = subprocess.run(
            [sys.executable, "-c", setup + SCORE, *arguments], check=True, capture_output=True, text=True
        )
    return float(done.stdout.split('"posts_per_second": ')[1].split(",")[0])


def main() -> None:
    """Print a line for each pair of runs, and the median of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--posts", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=6)
    options = parser.parse_args()
    ratios = []
    for run in range(options.runs):
        # Who is first changes from run to run: machines slow down and recover.
        setups = {"threads": IN_PROCESS, "processes": ""}
        order = list(setups) if run % 2 else list(setups)[::-1]
        rates = {name: measure(setups[name], options) for name in order}
        ratios.append(rates["processes"] / rates["threads"])
        print(f"threads {rates['threads']:.1f}, processes {rates['processes']:.1f} posts/s: {ratios[-1]:.3f}")
    print(f"median {statistics.median(ratios):.3f} of the speed, from {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
