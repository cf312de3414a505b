"""Kill jobs at random moments and run their commands again: every row comes out once.

Results: docs/contributing/reliability.md.

python benchmarks/kill.py --kills 60 --seed 0

The corpus is generated: short texts, and images of which one of twenty is broken. Each job is killed with SIGKILL a few
times before it may end, and its output is compared with that of an undisturbed job.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from sentimm.scoring.output.problems import name_problems
from tests.support import corpora, kills
from tests.support.tiny_bundles import make_bundle


def main() -> None:
    """Print a line for each job, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=30_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpora.make_large(folder, options.rows, images=2000)
        make_bundle(folder / "bundle")
        arguments = [str(folder / "posts.csv"), "--images", str(folder / "images"), "--model", str(folder / "bundle")]
        arguments += ["--chunk-rows", "500"]
        for output in (folder / "scored.parquet", folder / "scored"):
            kill_jobs([*arguments, "-o", str(output)], output, options.kills // 2, random.Random(options.seed))


def kill_jobs(arguments: list[str], output: Path, kills_wanted: int, chance: random.Random) -> None:
    """Kill the job that writes `output` so many times."""
    expected = output.with_name(f"expected{output.suffix}")
    seconds = kills.measure(arguments, output)
    output.rename(expected)
    name_problems(output).rename(problems := name_problems(expected))
    done = inside = jobs = lost = repeated = 0
    while done < kills_wanted:
        times = min(chance.randint(1, 4), kills_wanted - done)
        fell = [kills.kill(arguments, output, chance, seconds / times) for _ in range(times)]
        kills.finish(arguments)
        found = kills.compare(output, expected)
        assert name_problems(output).read_text() == problems.read_text()
        kills.remove(output)
        done, inside, jobs = done + times, inside + sum(fell), jobs + 1
        lost, repeated = lost + found[0], repeated + found[1]
    kind = "a file" if output.suffix else "a folder"
    print(
        f"{kind}, {seconds:.1f} s undisturbed: {jobs} jobs, {done} kills, {inside} of them inside; "
        f"{lost} rows lost, {repeated} repeated",
        flush=True,
    )


if __name__ == "__main__":
    main()
