"""Runs, on a Ray cluster, workers that wait for each other, and end no task before the driver has heard of a part."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from sentimm.errors import ClusterError
from sentimm.scoring.cluster import ray_cluster as cluster
from sentimm.scoring.cluster.worker import PartWorker
from sentimm.scoring.pipeline.chunk_scorer import Encodings

COUNTS = [{"positive": 1}, {"text": 1}, {"ok": 1}]
PARTS = 16


class WaitingWorker(PartWorker):
    """Says that the first part is committed when as many workers as are wanted have begun, then that others are.

    Of the others it says so when `job.heard` is there.
    """

    def _begin(self, job, threads) -> None:
        self._job = job
        self._queue = self
        (job.folder / f"worker-{os.getpid()}").touch()

    def put(self, part) -> None:
        threading.Thread(target=self._answer, args=[part], daemon=True).start()

    def _answer(self, part) -> None:
        deadline = time.monotonic() + 60
        while not (self._job.heard.exists() if part.start else len(list_begun(self._job.folder)) >= self._job.workers):
            if time.monotonic() > deadline:
                what = "nobody heard of the first part" if part.start else "the other workers did not begin"
                part.answer.set_exception(ClusterError(f"In a minute {what}."))
                return
            time.sleep(0.01)
        part.answer.set_result({"retried": 0, **vars(Encodings()), "counts": COUNTS})


def list_begun(folder: Path) -> list[Path]:
    """List what the workers leave that have begun."""
    return list(folder.glob("worker-*"))


def main(address: str, folder: Path, workers: int) -> None:
    """Print how many parts were heard of; as many workers have begun then."""
    cluster.PartWorker = WaitingWorker
    job = SimpleNamespace(device="cpu", folder=folder, heard=folder / "heard", workers=workers)
    parts = 0
    with cluster.Cluster(address) as running:
        for _ in running.score(job, [(start, start + 1) for start in range(PARTS)], Encodings()):
            job.heard.touch()
            parts += 1
    print(json.dumps({"parts": parts}))


if __name__ == "__main__":
    from tests.support.clusters.hearing import main as imported  # workers find the class by this name

    imported(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
