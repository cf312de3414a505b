"""Runs a job on a Ray cluster of two nodes of one core, and takes from it a worker first and then a node."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path


def list_workers() -> list[int]:
    """List the processes of the workers of Ray Data."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::MapWorker" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def main(arguments: str) -> None:
    """Score with two nodes; print how many parts were committed."""
    import ray
    from ray.cluster_utils import Cluster

    from sentimm.events import JobFinished, PartCommitted
    from sentimm.options import CorpusOptions, ScoreOptions
    from sentimm.scoring.job import run_job

    given = json.loads(arguments)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    node = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    parts = []

    def tell(event) -> None:
        if isinstance(event, PartCommitted):
            parts.append(event.rows)
            if len(parts) == 3:
                os.kill(list_workers()[0], signal.SIGKILL)
            if len(parts) == 8:
                cluster.remove_node(node)

    try:
        done = run_job(
            ScoreOptions(
                tuple(given["inputs"]),
                CorpusOptions(images=Path(given["images"])),
                Path(given["output"]),
                Path(given["model"]),
                chunk_rows=given["chunk_rows"],
                ray="auto",
            ),
            tell,
        )
        assert isinstance(done, JobFinished)
        print(json.dumps({"rows": done.rows, "parts": len(parts)}))
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
