"""Runs, on a Ray cluster, workers that end no task before the driver has heard of its first part."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from sentimm.errors import ClusterError
from sentimm.scoring import cluster
from sentimm.scoring.pipeline import Encodings
from sentimm.scoring.worker import PartWorker

COUNTS = [{"positive": 1}, {"text": 1}, {"ok": 1}]
PARTS = 16


class WaitingWorker(PartWorker):
    """Says that the first part is committed, and of the others only when `job.heard` is there."""

    def _begin(self, job, threads) -> None:
        self._job = job
        self._wanted = self

    def put(self, part) -> None:
        threading.Thread(target=self._answer, args=[part], daemon=True).start()

    def _answer(self, part) -> None:
        deadline = time.monotonic() + 30
        while part.start and not self._job.heard.exists():
            if time.monotonic() > deadline:
                part.answer.set_exception(ClusterError("Nobody heard of the first part."))
                return
            time.sleep(0.01)
        part.answer.set_result({"retried": 0, **vars(Encodings()), "counts": COUNTS})


def main(address: str, heard: Path) -> None:
    """Print how many parts were heard of."""
    cluster.PartWorker = WaitingWorker
    job = SimpleNamespace(device="cpu", heard=heard)
    parts = 0
    with cluster.Cluster(address) as running:
        for _ in running.score(job, [(start, start + 1) for start in range(PARTS)], Encodings()):
            heard.touch()
            parts += 1
    print(json.dumps({"parts": parts}))


if __name__ == "__main__":
    from tests.scoring.cluster_hearing import main as imported  # workers find the class by this name

    imported(sys.argv[1], Path(sys.argv[2]))
