"""Measure the peak memory of `sentimm score` on 100,000 and on 1,000,000 posts: texts alone, few of them distinct.

python benchmarks/memory.py

The model is tiny (made by the tests' tiny_bundles.py), so that it ends in minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.tiny.bundles import make_bundle

_DISTINCT = 5000
_RUN = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def write_table(path: Path, rows: int) -> None:
    """Write posts with an id and one of some texts."""
    with path.open("w") as file:
        file.write("id,text\n")
        file.writelines(f"{row},what a good day number {row % _DISTINCT}\n" for row in range(rows))


def measure(table: Path, bundle: Path) -> tuple[float, float]:
    """Score a table: peak memory in MB, and seconds."""
    output = table.with_suffix(".parquet")
    command = ["sentimm", "score", str(table), "--model", str(bundle), "-o", str(output), "--quiet"]
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _RUN, *command], check=True, capture_output=True, text=True)
    return int(done.stdout) * 1024 / 1e6, time.perf_counter() - began  # ru_maxrss is in KiB


def main() -> None:
    """Print a line for each size, and the ratio."""
    parser = argparse.ArgumentParser(description="Measure the peak memory of `sentimm score`.")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    sizes = parser.parse_args().rows
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        bundle = make_bundle(Path(folder) / "bundle")
        for rows in sizes:
            table = Path(folder) / f"{rows}.csv"
            write_table(table, rows)
            peak, seconds = measure(table, bundle)
            peaks.append(peak)
            print(f"{rows:,} posts: peak {peak:,.0f} MB, {seconds:.1f} s, {rows / seconds:,.0f} posts/s", flush=True)
    print(f"ratio {peaks[-1] / peaks[0]:.2f}")


if __name__ == "__main__":
    main()
