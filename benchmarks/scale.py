"""What a cluster's driver needs for many parts: Ray schedules them over workers that do nothing (docs/scale.md).

python benchmarks/scale.py --parts 1000 10000 100000
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from sentimm.scoring import cluster
from sentimm.scoring.cluster import Cluster
from sentimm.scoring.pipeline import Encodings


class IdleWorker:
    """Says that a part is committed."""

    def __init__(self, job: object, threads: int) -> None:
        pass

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Do nothing."""
        zeros = {name: np.zeros(1, np.int64) for name in vars(Encodings())}
        return {**batch, **zeros, "error": np.array([""]), "process": np.zeros(1, np.int64)}


class NoJob:
    """Stands for a job."""

    device = "cpu"


def main() -> None:
    """Print a line for each number of parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, nargs="+", default=[1000, 10_000, 100_000])
    options = parser.parse_args()
    cluster.PartWorker = IdleWorker  # type: ignore[assignment,misc]
    with Cluster("local", threads=1) as here:
        for parts in options.parts:
            began = time.monotonic()
            ranges = [(2048 * number, 2048 * (number + 1)) for number in range(parts)]
            starts = list(here.score(NoJob(), ranges, Encodings()))  # type: ignore[arg-type]
            seconds = time.monotonic() - began
            assert sorted(starts) == [start for start, _ in ranges]
            status = Path("/proc/self/status").read_text()
            now = int(status.partition("VmRSS:")[2].split()[0]) / 1024
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{parts:,} parts in {seconds:.1f} s, {parts / seconds:,.0f} a second; driver {now:,.0f} MB, at most "
                f"{peak:,.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
