"""A long job over a dirty corpus, killed and run again ten times, against one left alone.

Results: docs/contributing/reliability.md.

python benchmarks/soak.py                      1,000,000 posts through a tiny bundle
python benchmarks/soak.py --default            50,000 posts through the default model

Every second post has an image; 5% of the images are broken, 2% of the records are no rows.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parent.parent))

from sentimm.scoring.output.problems import name_problems
from tests.support.failures import kills
from tests.support.posts import corpora
from tests.support.tiny.bundles import make_bundle


def main() -> None:
    """Print how the jobs went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--default", action="store_true", help="the default model instead of a tiny one")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--images", type=int)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = options.rows or (50_000 if options.default else 1_000_000)
    images = options.images or (2_000 if options.default else 20_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpora.make_large(folder, rows, images, broken_rows=0.02, size=240 if options.default else 40)
        arguments = [str(folder / "posts.csv"), "--images", str(folder / "images")]
        if options.default:
            arguments += ["--chunk-rows", "1000"]  # as many parts as a job has that is longer
        else:
            arguments += ["--model", str(make_bundle(folder / "bundle"))]
        compare_jobs(arguments, folder, options.kills, random.Random(options.seed), 1e-3 if options.default else 1e-4)


def compare_jobs(arguments: list[str], folder: Path, times: int, chance: random.Random, close: float) -> None:
    """Run a job undisturbed and one that is killed so many times, and compare their outputs."""
    expected, output = folder / "expected.parquet", folder / "scored.parquet"
    began = time.monotonic()
    seconds = kills.measure([*arguments, "-o", str(expected)], expected)
    undisturbed, began = time.monotonic() - began, time.monotonic()
    own = [*arguments, "-o", str(output)]
    inside = sum(kills.kill(own, output, chance, seconds / times) for _ in range(times))
    kills.finish(own)
    disturbed = time.monotonic() - began
    lost, repeated = kills.compare(output, expected, close)
    assert name_problems(output).read_text() == name_problems(expected).read_text()
    scored = pl.read_parquet(expected)
    statuses = dict(sorted(scored["status"].value_counts().iter_rows()))
    problems = len(pl.read_csv(name_problems(expected), infer_schema=False))
    assert problems == sum(number for status, number in statuses.items() if status != "ok")
    print(f"{len(scored):,} posts in {undisturbed:.0f} s ({len(scored) / undisturbed:,.0f} a second): {statuses}")
    print(f"{times} kills, {inside} of them inside the job, {disturbed:.0f} s in all")
    print(f"{lost} rows lost, {repeated} repeated; {problems:,} problems listed, the same ones")


if __name__ == "__main__":
    main()
